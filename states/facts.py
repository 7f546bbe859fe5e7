"""What is known of one lease: the part of its row that its journal alone gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from leasehold.states.cleanup import CleanupState
from leasehold.states.lease import LeaseState


@dataclass(slots=True)
class Facts:
    """The state of one lease, as the fold of its journal. Times are microseconds since 1970 UTC.

    ``owners`` counts the owners that the lease has had; ``cleanup_tries`` the tries that failed.
    ``digests`` hold a short hash of each column that the journal does not repeat in full; copies of the
    facts share them, so they are replaced, never changed.
    """

    version: int = 0
    state: LeaseState = LeaseState.REQUESTED
    cleanup: CleanupState = CleanupState.NOT_NEEDED
    error_code: str | None = None
    error_stage: str | None = None
    error_message: str | None = None
    cleanup_error_code: str | None = None
    cleanup_tries: int = 0
    pending_event: str | None = None
    pending_attempt: str | None = None
    pending_since: int | None = None
    pending_deadline: int | None = None
    owner: str | None = None
    owners: int = 0
    epoch: int = 0
    resource_key: str | None = None
    handle: Any = None
    created_at: int | None = None
    acquired_at: int | None = None
    ended_at: int | None = None
    expires_at: int | None = None
    keep_until: int | None = None
    next_try_at: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict[str, str])

    def copy(self) -> "Facts":
        """Facts of their own with the same values."""
        return Facts(*_values(self))


_values = attrgetter(*(fact.name for fact in fields(Facts)))
