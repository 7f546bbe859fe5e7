"""The order in which a lease's columns are written: first those that never change, then the others."""

TERMS = (
    "id",
    "company_id",
    "run_id",
    "issue_id",
    "agent_id",
    "adapter_type",
    "environment_id",
    "environment_name",
    "driver",
    "provider",
    "policy",
    "mode",
    "request",
    "config",
    "created_at",
)

# the facts that a lease's journal gives, under the same names
FACTS = (
    "version",
    "state",
    "cleanup",
    "error_code",
    "error_stage",
    "error_message",
    "cleanup_error_code",
    "cleanup_tries",
    "pending_event",
    "pending_attempt",
    "pending_since",
    "pending_deadline",
    "owner",
    "owners",
    "epoch",
    "resource_key",
    "acquired_at",
    "ended_at",
    "expires_at",
    "keep_until",
    "next_try_at",
)

PAPERS = ("provider_lease_id", "handle", "realization", "target", "metadata")

CHANGING = FACTS + PAPERS
EPOCH = CHANGING.index("epoch")

JOURNAL = (
    "lease_id",
    "seq",
    "at",
    "event",
    "kind",
    "source",
    "dest",
    "attempt",
    "owner",
    "epoch",
    "error_code",
    "duration_ms",
    "details",
)

ACTIVITY = ("lease_id", "action", "at", "company_id", "run_id", "agent_id", "details")
