"""How a lease ends, and its place: as failed, and as the policy says."""

import time
from typing import Any

from leasehold.drivers import Gone
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.errors import LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.step import Failure, ProvenAbsent, Step, StillUnknown
from leasehold.orchestrator.store.errors import StaleWrite, StoreError
from leasehold.orchestrator.verbs import Verbs
from leasehold.orchestrator.watch import Watch
from leasehold.states import (
    CLEANUP_EVENTS,
    DUE,
    ENDED,
    CleanupEvent,
    CleanupState,
    ErrorCode,
    IllegalTransition,
    Kind,
    LeaseEvent,
    LeaseState,
    Move,
    Open,
    Outcome,
    cleanup_event,
    cleanup_transition,
    open_step,
    plan_row,
)

_LONGEST_PAUSE = 1800.0
_CLOSE_SECONDS = 30.0


class Ending:
    """Ends leases that this process owns. Each call comes under the lease's lock."""

    def __init__(self, engine: Engine, commits: Commits, verbs: Verbs, redaction: Redaction) -> None:
        self._engine = engine
        self._commits = commits
        self._verbs = verbs
        self._redaction = redaction

    def reopen(self, lease: Lease) -> None:
        """Take back an end that was drafted and not written: the store did not take it."""
        draft = lease.draft
        if draft is not None and lease.facts.state.live and not draft.facts.state.live:
            ends = [number for number, entry in enumerate(draft.entries) if entry.dest in ENDED]
            draft.take_back(ends[0])

    async def settle(self, lease: Lease, failure: Failure) -> None:
        """End a lease that was taken over, by the replay plan: its open step is abandoned, then it fails, and
        its place is ended or kept."""
        self.reopen(lease)
        event = _kept_by_plan(lease)
        self._commits.abandon(lease)
        if not lease.facts.state.live:
            await self.place(lease, event or await self._again(lease))
        elif self._verbs.reaches(lease.terms):
            await self.failed(lease, failure, event)
        else:  # its own machine ends the place, as the journal says
            await self._fail(lease, failure)
            await self._commits.flush(lease)

    async def failed(self, lease: Lease, failure: Failure, event: CleanupEvent | None = None) -> None:
        """End a lease as failed, then its place, with ``event`` where that is not the policy's to say."""
        await self._fail(lease, failure)
        await self.place(lease, event)

    async def released(self, lease: Lease) -> None:
        """End a lease as wanted, then its place."""
        self.reopen(lease)
        await self._engine.fire(lease, LeaseEvent.RELEASE)
        await self.place(lease)

    async def _fail(self, lease: Lease, failure: Failure) -> None:
        self.reopen(lease)
        if failure.event is None or failure.event.value != lease.ahead.pending_event:
            self._commits.abandon(lease)
        await self._engine.fire(lease, LeaseEvent.FAIL, Step(LeaseEvent.FAIL.value, failure=failure))

    async def place(self, lease: Lease, event: CleanupEvent | None = None) -> None:
        """End the place as the policy says. What goes wrong is recorded, never raised over a first error."""
        await self.let_go(lease)
        if lease.ahead.cleanup in DUE:
            event = event or self._ending(lease)
            step = Step(str(event))
            try:
                await self._engine.fire(lease, event, step)
            except (StoreError, LeaseLost, IllegalTransition, StaleWrite):
                raise
            except ProvenAbsent:
                self._close_try(lease, step, Kind.ABANDONED)
                await self._engine.fire(lease, CleanupEvent.ABSOLVE)
            except StillUnknown as unknown:
                why = self._redaction.clean(str(unknown))
                self._close_try(lease, step, Kind.ABANDONED, why=why, next_try_at=self._next_look(lease))
            except Exception as error:  # noqa: BLE001 - whatever a driver raises, the cleanup stays owed
                self._cleanup_failed(lease, step, error)
                if isinstance(error, Gone) and event is not CleanupEvent.CLEAN:
                    return await self.place(lease, CleanupEvent.CLEAN)  # nothing is there to be kept
        await self._commits.flush(lease)
        return None

    async def _again(self, lease: Lease) -> CleanupEvent:
        """With what an ended lease's place is ended by who comes later: a keeping is tried until it holds.

        Only the journal knows: that a keeping was begun, or that a sync-back was torn before any try.
        """
        entries = await self._commits.journal(lease.id)
        tries = [entry for entry in entries if entry.event in CLEANUP_EVENTS and entry.kind is Kind.BEGUN]
        if not tries:
            torn = any(entry.event == LeaseEvent.SYNC_BACK and entry.kind is Kind.ABANDONED for entry in entries)
            return CleanupEvent.KEEP if torn else self._ending(lease)
        gone = any(entry.kind is Kind.FAILED and entry.details.get("gone") for entry in entries)
        keeps = tries[-1].event == CleanupEvent.KEEP and not gone
        return CleanupEvent.KEEP if keeps else CleanupEvent.CLEAN

    def _ending(self, lease: Lease) -> CleanupEvent:
        facts = lease.ahead
        if facts.cleanup is CleanupState.FAILED or facts.handle is None:
            return CleanupEvent.CLEAN
        if facts.error_code == ErrorCode.WORKSPACE_SYNC_FAILED.value:
            outcome = Outcome.SYNC_FAILED
        elif facts.state is LeaseState.FAILED:
            outcome = Outcome.FAILURE
        else:
            outcome = Outcome.SUCCESS if facts.owners <= 1 else Outcome.SUCCESS_TAKEN_OVER
        return cleanup_event(lease.terms.policy, outcome)

    def _cleanup_failed(self, lease: Lease, step: Step, error: Exception) -> None:
        first = lease.ahead.cleanup_tries == 0
        code = ErrorCode.LEASE_RELEASE_FAILED if first else ErrorCode.LEASE_CLEANUP_FAILED
        message = self._redaction.clean(str(error) or error.__class__.__name__)
        next_try_at = self._next_try(lease)
        gone = {"gone": True} if isinstance(error, Gone) else {}
        self._close_try(lease, step, Kind.FAILED, code, message=message, next_try_at=next_try_at, **gone)
        self._engine.tell(lease, step.event, "failed", message)

    def _close_try(self, lease: Lease, step: Step, kind: Kind, code: ErrorCode | None = None, **details: Any) -> None:
        row = cleanup_transition(CleanupEvent(step.event))
        draft = self._commits.draft(lease)
        self._commits.add(
            lease,
            draft,
            step.event,
            kind,
            dest=row.failure.value if kind is Kind.FAILED and row.failure else None,
            attempt=step.attempt,
            error_code=None if code is None else code.value,
            duration_ms=step.duration_ms,
            details=details,
        )
        self._commits.log(lease, draft)

    def _next_look(self, lease: Lease) -> int:
        """When to ask again what the driver could not say: the longer it has been so, the later."""
        now = self._commits.store.clock.now()
        age = (now - (lease.ahead.ended_at or now)) / 1e6
        return now + int(min(_LONGEST_PAUSE, max(2.0, age / 4)) * 1e6)

    def _next_try(self, lease: Lease) -> int:
        pause = min(_LONGEST_PAUSE, 2.0 ** min(lease.ahead.cleanup_tries + 1, 11))
        return self._commits.store.clock.now() + int(pause * 1e6)

    async def let_go(self, lease: Lease) -> None:
        """End the commands that run through this process before their place goes."""
        target, lease.target = lease.target, None
        if target is not None:
            try:
                watch = Watch(time.monotonic() + _CLOSE_SECONDS)
                await self._verbs.watches.over(watch, target.close())
            except Exception as error:  # noqa: BLE001 - the cleanup ends what is left, and says so if it cannot
                self._engine.tell(lease, CleanupEvent.CLEAN.value, "progress", self._redaction.clean(str(error)))


def _kept_by_plan(lease: Lease) -> CleanupEvent | None:
    """``keep`` where the plan says so of the open step: then it is not the policy's to say."""
    found = open_step(lease.ahead)
    if found is Open.KEEP:
        return CleanupEvent.KEEP
    if found is Open.SYNC_BACK and Move.KEEP in plan_row(found).abandon:
        return CleanupEvent.KEEP
    return None
