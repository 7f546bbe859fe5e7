"""The ledger, opened: its writer, its readers and its clock."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from leasehold.orchestrator.store.clock import Clock, boot_id, since_boot, wall
from leasehold.orchestrator.store.errors import StoreError, StoreUrlWrong
from leasehold.orchestrator.store.ids import Ids
from leasehold.orchestrator.store.migration import begin_exclusive, current, ensure
from leasehold.orchestrator.store.schema import DEFAULT_PREFIX, Schema, schema
from leasehold.orchestrator.store.sqlite import SqliteBatches, explain
from leasehold.orchestrator.store.writer import Writer
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

T = TypeVar("T")


class Store:
    """One ledger. ``open`` creates and migrates it; ``read`` runs a query off the event loop."""

    def __init__(
        self, engine: Engine, tables: Schema, writer: Writer, clock: Clock, ledger: str, boot: str, *, own: bool
    ) -> None:
        self.engine = engine
        self._own = own
        self.schema = tables
        self.writer = writer
        self.clock = clock
        self.ledger = ledger
        self.boot = boot
        self.ids = Ids()

    @classmethod
    async def open(
        cls, url: str, *, engine: Engine | None = None, patience: float = 10.0, prefix: str = DEFAULT_PREFIX
    ) -> "Store":
        """Open the ledger at a SQLAlchemy URL, waiting at most ``patience`` seconds for a lock.

        A host's own ``engine`` is used in place of the URL, and is not disposed of. Raises ``StoreError``.
        """
        own = engine is None
        engine = engine or make_engine(url, patience)
        tables = schema(prefix, engine.dialect.name)
        clock, ledger, boot = await asyncio.to_thread(_prepare, engine, tables)
        writer = Writer(SqliteBatches(engine, tables), asyncio.get_running_loop())
        return cls(engine, tables, writer, clock, ledger, boot, own=own)

    @staticmethod
    async def version_at(url: str, *, patience: float = 10.0, prefix: str = DEFAULT_PREFIX) -> str | None:
        """The version that the store at a URL is at; none where there is none. Neither makes nor migrates it.

        Raises ``StoreError``.
        """
        engine = make_engine(url, patience)

        def look() -> str | None:
            if not Path(str(engine.url.database)).exists():
                return None
            try:
                with engine.connect() as connection:
                    return current(connection, schema(prefix))
            except DBAPIError as error:
                raise _explain(error) from error
            finally:
                engine.dispose()

        return await asyncio.to_thread(look)

    async def close(self) -> None:
        """Commit what is queued and let go of every connection."""
        await self.writer.close()
        if self._own:
            await asyncio.to_thread(self.engine.dispose)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """What a query answers, run in a thread with a connection of its own."""
        return await asyncio.to_thread(self.read_now, query)

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """The same in this thread."""
        try:
            with self.engine.connect() as connection:
                return query(connection)
        except DBAPIError as error:
            raise _explain(error) from error


def shown_url(url: str) -> str:
    """A store's URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def make_engine(url: str, patience: float) -> Engine:
    """The SQLAlchemy engine of a store. Raises ``StoreUrlWrong``, and ``StoreError`` for its folder."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreUrlWrong(f"not a store URL: {url}", hint="use sqlite:////path/to/file.db") from error
    if backend != "sqlite":
        raise StoreUrlWrong(f"a store of kind {backend} is not supported", hint="use sqlite:////path/to/file.db")
    if parsed.database in (None, "", ":memory:"):
        raise StoreUrlWrong("a store in memory cannot outlive a crash", hint="use sqlite:////path/to/file.db")
    try:
        Path(str(parsed.database)).expanduser().absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder cannot be made: {error}") from error
    engine = create_engine(parsed, connect_args={"timeout": patience, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA journal_mode=WAL").fetchone()
        raw.execute("PRAGMA synchronous=FULL")

    return engine


def _prepare(engine: Engine, tables: Schema) -> tuple[Clock, str, str]:
    boot = boot_id()
    try:
        if engine.dialect.name != "sqlite":
            raise StoreError(f"a store of kind {engine.dialect.name} is not supported", hint="bring a SQLite engine")
        ensure(engine, tables)
        with engine.connect() as connection:
            offset = connection.scalar(select(tables.boot.c.clock_offset).where(tables.boot.c.id == boot))
            if offset is None:
                connection.rollback()
                offset = _anchor(connection, tables, boot)
            ledger = connection.scalar(select(tables.ledger.c.id))
    except DBAPIError as error:
        raise _explain(error) from error
    return Clock(offset), str(ledger), boot


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


def _explain(error: DBAPIError) -> StoreError:
    cause: Any = error.orig
    return explain(cause) if isinstance(cause, sqlite3.Error) else StoreError(f"the store failed: {cause}")
