"""The engine: fires the machines' events for leases.

The callbacks of a row run in this order: ``claim`` commits the intent, the step invokes the driver,
and ``record`` notes the outcome in the lease's draft. A draft is committed with the next claim, or at
the end of the operation, so an outcome and the next step's intent are one commit.
"""

import time
from functools import partial
from typing import Any

from leasehold.drivers import DriverError
from leasehold.orchestrator import error_table
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.draft import Draft
from leasehold.orchestrator.errors import LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.machine import TableMachine
from leasehold.orchestrator.provisioning import ProvisionFailed
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.request import NOTHING
from leasehold.orchestrator.step import Failure, Interrupted, News, Step, StepFailed
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.errors import EnvironmentChanged, HoldConflict, PlaceTaken, StoreError
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.terms import terms_digest
from leasehold.states import (
    CLEANUP_EVENTS,
    CLEANUP_TABLE,
    LEASE_EVENTS,
    LEASE_TABLE,
    CleanupEvent,
    CleanupState,
    IllegalTransition,
    Kind,
    LeaseEvent,
    LeaseState,
    transition,
)
from transitions.core import EventData

_REFUSALS = (HoldConflict, EnvironmentChanged, PlaceTaken)
_OWE, _PENDING = str(CleanupEvent.OWE), str(CleanupState.PENDING)


class Engine:
    """The two machines, and the callbacks around each step."""

    def __init__(self, commits: Commits, steps: Steps, redaction: Redaction) -> None:
        self._commits = commits
        self._steps = steps
        self._redaction = redaction
        work = {
            "resolve": steps.resolve,
            "acquire": steps.acquire,
            "realize": steps.realize,
            "provision": steps.provision,
            "target": steps.resolve_target,
            "sync_back": steps.sync_back,
            "clean": steps.clean,
            "keep": steps.keep,
            "park": steps.park,
        }
        callbacks: dict[str, Any] = {name: partial(_timed, step) for name, step in work.items()}
        callbacks |= {"claim": self._claim, "record": self._record}
        self._leases = TableMachine(LEASE_TABLE, LeaseState, "machine_state", callbacks)
        self._cleanups = TableMachine(CLEANUP_TABLE, CleanupState, "machine_cleanup", callbacks)

    async def fire(self, lease: Lease, event: LeaseEvent | CleanupEvent, step: Step | None = None) -> None:
        """Fire one event. Raises ``IllegalTransition``, and what its callbacks raise."""
        machine = self._leases if isinstance(event, LeaseEvent) else self._cleanups
        await machine.events[event].trigger(lease, step or Step(str(event)))

    async def attempt(self, lease: Lease, event: LeaseEvent, created: str = "") -> None:
        """Fire a step of a live lease; what its driver raises becomes ``StepFailed``.

        ``created`` is why acquire makes a place where another might have been reused.
        """
        step = Step(str(event))
        if created:
            step.details["created"] = created
        if event is LeaseEvent.PROVISION:
            why = self._steps.passed_over(lease)
            if why is not None:
                step.details["passed_over"] = why
        try:
            await self._leases.events[event].trigger(lease, step)
        except (Interrupted, StoreError, IllegalTransition, LeaseLost, *_REFUSALS):
            raise
        except Exception as error:  # the error table has a code for whatever a driver raises
            raise self.failed(lease, event, error) from error

    def failed(self, lease: Lease, event: LeaseEvent, error: Exception) -> StepFailed:
        """An error of a step, under its one code and in the original's words."""
        cause = self._redaction.clean(str(error) or error.__class__.__name__)
        if not isinstance(error, DriverError):
            cause = f"{error.__class__.__name__}: {cause}"
        code = error_table.code(event, error)
        hint = error.hint if isinstance(error, DriverError) else ""
        stderr = error.stderr if isinstance(error, ProvisionFailed) else ""
        return StepFailed(Failure(code, _message(lease, event, cause), event.value, event, stderr), hint)

    def adopt(self, lease: Lease, event: LeaseEvent, **details: Any) -> None:
        """Draft that an open step which an earlier owner began is done: its place says so."""
        draft = self._commits.draft(lease)
        attempt, dest = draft.facts.pending_attempt, str(transition(event).dest)
        self._commits.add(lease, draft, event.value, Kind.DONE, dest=dest, attempt=attempt, details=details)
        if event is LeaseEvent.ACQUIRE:
            self._commits.log(lease, draft)
        self.tell(lease, event.value, "done", "as an earlier owner left it")

    def tell(self, lease: Lease, event: str, kind: str, text: str = "", ms: int | None = None) -> None:
        """Tell who watches."""
        if lease.listener is not None:
            lease.tell(News(lease.id, event, kind, text, None if ms is None else ms / 1000))

    # --- the callbacks around a step

    async def _claim(self, data: EventData) -> None:
        """Commit that the step begins now, together with the outcomes before it."""
        lease, step = _of(data)
        if "passed_over" in step.details:
            return
        forward = step.event in LEASE_EVENTS
        if forward and lease.interruption is not None:
            raise Interrupted
        commits = self._commits
        commits.owner.check(lease)
        step.attempt = commits.store.ids.random(8)
        now = commits.store.clock.now()
        details: dict[str, Any] = {"deadline": now + int((self._steps.seconds(step.event, lease) + 10) * 1e6)}
        acquiring = step.event == LeaseEvent.ACQUIRE
        draft = commits.draft(lease)
        giver = None
        if acquiring:
            details["key"] = lease.facts.resource_key or f"{commits.store.ledger}-{lease.id}-1"
            if lease.parked is not None:
                giver = self._hand_over(lease.parked, lease, draft, details)
        holds = lease.subjects if forward else ()
        if holds:
            details["holds"] = list(holds)
        if forward and lease.named:
            details |= lease.named
        kept = len(draft.entries)
        try:
            commits.add(lease, draft, step.event, Kind.BEGUN, at=now, attempt=step.attempt, details=details)
            if acquiring and not draft.facts.cleanup.open:
                commits.add(lease, draft, _OWE, Kind.DONE, at=now, dest=_PENDING)
            await commits.commit(lease, draft, holds=holds, giver=giver)
        except BaseException:
            draft.take_back(kept)  # nothing has begun
            raise
        if holds or lease.named:
            lease.subjects, lease.named = (), NOTHING
        if lease.listener is not None:
            self.tell(lease, step.event, "begun")
        if forward and lease.interruption is not None:
            raise Interrupted

    def _hand_over(self, parked: Lease, lease: Lease, draft: Draft, details: dict[str, Any]) -> Write:
        """From its intent on, the place, its key and its handle are this lease's own."""
        details |= {"key": parked.facts.resource_key, "handle": parked.facts.handle, "from": parked.id}
        for paper in ("handle", "provider_lease_id"):
            draft.papers[paper] = parked.papers[paper]
        return self._commits.hand_over(parked, lease.id)

    async def _record(self, data: EventData) -> None:
        """Note the outcome; it is committed with what follows."""
        lease, step = _of(data)
        commits = self._commits
        draft = commits.draft(lease)
        event = step.event
        if step.failure is not None:
            self._record_failure(lease, step.failure)
            return
        now = commits.store.clock.now()
        if event == LeaseEvent.RESOLVE:
            step.details["expires_at"] = now + int((lease.terms.request.ttl or 0) * 1e6)
            step.details["digests"] = _digests(lease, draft, now)
        fired: Any = data.transition
        draft.papers.update(step.papers)
        commits.add(
            lease,
            draft,
            event,
            Kind.DONE,
            at=now,
            dest=fired.dest,
            attempt=step.attempt,
            duration_ms=step.duration_ms,
            details=step.details,
        )
        if event == LeaseEvent.ACQUIRE or event in CLEANUP_EVENTS:
            commits.log(lease, draft)
        if lease.listener is not None:
            self.tell(lease, event, "done", _told(step), step.duration_ms)

    def _record_failure(self, lease: Lease, failure: Failure) -> None:
        commits = self._commits
        draft = commits.draft(lease)
        now = commits.store.clock.now()
        message = self._redaction.clean(failure.message)
        details: dict[str, Any] = {"stage": failure.stage, "message": message}
        if failure.stderr:
            details["stderr"] = failure.stderr
        event, kind, attempt = LeaseEvent.FAIL, Kind.DONE, None
        if failure.event is not None:
            event, kind, attempt = failure.event, Kind.FAILED, draft.facts.pending_attempt
            if attempt is None and transition(event).intent:
                # refused before its claim held: the journal says that it was begun, and failed
                attempt = commits.store.ids.random(8)
                commits.add(lease, draft, event.value, Kind.BEGUN, attempt=attempt, details={"deadline": now}, at=now)
            if event is LeaseEvent.RESOLVE:
                details["expires_at"] = now
        if lease.facts.version == 0 and draft.terms is None:
            details["digests"] = _digests(lease, draft, now)
        commits.add(
            lease,
            draft,
            event.value,
            kind,
            at=now,
            dest=LeaseState.FAILED.value,
            attempt=attempt,
            error_code=failure.code.value,
            details=details,
        )
        self.tell(lease, event.value, "failed", message)


