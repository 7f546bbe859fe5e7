"""Creating and migrating a store, in one transaction together with its version stamp.

The first two digits of a version are its series, one for each minor of Leasehold. Within a series a migration only
adds what older code does not miss, so that the code before runs beside this one on one store (CONTRIBUTING.md).
"""

import sqlite3

from leasehold.orchestrator.store.clock import wall
from leasehold.orchestrator.store.errors import StoreAbsent, StoreTooNew
from leasehold.orchestrator.store.ids import Ids
from leasehold.orchestrator.store.schema import Schema
from sqlalchemy import Connection, Engine, func, inspect, select, text

HEAD = "0005"
_SERIES = slice(0, 2)
_LOCK_SECONDS = 60
_STATEMENT_SECONDS = 3600  # a new index over many leases takes its time


def current(connection: Connection, schema: Schema) -> str | None:
    """The version that the store is at; none where there is no ledger."""
    if not inspect(connection).has_table(schema.version_table):
        return None
    quoted = connection.dialect.identifier_preparer.quote(schema.version_table)
    return connection.execute(text(f"SELECT version_num FROM {quoted}")).scalar()


def suits(version: str) -> bool:
    """Whether this code works with a store of that version: its own, or a later one of its series."""
    return version >= HEAD and version[_SERIES] == HEAD[_SERIES]


def ensure(engine: Engine, schema: Schema, *, make: bool) -> None:
    """Bring the store to this code's version; where there is none, ``make`` it.

    Raises ``StoreTooNew`` where a newer Leasehold has migrated it, and ``StoreAbsent``.
    """
    with engine.connect() as connection:
        version = current(connection, schema)
    if version is None and not make:
        raise StoreAbsent(str(engine.url))
    if version is not None and suits(version):
        return
    if version is not None and version > HEAD:
        raise StoreTooNew(
            f"the store is at version {version}, newer than this Leasehold's {HEAD}",
            hint="install the Leasehold that migrated it, or a newer one",
        )
    _migrate(engine, schema)


def _migrate(engine: Engine, schema: Schema) -> None:
    # imported here: it takes longer than everything else, and only a store that is not current needs it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "leasehold.orchestrator.store:migrations")
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        begin_exclusive(connection, schema)
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, HEAD)
        if connection.execute(select(schema.ledger.c.id)).first() is None:
            values = {"id": Ids().random(8), "created_at": wall(), "epoch": 0}
            there = {name: value for name, value in values.items() if name in schema.ledger.c}
            connection.execute(schema.ledger.insert().values(there))
        connection.commit()


def begin_exclusive(connection: Connection, schema: Schema) -> None:
    """Begin a transaction that no other process's creation or migration can overlap."""
    if connection.dialect.name == "sqlite":
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.isolation_level = None
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # whatever the role's default is: what waited for the lock sees what was committed under it
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'")
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(schema.version_table))))
