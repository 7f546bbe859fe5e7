"""Leases that other processes made: taken over, asked, or found in the way."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from leasehold.orchestrator.commits import Commits, Said
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.errors import LeaseLost, StillHeld
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.step import CANCELLED, Failure
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.errors import HoldConflict, StoreError
from leasehold.orchestrator.store.hints import OWNER
from leasehold.states import CleanupState, ErrorCode, IllegalTransition, LeaseState, Note, Stuck
from sqlalchemy import Connection, update

_CLOSE_SECONDS = 10.0


class Takeover:
    """What this process may do with leases that it does not hold."""

    def __init__(self, life: Life, commits: Commits, ledger: Ledger) -> None:
        self._life = life
        self._commits = commits
        self._ledger = ledger
        self._endings: dict[str, asyncio.Task[bool]] = {}  # of places that are in the way

    async def resolve_conflict(self, lease: Lease, conflict: HoldConflict) -> Lease | None:
        """The run's own lease, or none where the dead holder was ended. Raises ``StepFailed``."""
        row = await self._ledger.find(None, conflict.holder)
        request, holder = lease.terms.request, row.terms.request
        ours = holder.company_id == request.company_id
        free = row.facts.state is LeaseState.TARGETED and row.facts.pending_event is None and not row.held
        try:
            if lease.facts.version == 0 and ours and holder.run_id == request.run_id and free:
                return await self.take_up(row, force=False, asked=lease)
        except (LeaseLost, StillHeld, IllegalTransition):
            return None  # somebody else ended it, or took it over, just then: look again
        in_use = not ours and row.facts.cleanup is CleanupState.PARKED  # it is another company's to reclaim
        if not in_use and await self.make_room(lease, row, "another run needed what it held"):
            return None
        if lease.interruption is not None:
            return None  # it ends before it looks again
        subject = conflict.subject.split(":", 2)[-1]
        by = f"lease {row.terms.id} (run {holder.run_id}" if ours else "a lease of another company"
        if ours:
            by += f", issue {holder.issue_id})" if holder.issue_id else ")"
        held = Held(f"{subject} is held by {by}", hint="wait for it to end, release it, or use --share")
        raise await self._life.refuse(lease, held)

    async def make_room(self, lease: Lease, row: Row, why: str, until: float = math.inf) -> bool:
        """End a place that ``lease`` needs, where it is only kept, or nobody has it; whether to look again.

        ``why`` is what it was needed for. Where the lease is told to stop, or at ``until`` of the monotonic
        clock, it is waited for no longer, and goes on to its own end.
        """
        ending = self._endings.get(row.terms.id)
        if lease.interruption is not None or time.monotonic() >= until or (ending is None and not self._idle(row)):
            return False
        if ending is None:
            ending = self._endings[row.terms.id] = asyncio.create_task(self._end(row, why), name="leasehold-room")
            ending.add_done_callback(partial(self._ended, row.terms.id))
        lease.stop = asyncio.Event()
        stopped = asyncio.create_task(lease.stop.wait())
        left = None if until == math.inf else until - time.monotonic()
        try:
            await asyncio.wait({ending, stopped}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            lease.stop = None
        return ending.done() and not ending.cancelled() and ending.result()

    async def close(self) -> None:
        """Give what is being ended a moment; what it leaves open is settled like any other lost step."""
        endings = [*self._endings.values()]
        if endings:
            _, late = await asyncio.wait(endings, timeout=_CLOSE_SECONDS)
            for ending in late:
                ending.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def left(self, row: Row) -> bool:
        """Whether nobody living moves it on, and it is time to, and can be done from here."""
        due = row.facts.next_try_at is None or row.facts.next_try_at <= row.now
        return not row.held and row.stuck is not None and due and (row.facts.state.live or self.reaches(row))

    def _idle(self, row: Row) -> bool:
        """Whether the place may be ended for another that needs it."""
        if row.facts.cleanup is CleanupState.PARKED or row.kept_over:
            return self.reaches(row)  # only its own machine can end it
        return self.left(row) and not row.awaits_attach

    async def _end(self, row: Row, why: str) -> bool:
        """End it; whether it has gone, or somebody else was quicker."""
        try:
            lease = self.lease_of(row)
            if row.facts.keep_until is not None:
                await self._clean_up(lease)
            else:
                await self.take(lease, row, force=False)
                first = failure(row)
                await self._life.settle(lease, replace(first, message=f"{first.message}, and {why}"))
        except (LeaseLost, StillHeld, IllegalTransition):
            return True
        return not lease.cleanup.open

    def _ended(self, lease_id: str, ending: asyncio.Task[bool]) -> None:
        del self._endings[lease_id]
        if not ending.cancelled():
            ending.exception()  # who waited for it is told

    def reaches(self, row: Row) -> bool:
        """Whether the place of that row can be reached from this machine."""
        return self._life.reaches(row.terms)

    def owns(self, row: Row) -> bool:
        """Whether the row's owner is this process."""
        return row.facts.owner == self._commits.owner.id

    async def take(self, lease: Lease, row: Row, *, force: bool, then: Sequence[Said] = ()) -> None:
        """Become the owner of a lease that nobody living holds, or whose step is past its deadline.

        What is said ``then`` is one commit with it. Raises ``StillHeld`` and ``LeaseLost``.
        """
        if row.held and not force:
            raise self.held(row)
        await self._commits.take(lease, Note.ATTACH if row.facts.owner is None else Note.TAKE_OVER, then=then)

    async def taken(self, row: Row, work: Callable[[Lease], Awaitable[None]], *, force: bool) -> Lease:
        """Take a lease and do this with it, to a recorded end, whoever cancels its caller. Raises as ``take``."""
        lease = self.lease_of(row)

        async def done() -> None:
            await self.take(lease, row, force=force)
            await work(lease)

        await self._life.settled(lease, done())
        return lease

    async def take_up(self, row: Row, *, force: bool, asked: Lease | None = None) -> Lease:
        """Take a lease, and make it usable where it stands at ``targeted``.

        ``asked`` is the same run's new lease, which it stands in for: it gets its variables and its listener.
        Raises as ``take``, and what its driver does.
        """
        lease = self.lease_of(row)
        if asked is not None:
            lease.listener = asked.listener
            lease.terms = replace(lease.terms, request=lease.terms.request.knowing(asked.terms.request.variables))

        async def up() -> None:
            await self.take(lease, row, force=force)
            if _rests(lease):
                await self._life.reach(lease)

        try:
            await self._life.settled(lease, up())
        except BaseException:
            await self._give_back(lease)
            raise
        return lease

    async def clean_up(self, row: Row, *, force: bool) -> Lease:
        """Try now to end the place of a lease that has ended, to a recorded end, whoever cancels its caller."""
        lease = self.lease_of(row)
        if row.facts.cleanup.open:
            if row.held and not force:
                raise self.held(row)
            await self._life.settled(lease, self._clean_up(lease))
        return lease

    async def _clean_up(self, lease: Lease) -> None:
        await self._commits.take(lease, Note.TAKE_OVER, why="cleanup")
        await self._life.clean_up(lease)

    async def _give_back(self, lease: Lease) -> None:
        """Nobody gets the lease: it is as usable, or unusable, as it was; where it cannot live on so, it ends."""
        if self._commits.owner.leases.get(lease.id) is lease:
            give_back = self._life.detach(lease) if _rests(lease) else self._life.settle(lease, CANCELLED)
            with suppress(StoreError, LeaseLost, IllegalTransition):
                await self._life.settled(lease, give_back)

    def lease_of(self, row: Row) -> Lease:
        """The row as a lease, not yet ours."""
        lease = Lease(self._life, row.terms, row.facts)
        lease.papers = dict(row.papers)
        return lease

    def held(self, row: Row, hint: str = "it ends by itself with that process; --force takes it over") -> StillHeld:
        """The refusal to rob a living owner, or one whose claim still holds."""
        held = f"lease {row.terms.id} is held by process {row.owner_pid} on {row.owner_host}"
        if row.owner_gone:
            over = iso(row.alive_until)
            return StillHeld(
                f"{held}, which is gone", hint=f"its claim is over at {over}; --force takes it over at once"
            )
        return StillHeld(held, hint=hint)

    async def ask(
        self, row: Row, request: dict[str, Any], asked: Callable[[Lease, dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Write a request on a lease whose living owner is elsewhere; it sees it at once, or with its renewal."""
        mine = self._commits.owner.leases.get(row.terms.id)
        if mine is not None:
            await asked(mine, request)
            return
        store, lease = self._commits.store, self._commits.store.schema.lease

        def write(connection: Connection) -> None:
            connection.execute(
                update(lease)
                .where(lease.c.id == row.terms.id, lease.c.ended_at.is_(None))
                .values(end_requested=encode(request))
            )
            store.hints.tell(connection, f"{OWNER}{row.facts.owner}")

        await store.writer.job(write)


def _rests(lease: Lease) -> bool:
    """Whether it stands ready, with no step under way."""
    return lease.facts.state is LeaseState.TARGETED and lease.facts.pending_event is None


def failure(row: Row) -> Failure:
    """As what a stuck lease fails."""
    step = row.facts.pending_event or row.facts.state
    match row.stuck:
        case Stuck.EXPIRED:
            return Failure(ErrorCode.LEASE_EXPIRED, "the lease reached its end, and nobody held it", "expiry")
        case Stuck.STEP_OVERDUE:
            return Failure(ErrorCode.LEASE_OWNER_LOST, f"its {step} was past its deadline", "owner")
        case Stuck.WAITING:
            return Failure(ErrorCode.LEASE_OWNER_LOST, "it waited for a place beyond its time", "owner")
        case None:
            return Failure(ErrorCode.LEASE_OWNER_LOST, f"it was taken over by force at {step}", "owner")
        case _:
            return Failure(ErrorCode.LEASE_OWNER_LOST, f"its owner was lost at {step}", "owner")
