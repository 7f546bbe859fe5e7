"""The ledger, opened: its writer, its readers and its clock."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from leasehold.orchestrator.store.backend import Backend
from leasehold.orchestrator.store.clock import Clock
from leasehold.orchestrator.store.ids import Ids
from leasehold.orchestrator.store.lanes import Lanes
from leasehold.orchestrator.store.migration import current
from leasehold.orchestrator.store.schema import DEFAULT_PREFIX, Schema, schema
from leasehold.orchestrator.store.url import backend_of, backend_on
from leasehold.orchestrator.store.writer import Writer
from sqlalchemy import Connection, Engine, select

T = TypeVar("T")


class Store:
    """One ledger. ``open`` creates and migrates it; ``read`` runs a query off the event loop.

    ``boot`` names the clock by which owners count: a boot of this machine on SQLite, the server on
    PostgreSQL.
    """

    def __init__(
        self,
        backend: Backend,
        tables: Schema,
        writer: Writer | Lanes,
        clock: Clock,
        ledger: str,
        boot: str,
        *,
        own: bool,
    ) -> None:
        self._backend = backend
        self._own = own
        self.engine = backend.engine
        self.schema = tables
        self.writer = writer
        self.clock = clock
        self.hints = backend.hints(tables)
        self.ledger = ledger
        self.boot = boot
        self.ids = Ids()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        engine: Engine | None = None,
        patience: float = 10.0,
        prefix: str = DEFAULT_PREFIX,
        make: bool = True,
    ) -> "Store":
        """Open the ledger at a URL, waiting at most ``patience`` seconds for a lock.

        A host's own ``engine`` is used in place of the URL, and is not disposed of. Where there is none, ``make``
        it. Raises ``StoreError``.
        """
        backend = backend_of(url, patience) if engine is None else backend_on(engine, patience)
        tables = schema(prefix, backend.engine.dialect.name)

        def prepare() -> tuple[Clock, str, str]:
            clock, boot = backend.prepare(tables, make=make)
            return clock, boot, str(backend.read(lambda connection: connection.scalar(select(tables.ledger.c.id))))

        try:
            clock, boot, ledger = await asyncio.to_thread(prepare)
        except BaseException:
            backend.close()
            if engine is None:
                backend.engine.dispose()
            raise
        writers = [Writer(batches, asyncio.get_running_loop()) for batches in backend.batches(tables)]
        writer = writers[0] if len(writers) == 1 else Lanes(writers)
        return cls(backend, tables, writer, clock, ledger, boot, own=engine is None)

    @staticmethod
    async def version_at(url: str, *, patience: float, prefix: str) -> str | None:
        """The version that the store at a URL is at; none where there is none. Neither makes nor migrates it.

        Raises ``StoreError``, also where there is none and none can be made.
        """
        backend = backend_of(url, patience)

        def look() -> str | None:
            try:
                if not backend.there():
                    backend.check_room()
                    return None
                return backend.read(lambda connection: current(connection, schema(prefix)))
            finally:
                backend.close()
                backend.engine.dispose()

        return await asyncio.to_thread(look)

    async def close(self) -> None:
        """Commit what is queued and let go of every connection."""
        await self.hints.close()
        await self.writer.close()
        await asyncio.to_thread(self._backend.close)
        if self._own:
            await asyncio.to_thread(self.engine.dispose)

    async def drawn(self) -> int:
        """The highest epoch that was drawn."""
        return await self.read(lambda connection: connection.scalar(self.schema.drawn) or 0)

    async def draw(self) -> int:
        """The next epoch of the ledger."""
        epoch: int = await self.writer.job(lambda connection: connection.execute(self.schema.next_epoch).scalar_one())
        return epoch

    async def read(self, query: Callable[[Connection], T]) -> T:
        """What a query answers, run in a thread with a connection of its own."""
        return await asyncio.to_thread(self.read_now, query)

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """The same in this thread."""
        return self._backend.read(query)
