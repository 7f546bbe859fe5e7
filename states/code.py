"""The error codes: every failure of a lease has exactly one."""

from leasehold.states.gloss import Glossed


class ErrorCode(Glossed):
    """Why a lease failed, or why the cleanup of its place did. Values are public and never change."""

    ENVIRONMENT_NOT_FOUND = "environment_not_found", "no environment of this company has that name or id"
    ENVIRONMENT_INACTIVE = "environment_inactive", "the environment is archived: it takes no new leases"
    UNSUPPORTED_ENVIRONMENT = (
        "unsupported_environment",
        "the driver is missing, its config is wrong, or it lacks what the request needs",
    )
    UNSUPPORTED_ADAPTER_ENVIRONMENT = (
        "unsupported_adapter_environment",
        "the adapter is not registered, or does not work over this environment's transport",
    )
    PROBE_FAILED = "probe_failed", "the environment asks for a probe before each lease, and the place is sick"
    LEASE_CONFLICT = "lease_conflict", "another lease holds what this one needs for itself alone"
    LEASE_ACQUIRE_FAILED = "lease_acquire_failed", "the driver gave no place"
    WORKSPACE_REALIZATION_FAILED = (
        "workspace_realization_failed",
        "the workspace is unusable or could not be put in the place, or its provision command failed",
    )
    TRANSPORT_RESOLUTION_FAILED = (
        "transport_resolution_failed",
        "the place stands, but no way to execute in it",
    )
    WORKSPACE_SYNC_FAILED = "workspace_sync_failed", "what the run changed could not be brought back whole"
    RUN_FAILED = "run_failed", "the run's own command, or its platform, said that the run failed"
    LEASE_EXPIRED = "lease_expired", "the lease reached its end before it was released"
    LEASE_OWNER_LOST = "lease_owner_lost", "the process that held the lease is gone, or was cut off"
    LEASE_CANCELLED = "lease_cancelled", "the caller was cancelled before it was done"
    LEASE_RELEASE_FAILED = "lease_release_failed", "the first try to end the place failed; it is tried again"
    LEASE_CLEANUP_FAILED = "lease_cleanup_failed", "a later try to end the place failed; it is tried again"