def _digests(lease: Lease, draft: Draft, created_at: int) -> dict[str, str]:
    draft.terms = lease.terms.columns(created_at)
    return {"terms": terms_digest(draft.terms)}


async def _timed(work: Any, data: EventData) -> None:
    lease, step = _of(data)
    began = time.monotonic()
    try:
        await work(lease, step)
    finally:
        step.duration_ms = round((time.monotonic() - began) * 1000)
        lease.stop = None


def _of(data: EventData) -> tuple[Lease, Step]:
    lease: Any = data.model
    arguments: Any = data.args
    step: Step = arguments[0]
    return lease, step


def _told(step: Step) -> str:
    details = step.details
    return str(details.get("summary") or details.get("open_with") or details.get("passed_over") or "")


def _message(lease: Lease, event: LeaseEvent, cause: str) -> str:
    """A failure in the original's words."""
    terms = lease.terms
    where = f'environment "{terms.environment_name}" ({terms.driver})'
    match event:
        case LeaseEvent.ACQUIRE:
            return f"Failed to acquire lease for {where}: {cause}"
        case LeaseEvent.REALIZE:
            return f"Failed to realize workspace for {where}: {cause}"
        case LeaseEvent.PROVISION:
            return f"Failed to provision workspace for {where}: {cause}"
        case LeaseEvent.TARGET:
            return f'Failed to resolve execution target for "{terms.environment_name}": {cause}'
        case LeaseEvent.SYNC_BACK:
            return f"Failed to sync back from {where}: {cause}"
        case _:
            return cause
