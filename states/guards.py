"""Guards: what must hold, beyond the source state, before an event may happen.

A guard answers with the reason for its refusal, or with ``None``. The tables name them.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from leasehold.states.cleanup import CleanupState
from leasehold.states.lease import LeaseState


class Guarded(Protocol):
    """The facts that guards read: those of ``Facts``, and of the engine's record."""

    state: LeaseState
    cleanup: CleanupState
    pending_event: str | None
    handle: Any
    owners: int


Guard: TypeAlias = Callable[[Guarded], str | None]


def no_step_open(lease: Guarded) -> str | None:
    """One step at a time: the open one is settled first."""
    return None if lease.pending_event is None else f"{lease.pending_event} is under way"


def lease_is_live(lease: Guarded) -> str | None:
    """Only a live lease may come to owe a place."""
    return None if lease.state.live else f"the lease is {lease.state}"


def lease_has_ended(lease: Guarded) -> str | None:
    """A place is not taken from under a live lease."""
    return f"the lease is still {lease.state}" if lease.state.live else None


def no_handle(lease: Guarded) -> str | None:
    """Absent is said only of a place that was never seen."""
    return None if lease.handle is None else "a place was recorded"


def one_owner_all_its_life(lease: Guarded) -> str | None:
    """After a takeover an older owner may still have a verb under way."""
    return None if lease.owners <= 1 else f"the lease had {lease.owners} owners"


GUARDS: dict[str, Guard] = {
    guard.__name__: guard for guard in (no_step_open, lease_is_live, lease_has_ended, no_handle, one_owner_all_its_life)
}
