"""SQLAlchemy Core: the same rows, a commit each, a pooled connection and a thread a lease."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from leasehold.orchestrator.store.migration import ensure
from leasehold.orchestrator.store.schema import schema
from same_rows import values
from sqlalchemy import bindparam, create_engine, insert, update


@asynccontextmanager
async def opened(url: str, concurrent: int, commits: Any) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    tables = schema(dialect="postgresql")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), pool_size=concurrent)
    ensure(engine, tables, make=True)
    lease, number = tables.lease, itertools.count()
    stored = update(lease).where(
        lease.c.id == bindparam("k_id"),
        lease.c.version == bindparam("k_version"),
        lease.c.epoch == bindparam("k_epoch"),
    )

    def one() -> None:
        for row, version, rows in values(commits, f"core{next(number)}"):
            with engine.begin() as connection:
                if version is None:
                    connection.execute(insert(lease), row)
                else:
                    keys = {"k_id": row.pop("id"), "k_version": version, "k_epoch": row["epoch"]}
                    if connection.execute(stored, {**row, **keys}).rowcount != 1:
                        raise AssertionError("a write met no row")
                connection.execute(insert(tables.journal), rows)

    with ThreadPoolExecutor(concurrent) as threads:
        loop = asyncio.get_running_loop()

        async def life() -> None:
            await loop.run_in_executor(threads, one)

        yield life
    engine.dispose()
