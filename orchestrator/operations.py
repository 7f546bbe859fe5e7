"""What is done to leases by their ids, from any process."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from leasehold.drivers import Target
from leasehold.orchestrator.arguments import member
from leasehold.orchestrator.commits import Commits, Said
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.duties import Deed, Duties
from leasehold.orchestrator.environments import Environment, Environments
from leasehold.orchestrator.errors import EnvironmentRunError, LeaseholdError, LeaseLost, StillHeld
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.replay import Replay, Replays
from leasehold.orchestrator.request import SweepBy
from leasehold.orchestrator.restoration import Restoration, Restorations
from leasehold.orchestrator.retention import Retention
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import Failure
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.sweep import Decision, Sweep
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.worker import Worker
from leasehold.states import CleanupState, Entry, ErrorCode, IllegalTransition, LeaseState, Note

_ALL = 1_000_000


def _silent(_: str) -> None:
    return


class Operations:
    """What an operator, or a platform that holds no lease object, does. A part of ``Orchestrator``."""

    store: Store
    settings: Settings
    environments: Environments
    ledger: Ledger
    redaction: Redaction
    _commits: Commits
    _life: Life
    _others: Takeover
    _replays: Replays
    _owner: Owner
    _duties: Duties
    _sweep: Sweep
    _restorations: Restorations
    _retention: Retention

    async def attach(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease:
        """Take a lease that nobody holds, to use or end it.

        Raises ``NoSuch``, ``StillHeld`` where a living owner has it and ``force`` is not given,
        ``IllegalTransition`` where it has ended, ``LeaseLost`` where another took it first.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            raise IllegalTransition(row.terms.id, "attach", row.facts.state.value, "the lease has ended")
        return await self._others.take_up(row, force=force)

    async def visit(self, lease_id: str, *, company_id: str | None = None) -> Target:
        """The target of a place that was kept, to look around in. The lease stays as it is.

        Raises ``NoSuch``, ``IllegalTransition`` where no place is kept, ``DriverError`` where it is gone.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if row.facts.cleanup is not CleanupState.RETAINED or row.papers["realization"] is None:
            raise IllegalTransition(row.terms.id, "visit", row.facts.cleanup.value, "no place is kept")
        lease = self._others.lease_of(row)
        await self._life.reach(lease)
        assert lease.target is not None
        return lease.target

    async def journal(self, lease_id: str, *, company_id: str | None = None) -> list[Entry]:
        """A lease's journal, oldest row first. Raises ``NoSuch``."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        return await self._life.journal(row.terms.id)

    async def release(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease | None:
        """End a lease as wanted, or the keeping of its place; from any process.

        A lease whose living owner is elsewhere is asked to end it, and ``None`` is answered.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            return await self._others.clean_up(row, force=force)
        if row.held and not force:
            await self._others.ask(row, {"end": "release"}, self._asked)
            return None

        async def end(lease: Lease) -> None:
            if lease.facts.state is LeaseState.TARGETED and lease.facts.pending_event is None:
                await self._life.release(lease)
            else:
                why = f"its owner was lost at {lease.facts.pending_event or lease.facts.state}, and it was released"
                await self._life.settle(lease, Failure(ErrorCode.LEASE_OWNER_LOST, why, "owner"))

        return await self._others.taken(row, end, force=force)

    async def fail(
        self,
        lease_id: str,
        reason: str,
        *,
        company_id: str | None = None,
        code: ErrorCode | None = None,
        force: bool = False,
    ) -> Lease | None:
        """End a lease as failed, from any process, with everything that its crash left behind.

        The code is by default ``run_failed``, or ``lease_owner_lost`` where its owner is. A lease
        whose living owner is elsewhere is asked, and ``None`` is answered.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        reason = self.redaction.clean(reason)
        if not row.facts.state.live:
            return await self._others.clean_up(row, force=force)
        if row.held and not force:
            await self._others.ask(row, {"end": "fail", "reason": reason, "code": code}, self._asked)
            return None
        lost = row.facts.owner is not None and not row.alive
        chosen = code or (ErrorCode.LEASE_OWNER_LOST if lost else ErrorCode.RUN_FAILED)
        failure = Failure(chosen, reason, "owner" if lost else "run")
        rests = row.facts.owner is None and row.facts.state is LeaseState.TARGETED
        end = self._life.fail if rests else self._life.settle
        return await self._others.taken(row, lambda lease: end(lease, failure), force=force)

    async def extend(self, lease_id: str, ttl: float | str, *, company_id: str | None = None) -> Row:
        """Move a live lease's end to ``ttl`` from now; a living owner elsewhere is asked to."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            raise IllegalTransition(row.terms.id, "extend", row.facts.state.value, "the lease has ended")
        if row.held:
            await self._others.ask(row, {"end": "extend", "seconds": seconds(ttl)}, self._asked)
        else:
            held = row.facts.state is LeaseState.TARGETED and row.facts.pending_event is None
            if not held or row.facts.owner is not None:
                raise StillHeld(
                    f"lease {row.terms.id} lost its owner at {row.facts.pending_event or row.facts.state}",
                    hint="end it with leasehold fail",
                )
            expires_at = self.store.clock.now() + int(seconds(ttl) * 1e6)
            then: list[Said] = [(Note.EXTEND, {"expires_at": expires_at}), (Note.DETACH, {})]
            await self._others.take(self._others.lease_of(row), row, force=False, then=then)
        return await self.ledger.find(row.terms.request.company_id, row.terms.id)

    async def forget(self, lease_id: str, reason: str, *, who: str, company_id: str | None = None) -> Lease:
        """Take an ended lease's place out of our care, with who and why."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if row.facts.state.live:
            raise IllegalTransition(row.terms.id, "forget", row.facts.state.value, "end the lease first")
        if not row.facts.cleanup.open:
            raise IllegalTransition(row.terms.id, "forget", row.facts.cleanup.value, "no place is owed")
        return await self._others.taken(row, lambda lease: self._life.forget(lease, who, reason), force=False)

    async def archive(self, environment: str, *, company_id: str | None = None) -> Environment:
        """Stop new leases of an environment, and end the places that are parked there. Raises ``NoSuch``."""
        company = company_id or self.settings.company
        archived = await self.environments.archive(company, environment)
        for row in await self.ledger.parked_in(company, archived.id):
            with suppress(LeaseholdError, IllegalTransition):  # another has it just then, or is at it
                await self._others.clean_up(row, force=False)
        return archived

    async def prune(
        self,
        older_than: float | str,
        *,
        company_id: str | None = None,
        told: Callable[[str], None] | None = None,
    ) -> int:
        """Delete the company's leases that ended longer ago than this, with their journals; how many.

        ``told`` hears the id of each that stays, because changes of it are kept yet.
        """
        return await self._retention.prune(company_id or self.settings.company, seconds(older_than), told or _silent)

    async def drop_company(self, company_id: str) -> int:
        """Delete everything of a company that holds nothing any more; how many leases that were.

        Raises ``StillHeld`` where one of its leases is live, or a place of one is not ended.
        """
        dropped = await self._retention.drop_company(company_id)
        self.environments.forget(company_id)
        return dropped

    async def replay(
        self,
        lease_id: str,
        *,
        resume: bool = False,
        force: bool = False,
        dry_run: bool = False,
        company_id: str | None = None,
    ) -> Replay:
        """Settle a stuck lease by the plan: take it over, ask its driver, then end it, or with ``resume`` go on.

        ``force`` also takes one that is not stuck; ``dry_run`` only says what would be done. Raises
        ``NoSuch``, ``NotStuck``, and ``StillHeld`` where a living owner has it.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if dry_run:
            return self._replays.plan(row, resume=resume, force=force)
        return await self._replays.replay(row, resume=resume, force=force)

    async def replay_stuck(
        self,
        *,
        resume: bool = False,
        dry_run: bool = False,
        company_id: str | None = None,
        told: Callable[[Replay], None] | None = None,
    ) -> list[Replay]:
        """Replay every stuck lease of the company. One that fails stops no other; ``told`` hears of each."""
        rows = await self.ledger.listing(company_id or self.settings.company, stuck=True, limit=_ALL)
        return await self._replays.all(rows, resume=resume, dry_run=dry_run, told=told)

    async def sweep(
        self,
        *,
        apply: bool = False,
        grace: float | str | None = None,
        unknown: bool = False,
        ledgers: Sequence[str] = (),
    ) -> list[Decision]:
        """Look for places that bear our tags and belong to no lease, of any company; with ``apply``, destroy them.

        ``grace`` is how long one must have been seen so, by default the settings'. ``unknown`` takes places of
        leases that this store does not know as nobody's, ``ledgers`` those of other ledgers, by their ids. Raises
        ``StoreBehind``, and destroys nothing, where a place has seen more than this store.
        """
        for_seconds = None if grace is None else seconds(grace, none=True)
        return await self._sweep.sweep(apply=apply, grace=for_seconds, unknown=unknown, ledgers=ledgers)

    async def duties(self, *, told: Callable[[str], None] | None = None) -> list[Deed]:
        """One pass over all that is due now in the whole ledger, as a worker does them, to its end."""
        return await self._duties.once(None if told is None else lambda deed: told(str(deed)))

    def worker(
        self,
        *,
        told: Callable[[str], None] | None = None,
        sweeps: str | SweepBy = SweepBy.APPLY,
        health: Path | None = None,
    ) -> "AbstractAsyncContextManager[Worker]":
        """Do the duties of the whole ledger beside a block: what lost its owner, is overdue, expired, or owed.

        ``told`` hears one line a decision; ``sweeps`` is ``apply``, ``report`` or ``never``; ``health`` is a file
        that each pass writes.
        """
        return self._worker(told or _silent, sweeps, health).running()

    async def work(
        self,
        until: asyncio.Event,
        *,
        told: Callable[[str], None] | None = None,
        sweeps: str | SweepBy = SweepBy.APPLY,
        health: Path | None = None,
    ) -> Worker:
        """The same until an event is set, and no longer than what is then under way takes."""
        worker = self._worker(told or _silent, sweeps, health)
        async with worker.running():
            await until.wait()
        return worker

    async def restored(self, *, apply: bool = False, told: Callable[[Replay], None] | None = None) -> Restoration:
        """After the store was restored from a backup: what is open, and what stands; with ``apply``, settle it.

        The new incarnation's epochs are above all that places have seen.
        """
        return await self._restorations.restored(apply=apply, told=told)

    # --- beneath them

    def _worker(self, told: Callable[[str], None], sweeps: str | SweepBy, health: Path | None) -> Worker:
        by = member(SweepBy, sweeps, "sweeps") or SweepBy.APPLY
        return Worker(
            self.store, self._owner, self._duties, self._sweep, self.settings,
            told=told, sweeps=by, health=health,
        )  # fmt: skip

    async def _asked(self, lease: Lease, request: dict[str, Any]) -> None:
        """An operator elsewhere asked this owner to end or extend a lease. After a ``StoreError`` it is asked again."""
        try:
            match request["end"]:
                case "extend":
                    await self._life.extend(lease, request["seconds"])
                case "release":
                    released = Failure(ErrorCode.LEASE_CANCELLED, "an operator released it", "operator")
                    if lease.facts.state is LeaseState.TARGETED:
                        lease.end_commands(released)  # what they changed is brought back, where that was asked for
                    else:
                        lease.interrupt(released)
                    await self._life.release(lease)
                case _:
                    code = ErrorCode(request.get("code") or ErrorCode.RUN_FAILED)
                    failure = Failure(code, str(request.get("reason", "")), "operator")
                    lease.interrupt(failure)
                    await self._life.fail(lease, failure)
        except (LeaseLost, IllegalTransition, EnvironmentRunError):
            return  # it has ended or moved on meanwhile: there is nothing left to do
