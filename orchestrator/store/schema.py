"""The tables. Times are microseconds since 1970 UTC in the store's time; JSON is text.

On PostgreSQL the migrations give text the collation "C": compared byte by byte, as SQLite does, so that
an id's beginning and its order mean the same on both.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Executable,
    Index,
    Integer,
    MetaData,
    Select,
    Sequence,
    Table,
    Text,
    column,
    func,
    select,
    text,
    update,
)
from sqlalchemy import table as named
from sqlalchemy.schema import SchemaItem

DEFAULT_PREFIX = "leasehold_"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one ledger, under its prefix.

    ``epochs`` is what epochs are drawn from on PostgreSQL, where no transaction then waits for another;
    SQLite draws from its ledger's row.
    """

    prefix: str
    metadata: MetaData
    ledger: Table
    boot: Table
    owner: Table
    environment: Table
    lease: Table
    journal: Table
    hold: Table
    activity: Table
    execution_workspace: Table
    sighting: Table
    epochs: Sequence | None

    @property
    def drawn(self) -> Select[Any]:
        """Asks for the highest epoch that was drawn."""
        if self.epochs is None:
            return select(self.ledger.c.epoch)
        return select(column("last_value", BigInteger)).select_from(named(self.epochs.name))

    @property
    def channel(self) -> str:
        """Where processes give each other hints, on PostgreSQL."""
        return f"{self.prefix}hint"

    @property
    def next_epoch(self) -> Executable:
        """Draws the next one, and gives it."""
        if self.epochs is None:
            raised = update(self.ledger).values(epoch=self.ledger.c.epoch + 1)
            return raised.returning(self.ledger.c.epoch)
        return select(self.epochs.next_value())

    def jump_to(self, epoch: int) -> Executable:
        """Has the next epochs be drawn after this one."""
        if self.epochs is None:
            return update(self.ledger).values(epoch=epoch)
        return select(func.setval(self.epochs.name, epoch))

    @property
    def version_table(self) -> str:
        """Where Alembic keeps this ledger's version."""
        return f"{self.prefix}version"


