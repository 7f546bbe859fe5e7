"""The derived status, the operator's word for a lease, and why a lease counts as stuck."""

from dataclasses import dataclass
from enum import StrEnum

from leasehold.states.cleanup import DUE, CleanupState
from leasehold.states.code import ErrorCode
from leasehold.states.facts import Facts
from leasehold.states.gloss import Glossed
from leasehold.states.lease import LIVE, LeaseState


class Status(StrEnum):
    """The operator's word. Values are the original's."""

    ACTIVE = "active"
    RETAINED = "retained"
    PENDING_CLEANUP = "pending_cleanup"
    EXPIRED = "expired"
    FAILED = "failed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One row: it fits where each of its columns is empty or contains the lease's value."""

    status: Status
    why: str
    states: tuple[LeaseState, ...] = ()
    cleanups: tuple[CleanupState, ...] = ()
    codes: tuple[ErrorCode, ...] = ()


STATUS_TABLE: tuple[StatusRow, ...] = (
    StatusRow(Status.ACTIVE, "The lease has not ended.", states=LIVE),
    StatusRow(Status.RETAINED, "It ended, and its place is kept for a person.", cleanups=(CleanupState.RETAINED,)),
    StatusRow(
        Status.PENDING_CLEANUP,
        "It ended, and its place is still owed.",
        cleanups=(CleanupState.PENDING, CleanupState.FAILED),
    ),
    StatusRow(
        Status.EXPIRED,
        "It ended by its time, or because its caller was cancelled.",
        codes=(ErrorCode.LEASE_EXPIRED, ErrorCode.LEASE_CANCELLED),
    ),
    StatusRow(Status.FAILED, "It ended by a failure.", states=(LeaseState.FAILED,)),
    StatusRow(Status.RELEASED, "It ended as wanted, and nothing is owed."),
)


def status(state: LeaseState, cleanup: CleanupState, error_code: str | None) -> Status:
    """The status of a lease: that of the first row that fits."""
    return next(
        row.status
        for row in STATUS_TABLE
        if (not row.states or state in row.states)
        and (not row.cleanups or cleanup in row.cleanups)
        and (not row.codes or error_code in row.codes)
    )


def cleanup_status(cleanup: CleanupState) -> str:
    """The cleanup as the original's callers read it: ``pending``, ``failed``, else ``success``."""
    return str(cleanup) if cleanup in DUE else "success"


class Stuck(Glossed):
    """Why nobody will move this lease on without help."""

    OWNER_LOST = "owner_lost", "its owner has not renewed itself within the claim time"
    STEP_OVERDUE = "step_overdue", "its open step is past its deadline"
    EXPIRED = "expired", "it is past its own end and still live"
    CLEANUP_FAILED = "cleanup_failed", "the last try to end its place failed, or nobody has tried"
    WAITING = "waiting", "it waits for a place beyond its deadline"


_UNHELD = frozenset({Stuck.EXPIRED, Stuck.WAITING})
_LATE = 5_000_000  # microseconds in which who waited notices that its time is over


def stuck(facts: Facts, now: int, *, owner_alive: bool, waits_until: int | None = None) -> Stuck | None:
    """Why a lease is stuck at ``now`` (microseconds), or ``None``.

    ``owner_alive`` says whether the owner that the lease names renewed itself in time; ``waits_until`` how
    long it may wait for a place.
    """
    busy = facts.state.live or facts.pending_event is not None
    if busy and facts.owner is not None and not owner_alive:
        return Stuck.OWNER_LOST
    if facts.pending_deadline is not None and facts.pending_deadline < now:
        return Stuck.STEP_OVERDUE
    if facts.state.live:
        held = facts.state is LeaseState.TARGETED and facts.pending_event is None
        if facts.owner is None and not held:
            return Stuck.OWNER_LOST
        if facts.expires_at is not None and facts.expires_at < now:
            return Stuck.EXPIRED
        waits = facts.state is LeaseState.RESOLVED and facts.pending_event is None
        return Stuck.WAITING if waits and waits_until is not None and waits_until + _LATE < now else None
    if facts.pending_event is None and facts.cleanup in (CleanupState.PENDING, CleanupState.FAILED):
        return Stuck.CLEANUP_FAILED
    return None


def held(facts: Facts, now: int, *, owner_alive: bool, grace: int, waits_until: int | None = None) -> bool:
    """Whether a living owner has a lease in hand, so that nobody else moves it on without force.

    Not one whose step is past its deadline; nor one that its owner should have ended, by its time or its wait,
    ``grace`` microseconds ago: whatever it is doing, it has forgotten this lease.
    """
    at_work = facts.state.live or facts.pending_event is not None
    if not (owner_alive and at_work and facts.owner is not None):
        return False
    why = stuck(facts, now, owner_alive=True, waits_until=waits_until)
    if why in _UNHELD:
        return stuck(facts, now - grace, owner_alive=True, waits_until=waits_until) is None
    return why is not Stuck.STEP_OVERDUE
