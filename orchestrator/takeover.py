"""Leases that other processes made: taken over, asked, or found in the way."""

from collections.abc import Awaitable, Callable
from typing import Any

from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.errors import LeaseLost, StillHeld
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.step import Failure
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.errors import HoldConflict
from leasehold.orchestrator.store.hints import OWNER
from leasehold.states import CleanupState, ErrorCode, IllegalTransition, LeaseState, Note
from sqlalchemy import Connection, update


class Takeover:
    """What this process may do with leases that it does not hold."""

    def __init__(self, life: Life, commits: Commits, ledger: Ledger) -> None:
        self._life = life
        self._commits = commits
        self._ledger = ledger

    async def resolve_conflict(self, lease: Lease, conflict: HoldConflict) -> Lease | None:
        """The run's own lease, or none where the dead holder was ended. Raises ``StepFailed``."""
        row = await self._ledger.find(None, conflict.holder)
        request, holder = lease.terms.request, row.terms.request
        ours = holder.company_id == request.company_id
        free = row.facts.state is LeaseState.TARGETED and row.facts.pending_event is None and not row.held
        try:
            if lease.facts.version == 0 and ours and holder.run_id == request.run_id and free:
                return await self.take_up(row, force=False)
            in_use = not ours and row.facts.cleanup is CleanupState.PARKED  # it is another company's to reclaim
            if not in_use and await self.make_room(row, "its owner was lost, and another run needed what it held"):
                return None
        except (LeaseLost, StillHeld, IllegalTransition):
            return None  # somebody else ended it, or took it over, just then: look again
        subject = conflict.subject.split(":", 2)[-1]
        by = f"lease {row.terms.id} (run {holder.run_id}" if ours else "a lease of another company"
        if ours:
            by += f", issue {holder.issue_id})" if holder.issue_id else ")"
        held = Held(f"{subject} is held by {by}", hint="wait for it to end, release it, or use --share")
        raise await self._life.refuse(lease, held)

    async def make_room(self, row: Row, why: str) -> bool:
        """End a place that is only parked, or whose owner is gone (``why`` it failed); whether it has gone."""
        if not row.facts.state.live and not self.reaches(row):
            return False  # only its own machine can end it
        if row.facts.cleanup is CleanupState.PARKED:
            return not (await self.clean_up(row, force=False)).cleanup.open
        if row.held or (row.facts.state.live and row.facts.owner is None):
            return False
        taken = await self.take(row, force=False)
        await self._life.settle(taken, Failure(ErrorCode.LEASE_OWNER_LOST, why, "owner"))
        return not taken.cleanup.open

    def reaches(self, row: Row) -> bool:
        """Whether the place of that row can be reached from this machine."""
        return self._life.reaches(row.terms)

    def owns(self, row: Row) -> bool:
        """Whether the row's owner is this process."""
        return row.facts.owner == self._commits.owner.id

    async def take(self, row: Row, *, force: bool) -> Lease:
        """Become the owner of a lease that nobody living holds, or whose step is past its deadline.

        Raises ``StillHeld`` and ``LeaseLost``.
        """
        if row.held and not force:
            raise self.held(row)
        lease = self.lease_of(row)
        note = Note.ATTACH if row.facts.owner is None else Note.TAKE_OVER
        await self._commits.take(lease, note)
        return lease

    async def take_up(self, row: Row, *, force: bool) -> Lease:
        """The same, and make it usable where it stands at ``targeted``. Raises what its driver does."""
        lease = await self.take(row, force=force)
        if lease.facts.state is LeaseState.TARGETED and lease.facts.pending_event is None:
            try:
                await self._life.reach(lease)
            except BaseException:
                await self._life.detach(lease)  # it is as usable, or unusable, as it was
                raise
        return lease

    async def clean_up(self, row: Row, *, force: bool) -> Lease:
        """Try now to end the place of a lease that has ended."""
        lease = self.lease_of(row)
        if row.facts.cleanup.open:
            if row.held and not force:
                raise self.held(row)
            await self._commits.take(lease, Note.TAKE_OVER, why="cleanup")
            await self._life.clean_up(lease)
        return lease

    def lease_of(self, row: Row) -> Lease:
        """The row as a lease, not yet ours."""
        lease = Lease(self._life, row.terms, row.facts)
        lease.papers = dict(row.papers)
        return lease

    def held(self, row: Row, hint: str = "it ends by itself with that process; --force takes it over") -> StillHeld:
        """The refusal to rob a living owner."""
        return StillHeld(f"lease {row.terms.id} is held by process {row.owner_pid} on {row.owner_host}", hint=hint)

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
