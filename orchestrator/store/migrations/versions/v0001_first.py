"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade(prefix: str) -> None:
    shared = op.get_bind().dialect.name == "postgresql"
    words = sa.Text(collation="C") if shared else sa.Text()
    op.create_table(
        f"{prefix}ledger",
        sa.Column("id", words, primary_key=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        *(() if shared else (sa.Column("epoch", sa.BigInteger(), nullable=False),)),
    )
    op.create_table(
        f"{prefix}boot",
        sa.Column("id", words, primary_key=True),
        sa.Column("clock_offset", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        f"{prefix}owner",
        sa.Column("id", words, primary_key=True),
        sa.Column("host", words, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("boot", words, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("alive_until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        f"{prefix}environment",
        sa.Column("id", words, primary_key=True),
        sa.Column("company_id", words, nullable=False),
        sa.Column("name", words, nullable=False),
        sa.Column("driver", words, nullable=False),
        sa.Column("config", words, nullable=False),
        sa.Column("policy", words, nullable=False),
        sa.Column("ttl", sa.BigInteger()),
        sa.Column("status", words, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(f"{prefix}environment_name", f"{prefix}environment", ["company_id", "name"], unique=True)
    op.create_table(
        f"{prefix}lease",
        sa.Column("id", words, primary_key=True),
        sa.Column("company_id", words, nullable=False),
        sa.Column("run_id", words, nullable=False),
        sa.Column("issue_id", words),
        sa.Column("agent_id", words),
        sa.Column("adapter_type", words),
        sa.Column("environment_id", words),
        sa.Column("environment_name", words),
        sa.Column("driver", words),
        sa.Column("provider", words),
        sa.Column("policy", words, nullable=False),
        sa.Column("mode", words),
        sa.Column("request", words, nullable=False),
        sa.Column("config", words, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", words, nullable=False),
        sa.Column("cleanup", words, nullable=False),
        sa.Column("error_code", words),
        sa.Column("error_stage", words),
        sa.Column("error_message", words),
        sa.Column("cleanup_error_code", words),
        sa.Column("cleanup_tries", sa.Integer(), nullable=False),
        sa.Column("pending_event", words),
        sa.Column("pending_attempt", words),
        sa.Column("pending_since", sa.BigInteger()),
        sa.Column("pending_deadline", sa.BigInteger()),
        sa.Column("owner", words),
        sa.Column("owners", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("resource_key", words),
        sa.Column("acquired_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("keep_until", sa.BigInteger()),
        sa.Column("next_try_at", sa.BigInteger()),
        sa.Column("provider_lease_id", words),
        sa.Column("handle", words),
        sa.Column("realization", words),
        sa.Column("target", words),
        sa.Column("metadata", words),
        sa.Column("end_requested", words),
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
        sa.Column("lease_id", words, primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", words, nullable=False),
        sa.Column("kind", words, nullable=False),
        sa.Column("source", words),
        sa.Column("dest", words),
        sa.Column("attempt", words),
        sa.Column("owner", words),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("error_code", words),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("details", words, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{prefix}hold",
        sa.Column("subject", words, primary_key=True),
        sa.Column("lease_id", words, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{prefix}hold_lease", f"{prefix}hold", ["lease_id"])
    op.create_table(
        f"{prefix}activity",
        sa.Column("lease_id", words, primary_key=True),
        sa.Column("action", words, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("company_id", words, nullable=False),
        sa.Column("run_id", words),
        sa.Column("agent_id", words),
        sa.Column("details", words, nullable=False),
        sqlite_with_rowid=False,
    )
    if shared:
        op.execute(sa.schema.CreateSequence(sa.Sequence(f"{prefix}epoch")))
        # room in each page for a lease's next version: most steps then touch no index
        lease = op.get_bind().dialect.identifier_preparer.quote(f"{prefix}lease")
        op.execute(f"ALTER TABLE {lease} SET (fillfactor = 60)")
