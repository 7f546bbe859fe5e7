"""One firing of an event: what its callbacks pass on to each other, and how it can end early."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from leasehold.states import ErrorCode, LeaseEvent


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a lease fails. ``event`` is the step that failed; none where no step did.

    ``stderr`` is the last of what a command wrote there.
    """

    code: ErrorCode
    message: str
    stage: str
    event: LeaseEvent | None = None
    stderr: str = ""


CANCELLED = Failure(ErrorCode.LEASE_CANCELLED, "its caller was cancelled", "caller")


@dataclass(slots=True)
class Step:
    """The state of one firing."""

    event: str
    attempt: str | None = None
    duration_ms: int | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    papers: dict[str, str | None] = field(default_factory=dict[str, str | None])
    failure: Failure | None = None

    @property
    def closes(self) -> str:
        """The event whose open step this firing closes."""
        event = None if self.failure is None else self.failure.event
        return self.event if event is None else event.value


@dataclass(frozen=True, slots=True)
class News:
    """What is told to who watches: a step begins, is done, or failed; or a line of progress.

    ``seconds`` is the step's duration, where it ended.
    """

    lease_id: str
    event: str
    kind: str
    text: str = ""
    seconds: float | None = None


Listener = Callable[[News], None]


class StepFailed(Exception):
    """A step failed; its cause is chained. Nothing of it is recorded yet."""

    def __init__(self, failure: Failure, hint: str = "") -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.hint = hint


class Interrupted(Exception):
    """A step was told to stop before its outcome; nothing of it is recorded yet."""


class ProvenAbsent(Exception):
    """No place stands under the key, and none will."""


class StillUnknown(Exception):
    """Whether a place stands cannot be said yet."""
