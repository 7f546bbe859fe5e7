"""By hand: psycopg, a connection a lease, a transaction a commit, the same rows."""

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from leasehold.orchestrator.store.migration import ensure
from leasehold.orchestrator.store.schema import schema
from same_rows import bound
from sqlalchemy import create_engine


@asynccontextmanager
async def opened(url: str, concurrent: int, commits: Any) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    ensure(engine, schema(dialect="postgresql"), make=True)
    engine.dispose()
    free = [await psycopg.AsyncConnection.connect(url) for _ in range(concurrent)]
    every, number = [*free], itertools.count()

    async def life() -> None:
        connection, lease_id = free.pop(), f"hand{next(number)}"
        for statement, row, journal, rows in bound(commits, lease_id, "%s"):
            async with connection.transaction():
                done = await connection.execute(statement.encode(), row)
                if done.rowcount != 1:
                    raise AssertionError("a write met no row")
                for line in rows:
                    await connection.execute(journal.encode(), line)
        free.append(connection)

    yield life
    for connection in every:
        await connection.close()
