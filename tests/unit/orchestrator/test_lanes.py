"""Two writers of one store: a lease's writes keep their order, and one writer's end leaves nobody waiting."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import psycopg
import pytest
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.lanes import Lanes
from leasehold.orchestrator.store.sqlite import SqliteBatches
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.store.writer import Writer
from postgres import PostgresServer
from sqlalchemy import Connection, select

from .test_postgres import new, then


class Dying:
    """The writer's side of a store whose thread ends at its first batch, when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def commit(self, writes: Sequence[Write], jobs: Sequence[Callable[[Any], Any]]) -> list[Any]:
        assert self.go.wait(20)
        raise SystemExit("the thread dies")

    def begin_anew(self) -> None:
        return

    def close(self) -> None:
        return


@pytest.fixture
async def store(store_url: str) -> AsyncGenerator[Store]:
    store = await Store.open(store_url, patience=20.0)
    yield store
    await store.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_a_later_write_of_a_lease_waits_for_the_earlier_one(
    postgres: PostgresServer, store: Store, database: str
) -> None:
    names = [f"l{number:02}" for number in range(24)]
    epochs = await asyncio.gather(*(store.writer.write(new(name)) for name in names))
    with psycopg.connect(postgres.url(database)) as other:
        other.execute("SELECT FROM leasehold_lease WHERE id = %s FOR UPDATE", (names[0],))
        both = zip(names, epochs, strict=True)
        writes = [asyncio.ensure_future(store.writer.write(then(name, 1, epoch))) for name, epoch in both]
        await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        # the writer that has the first lease's is held up, and the other is idle
        writes[0].cancel()  # nobody waits for it any more, but it is under way
        later = store.writer.write(then(names[0], 2, epochs[0]))
        last = store.writer.write(then(names[0], 3, epochs[0]))
        await asyncio.gather(*(store.writer.write(new(name)) for name in "yz"))  # the idle one has done what it got
        assert not later.done()
        assert not last.done()
        other.rollback()
    assert await asyncio.gather(later, last, *writes[1:]) == [epochs[0], epochs[0], *epochs[1:]]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("first", [True, False], ids=["the first", "the second"])
async def test_when_one_ends_it_fails_what_it_had_and_the_other_goes_on(store: Store, first: bool) -> None:
    loop, dying = asyncio.get_running_loop(), Dying()
    pair = [Writer(dying, loop), Writer(SqliteBatches(store.engine, store.schema), loop)]
    lanes = Lanes(pair if first else pair[::-1])
    writes = [lanes.write(new(f"l{number:02}")) for number in range(40)]
    jobs = [lanes.job(lambda _: "done") for _ in range(2)]
    dying.go.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*writes, *jobs, return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, StoreError)]
        assert {str(error) for error in failed} == {"the store's writer has ended: the thread dies"}
        assert 8 <= len(failed) < 40
        told = StoreError if first else str
        assert all(isinstance(answer, told) for answer in answers[40:])
        later = await asyncio.gather(*(lanes.write(new(f"m{number:02}")) for number in range(40)))
        assert len({*later}) == 40
        assert await lanes.job(lambda _: "done") == "done"
        await lanes.close()
        with pytest.raises(StoreError):
            await lanes.write(new("late"))

    def count(connection: Connection) -> int:
        return len(connection.execute(select(store.schema.lease)).all())

    acknowledged = [answer for answer in [*answers[:40], *later] if isinstance(answer, int)]
    assert await store.read(count) == len(acknowledged)


async def test_when_both_have_ended_nobody_waits() -> None:
    each = [Dying(), Dying()]
    lanes = Lanes([Writer(dying, asyncio.get_running_loop()) for dying in each])
    writes = [lanes.write(new(f"l{number:02}")) for number in range(40)]
    for dying in each:
        dying.go.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(answer, StoreError) for answer in answers)
        for later in (lanes.write(new("m")), lanes.job(lambda _: "done")):
            with pytest.raises(StoreError, match="has ended"):
                await later
        await lanes.close()
