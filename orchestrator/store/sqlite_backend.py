"""A store in a SQLite file."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from leasehold.orchestrator.store.clock import Clock, boot_id, since_boot, wall
from leasehold.orchestrator.store.errors import StoreAbsent, StoreError, StoreUrlWrong
from leasehold.orchestrator.store.hints import Hints
from leasehold.orchestrator.store.migration import begin_exclusive, ensure
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.sqlite import SqliteBatches, explain
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")


class SqliteBackend:
    """One file, whose processes share a machine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def at(cls, url: URL, patience: float) -> "SqliteBackend":
        """Raises ``StoreUrlWrong``."""
        if url.database in (None, "", ":memory:"):
            raise StoreUrlWrong("a store in memory cannot outlive a crash", hint="use sqlite:////path/to/file.db")
        engine = create_engine(url, connect_args={"timeout": patience, "check_same_thread": False})

        @event.listens_for(engine, "connect")
        def _configure(raw: sqlite3.Connection, _record: object) -> None:
            raw.execute("PRAGMA journal_mode=WAL").fetchone()
            raw.execute("PRAGMA synchronous=FULL")

        return cls(engine)

    def there(self) -> bool:
        return self._file is None or self._file.exists()

    @property
    def _file(self) -> Path | None:
        """The file, where SQLite is not told in a way of its own which it is."""
        url = self.engine.url
        return None if url.database in (None, "", ":memory:") or "uri" in url.query else Path(str(url.database))

    def prepare(self, tables: Schema, *, make: bool) -> tuple[Clock, str]:
        boot = boot_id()
        if not self.there():
            self._make_room(make=make)
        try:
            ensure(self.engine, tables, make=make)
            with self.engine.connect() as connection:
                offset = connection.scalar(select(tables.boot.c.clock_offset).where(tables.boot.c.id == boot))
                if offset is None:
                    connection.rollback()
                    offset = _anchor(connection, tables, boot)
        except DBAPIError as error:
            raise _explained(error) from error
        return Clock(offset), boot

    def _make_room(self, *, make: bool) -> None:
        if not make:
            raise StoreAbsent(str(self.engine.url))
        folder = self._folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _no_folder(folder, error) from error

    def check_room(self) -> None:
        folder = self._folder
        try:
            there = next(each for each in (folder, *folder.parents) if each.exists())
            with TemporaryDirectory(dir=there):  # permissions alone do not tell: of root, of read-only disks
                pass
        except OSError as error:
            raise _no_folder(folder, error) from error

    @property
    def _folder(self) -> Path:
        assert self._file is not None
        return self._file.absolute().parent

    def close(self) -> None:
        return

    def batches(self, tables: Schema) -> list[SqliteBatches]:
        return [SqliteBatches(self.engine, tables)]

    def hints(self, tables: Schema) -> Hints:
        return Hints()

    def read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self.engine.connect() as connection, connection.begin():
                raw = connection.connection.dbapi_connection
                if isinstance(raw, sqlite3.Connection) and not raw.in_transaction:
                    connection.exec_driver_sql(
                        "BEGIN"
                    )  # the driver begins none for a look: a query of several sees one moment
                return query(connection)
        except DBAPIError as error:
            raise _explained(error) from error


def _anchor(connection: Connection, tables: Schema, boot: str) -> int:
    begin_exclusive(connection, tables)
    known = connection.scalar(select(tables.boot.c.clock_offset).where(tables.boot.c.id == boot))
    if known is not None:
        connection.rollback()
        return int(known)
    seen = [
        connection.scalar(select(func.max(tables.owner.c.started_at))) or 0,
        connection.scalar(select(func.max(tables.ledger.c.created_at))) or 0,
    ]
    offset = max(wall(), *seen) - since_boot()
    connection.execute(tables.boot.insert().values(id=boot, clock_offset=offset))
    connection.commit()
    return offset


def _no_folder(folder: Path, error: OSError) -> StoreError:
    hint = "name another with LEASEHOLD_STATE_FOLDER, or a store with LEASEHOLD_STORE or --store"
    return StoreError(f"the store's folder cannot be made: {folder}: {error.strerror}", hint=hint)


def _explained(error: DBAPIError) -> StoreError:
    cause = error.orig
    return explain(cause) if isinstance(cause, sqlite3.Error) else StoreError(f"the store failed: {cause}")
