"""Policy × outcome: which cleanup event ends a lease."""

from dataclasses import dataclass
from enum import StrEnum

from leasehold.states.cleanup import CleanupEvent


class Policy(StrEnum):
    """What the environment wants to become of a place. Values are the original's."""

    EPHEMERAL = "ephemeral"
    RETAIN_ON_FAILURE = "retain_on_failure"
    REUSE_BY_ENVIRONMENT = "reuse_by_environment"
    REUSE_BY_EXECUTION_WORKSPACE = "reuse_by_execution_workspace"

    @property
    def reuses(self) -> bool:
        """Whether a place is kept for the next run."""
        return self in (Policy.REUSE_BY_ENVIRONMENT, Policy.REUSE_BY_EXECUTION_WORKSPACE)


class Outcome(StrEnum):
    """How the lease ended, as far as its place is concerned."""

    SUCCESS = "success"
    FAILURE = "failure"
    SYNC_FAILED = "sync_failed"
    SUCCESS_TAKEN_OVER = "success_taken_over"


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One row: what a policy does after an outcome."""

    policy: Policy
    outcome: Outcome
    event: CleanupEvent
    why: str


_SYNC_WHY = "What the run changed is only there: whatever the policy, the place is kept."
_TAKEN_WHY = "An older owner may still have a verb under way there: the place is not reused."

POLICY_TABLE: tuple[PolicyRow, ...] = (
    PolicyRow(Policy.EPHEMERAL, Outcome.SUCCESS, CleanupEvent.CLEAN, "A place for one run."),
    PolicyRow(Policy.EPHEMERAL, Outcome.FAILURE, CleanupEvent.CLEAN, "A place for one run, also a failed one."),
    PolicyRow(Policy.EPHEMERAL, Outcome.SYNC_FAILED, CleanupEvent.KEEP, _SYNC_WHY),
    PolicyRow(Policy.EPHEMERAL, Outcome.SUCCESS_TAKEN_OVER, CleanupEvent.CLEAN, "A place for one run."),
    PolicyRow(Policy.RETAIN_ON_FAILURE, Outcome.SUCCESS, CleanupEvent.CLEAN, "Nothing to look at."),
    PolicyRow(
        Policy.RETAIN_ON_FAILURE,
        Outcome.FAILURE,
        CleanupEvent.KEEP,
        "A person wants to see what happened there.",
    ),
    PolicyRow(Policy.RETAIN_ON_FAILURE, Outcome.SYNC_FAILED, CleanupEvent.KEEP, _SYNC_WHY),
    PolicyRow(Policy.RETAIN_ON_FAILURE, Outcome.SUCCESS_TAKEN_OVER, CleanupEvent.CLEAN, "Nothing to look at."),
    PolicyRow(Policy.REUSE_BY_ENVIRONMENT, Outcome.SUCCESS, CleanupEvent.PARK, "The next run starts warm."),
    PolicyRow(
        Policy.REUSE_BY_ENVIRONMENT,
        Outcome.FAILURE,
        CleanupEvent.CLEAN,
        "A failed run's place is not trusted.",
    ),
    PolicyRow(Policy.REUSE_BY_ENVIRONMENT, Outcome.SYNC_FAILED, CleanupEvent.KEEP, _SYNC_WHY),
    PolicyRow(Policy.REUSE_BY_ENVIRONMENT, Outcome.SUCCESS_TAKEN_OVER, CleanupEvent.CLEAN, _TAKEN_WHY),
    PolicyRow(Policy.REUSE_BY_EXECUTION_WORKSPACE, Outcome.SUCCESS, CleanupEvent.PARK, "The next run starts warm."),
    PolicyRow(
        Policy.REUSE_BY_EXECUTION_WORKSPACE,
        Outcome.FAILURE,
        CleanupEvent.CLEAN,
        "A failed run's place is not trusted.",
    ),
    PolicyRow(Policy.REUSE_BY_EXECUTION_WORKSPACE, Outcome.SYNC_FAILED, CleanupEvent.KEEP, _SYNC_WHY),
    PolicyRow(Policy.REUSE_BY_EXECUTION_WORKSPACE, Outcome.SUCCESS_TAKEN_OVER, CleanupEvent.CLEAN, _TAKEN_WHY),
)


def cleanup_event(policy: Policy, outcome: Outcome) -> CleanupEvent:
    """The cleanup event that a lease of this policy begins with after this outcome."""
    return _ROWS[policy, outcome].event


_ROWS = {(row.policy, row.outcome): row for row in POLICY_TABLE}
