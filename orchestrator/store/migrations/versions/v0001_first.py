"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade(prefix: str) -> None:
    op.create_table(
        f"{prefix}ledger",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        f"{prefix}boot",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("clock_offset", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        f"{prefix}owner",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("alive_until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        f"{prefix}environment",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("ttl", sa.BigInteger()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(f"{prefix}environment_name", f"{prefix}environment", ["company_id", "name"], unique=True)
    op.create_table(
        f"{prefix}lease",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("issue_id", sa.Text()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("adapter_type", sa.Text()),
        sa.Column("environment_id", sa.Text()),
        sa.Column("environment_name", sa.Text()),
        sa.Column("driver", sa.Text()),
        sa.Column("provider", sa.Text()),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text()),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cleanup", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_stage", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("cleanup_error_code", sa.Text()),
        sa.Column("cleanup_tries", sa.Integer(), nullable=False),
        sa.Column("pending_event", sa.Text()),
        sa.Column("pending_attempt", sa.Text()),
        sa.Column("pending_since", sa.BigInteger()),
        sa.Column("pending_deadline", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("owners", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("resource_key", sa.Text()),
        sa.Column("acquired_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("keep_until", sa.BigInteger()),
        sa.Column("next_try_at", sa.BigInteger()),
        sa.Column("provider_lease_id", sa.Text()),
        sa.Column("handle", sa.Text()),
        sa.Column("realization", sa.Text()),
        sa.Column("target", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("end_requested", sa.Text()),
    )
    op.create_index(
        f"{prefix}lease_due",
        f"{prefix}lease",
        ["next_try_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL AND cleanup IN ('pending', 'failed')"),
        postgresql_where=sa.text("ended_at IS NOT NULL AND cleanup IN ('pending', 'failed')"),
    )
    op.create_index(
        f"{prefix}lease_kept",
        f"{prefix}lease",
        ["keep_until"],
        sqlite_where=sa.text("keep_until IS NOT NULL"),
        postgresql_where=sa.text("keep_until IS NOT NULL"),
    )
    op.create_index(
        f"{prefix}lease_live",
        f"{prefix}lease",
        ["company_id", "id"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        f"{prefix}lease_owner",
        f"{prefix}lease",
        ["owner"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        f"{prefix}lease_place",
        f"{prefix}lease",
        ["driver", "provider_lease_id"],
        sqlite_where=sa.text("cleanup IN ('pending', 'failed', 'retained', 'parked')"),
        postgresql_where=sa.text("cleanup IN ('pending', 'failed', 'retained', 'parked')"),
        unique=True,
    )
    op.create_index(f"{prefix}lease_run", f"{prefix}lease", ["run_id"])
    op.create_table(
        f"{prefix}journal",
        sa.Column("lease_id", sa.Text(), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("dest", sa.Text()),
        sa.Column("attempt", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("details", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{prefix}hold",
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("lease_id", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{prefix}hold_lease", f"{prefix}hold", ["lease_id"])
    op.create_table(
        f"{prefix}activity",
        sa.Column("lease_id", sa.Text(), primary_key=True),
        sa.Column("action", sa.Text(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
