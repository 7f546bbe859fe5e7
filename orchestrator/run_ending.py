"""How a platform's run ended, and what that makes of its leases."""

from enum import StrEnum

from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.step import Failure
from leasehold.states import ErrorCode


class RunEnding(StrEnum):
    """The original's words: a run that failed or timed out is ``failed``, a cancelled one ``expired``."""

    RELEASED = "released"
    FAILED = "failed"
    EXPIRED = "expired"


_FAILURES = {
    RunEnding.FAILED: (ErrorCode.RUN_FAILED, "its run failed"),
    RunEnding.EXPIRED: (ErrorCode.LEASE_CANCELLED, "its run was cancelled"),
}


def failure_of(status: str, reason: str | None) -> Failure | None:
    """The failure by which a run's leases end; none where they are released. Raises ``WrongUsage``."""
    if status not in set(RunEnding):
        raise WrongUsage(f"a run does not end {status!r}", hint=f"use one of: {', '.join(RunEnding)}")
    ending = RunEnding(status)
    if ending is RunEnding.RELEASED:
        return None
    code, default = _FAILURES[ending]
    return Failure(code, reason or default, "run")