def schema(prefix: str = DEFAULT_PREFIX, dialect: str = "sqlite") -> Schema:
    """The tables under ``prefix``, in a metadata of their own, for one of SQLAlchemy's dialects."""
    metadata = MetaData()
    shared = dialect == "postgresql"

    def table(name: str, *columns: SchemaItem, with_rowid: bool = True) -> Table:
        return Table(f"{prefix}{name}", metadata, *columns, sqlite_with_rowid=with_rowid)

    def index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> Index:
        condition: dict[str, Any] = {f"{dialect}_where": text(where)} if where else {}
        return Index(f"{prefix}{name}", *columns, unique=unique, **condition)

    return Schema(
        prefix=prefix,
        metadata=metadata,
        ledger=table(
            "ledger",
            Column("id", Text, primary_key=True),
            Column("created_at", BigInteger, nullable=False),
            *(() if shared else (Column("epoch", BigInteger, nullable=False),)),
        ),
        boot=table(
            "boot",
            Column("id", Text, primary_key=True),
            Column("clock_offset", BigInteger, nullable=False),
        ),
        owner=table(
            "owner",
            Column("id", Text, primary_key=True),
            Column("host", Text, nullable=False),
            Column("pid", Integer, nullable=False),
            Column("boot", Text, nullable=False),
            Column("started_at", BigInteger, nullable=False),
            Column("alive_until", BigInteger, nullable=False),
        ),
        environment=table(
            "environment",
            Column("id", Text, primary_key=True),
            Column("company_id", Text, nullable=False),
            Column("name", Text, nullable=False),
            Column("driver", Text, nullable=False),
            Column("config", Text, nullable=False),
            Column("policy", Text, nullable=False),
            Column("ttl", BigInteger),
            Column("status", Text, nullable=False),
            Column("version", Integer, nullable=False),
            Column("created_at", BigInteger, nullable=False),
            Column("updated_at", BigInteger, nullable=False),
            Column("max_leases", Integer),
            index("environment_name", "company_id", "name", unique=True),
        ),
        lease=table(
            "lease",
            Column("id", Text, primary_key=True),
            Column("company_id", Text, nullable=False),
            Column("run_id", Text, nullable=False),
            Column("issue_id", Text),
            Column("agent_id", Text),
            Column("adapter_type", Text),
            Column("environment_id", Text),
            Column("environment_name", Text),
            Column("driver", Text),
            Column("provider", Text),
            Column("policy", Text, nullable=False),
            Column("mode", Text),
            Column("request", Text, nullable=False),
            Column("config", Text, nullable=False),
            Column("created_at", BigInteger, nullable=False),
            Column("version", Integer, nullable=False),
            Column("state", Text, nullable=False),
            Column("cleanup", Text, nullable=False),
            Column("error_code", Text),
            Column("error_stage", Text),
            Column("error_message", Text),
            Column("cleanup_error_code", Text),
            Column("cleanup_tries", Integer, nullable=False),
            Column("pending_event", Text),
            Column("pending_attempt", Text),
            Column("pending_since", BigInteger),
            Column("pending_deadline", BigInteger),
            Column("owner", Text),
            Column("owners", Integer, nullable=False),
            Column("epoch", BigInteger, nullable=False),
            Column("resource_key", Text),
            Column("acquired_at", BigInteger),
            Column("ended_at", BigInteger),
            Column("expires_at", BigInteger),
            Column("keep_until", BigInteger),
            Column("next_try_at", BigInteger),
            Column("provider_lease_id", Text),
            Column("handle", Text),
            Column("realization", Text),
            Column("target", Text),
            Column("metadata", Text),
            Column("end_requested", Text),
            index("lease_run", "run_id"),
            index("lease_company", "company_id", "id"),
            index("lease_owner", "owner", where="ended_at IS NULL"),
            index(
                "lease_due",
                "next_try_at",
                where="ended_at IS NOT NULL AND cleanup IN ('pending', 'failed')",
            ),
            index("lease_kept", "keep_until", where="keep_until IS NOT NULL"),
            index("lease_live", "company_id", "id", where="ended_at IS NULL"),
            index(
                "lease_place",
                "driver",
                "provider_lease_id",
                unique=True,
                where="cleanup IN ('pending', 'failed', 'retained', 'parked')",
            ),
        ),
        journal=table(
            "journal",
            Column("lease_id", Text, primary_key=True),
            Column("seq", Integer, primary_key=True, autoincrement=False),
            Column("at", BigInteger, nullable=False),
            Column("event", Text, nullable=False),
            Column("kind", Text, nullable=False),
            Column("source", Text),
            Column("dest", Text),
            Column("attempt", Text),
            Column("owner", Text),
            Column("epoch", BigInteger, nullable=False),
            Column("error_code", Text),
            Column("duration_ms", Integer),
            Column("details", Text, nullable=False),
            with_rowid=False,
        ),
        hold=table(
            "hold",
            Column("subject", Text, primary_key=True),
            Column("lease_id", Text, nullable=False),
            index("hold_lease", "lease_id"),
            with_rowid=False,
        ),
        activity=table(
            "activity",
            Column("lease_id", Text, primary_key=True),
            Column("action", Text, primary_key=True),
            Column("at", BigInteger, nullable=False),
            Column("company_id", Text, nullable=False),
            Column("run_id", Text),
            Column("agent_id", Text),
            Column("details", Text, nullable=False),
            with_rowid=False,
        ),
        execution_workspace=table(
            "execution_workspace",
            Column("id", Text, primary_key=True),
            Column("company_id", Text, nullable=False),
            Column("mode", Text, nullable=False),
            Column("strategy", Text, nullable=False),
            Column("config", Text, nullable=False),
            Column("metadata", Text, nullable=False),
            Column("created_at", BigInteger, nullable=False),
            Column("updated_at", BigInteger, nullable=False),
        ),
        sighting=table(
            "sighting",
            Column("driver", Text, primary_key=True),
            Column("place", Text, primary_key=True),
            Column("key", Text, nullable=False),
            Column("first_seen", BigInteger, nullable=False),
            Column("last_seen", BigInteger, nullable=False),
            Column("decided_at", BigInteger),
        ),
        epochs=Sequence(f"{prefix}epoch", metadata=metadata) if shared else None,
    )
