"""The writer: what applies, what is refused alone, and what a commit without an answer means."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.errors import EnvironmentChanged, HoldConflict, StaleWrite, StoreError, StoreLost
from leasehold.orchestrator.store.sqlite import SqliteBatches
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.store.writer import Writer
from leasehold.states import Entry, Kind
from sqlalchemy import Connection, select


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = await Store.open(store_url)
    yield store
    await store.close()


def entry(seq: int, owner: str = "owner") -> Entry:
    return Entry(seq, seq, "resolve", Kind.DONE, "requested", "resolved", f"attempt{seq}", owner, 0)


def changing(version: int, **values: Any) -> list[Any]:
    base: dict[str, Any] = {"version": version, "state": "resolved", "cleanup": "not_needed", "owners": 1}
    base |= {"cleanup_tries": 0, "epoch": 0, "owner": "owner", **values}
    return [base.get(name) for name in columns.CHANGING]


def new(lease_id: str, **more: Any) -> Write:
    text = {"id": lease_id, "company_id": "c", "run_id": "r", "policy": "ephemeral", "request": "{}", "config": "{}"}
    terms = tuple(0 if name == "created_at" else text.get(name) for name in columns.TERMS)
    return Write(lease_id, None, None, changing(1), [entry(1)], terms=terms, draws=True, **more)


def next_(lease_id: str, version: int, epoch: int, **more: Any) -> Write:
    values = changing(version + 1, epoch=epoch, **more)
    return Write(lease_id, version, epoch, values, [entry(version + 1)])


async def versions(store: Store) -> dict[str, int]:
    lease = store.schema.lease

    def query(connection: Connection) -> dict[str, int]:
        return {row.id: row.version for row in connection.execute(select(lease.c.id, lease.c.version))}

    return await store.read(query)


async def journal(store: Store) -> set[tuple[str, int]]:
    table = store.schema.journal

    def query(connection: Connection) -> set[tuple[str, int]]:
        return {(row.lease_id, row.seq) for row in connection.execute(select(table))}

    return await store.read(query)


async def test_epochs_are_drawn_from_one_growing_sequence(store: Store) -> None:
    epochs = await asyncio.gather(*(store.writer.write(new(f"l{number}")) for number in range(20)))
    assert len(set(epochs)) == 20
    if store.engine.dialect.name == "sqlite":  # on PostgreSQL two writers draw at once
        assert epochs == sorted(epochs)
    assert await store.writer.write(new("later")) > max(epochs)


async def test_a_stale_write_of_a_batch_fails_alone(store: Store) -> None:
    epochs = {name: await store.writer.write(new(name)) for name in ("a", "b", "c")}
    answers = await asyncio.gather(
        store.writer.write(next_("a", 1, epochs["a"])),
        store.writer.write(next_("b", 7, epochs["b"])),
        store.writer.write(next_("c", 1, epochs["c"] + 1)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [int, StaleWrite, StaleWrite]
    assert await versions(store) == {"a": 2, "b": 1, "c": 1}
    assert await journal(store) == {("a", 1), ("a", 2), ("b", 1), ("c", 1)}


async def test_a_write_that_cannot_be_bound_fails_alone(store: Store) -> None:
    answers = await asyncio.gather(
        store.writer.write(new("a")),
        store.writer.write(new("no text \udcff")),
        store.writer.write(new("c")),
        return_exceptions=True,
    )
    assert [isinstance(answer, int) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], UnicodeEncodeError | StoreError)
    assert await store.writer.write(next_("a", 1, answers[0])) == answers[0]  # type: ignore[arg-type]  # an epoch
    assert await versions(store) == {"a": 2, "c": 1}


async def test_two_writes_of_one_lease_are_never_in_one_batch(store: Store) -> None:
    epoch = await store.writer.write(new("a"))
    first, second = store.writer.write(next_("a", 1, epoch)), store.writer.write(next_("a", 1, epoch))
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, StaleWrite]


async def test_a_hold_goes_to_one_and_the_other_hears_who_has_it(store: Store) -> None:
    answers = await asyncio.gather(
        store.writer.write(new("a", holds=("dir:/x",))),
        store.writer.write(new("b", holds=("dir:/x",))),
        store.writer.write(new("c", holds=("dir:/y",))),
        return_exceptions=True,
    )
    conflict = answers[1]
    assert isinstance(conflict, HoldConflict)
    assert (conflict.subject, conflict.holder) == ("dir:/x", "a")
    assert set(await versions(store)) == {"a", "c"}


async def test_a_freed_hold_can_be_taken_in_the_next_write(store: Store) -> None:
    epoch = await store.writer.write(new("a", holds=("dir:/x",)))
    freeing = next_("a", 1, epoch)
    freeing.frees = True
    await store.writer.write(freeing)
    assert await store.writer.write(new("b", holds=("dir:/x",))) > epoch


async def test_a_changed_environment_refuses_the_new_lease(store: Store) -> None:
    with pytest.raises(EnvironmentChanged):
        await store.writer.write(new("a", environment=("unknown", 1)))
    assert await versions(store) == {}


async def test_a_job_that_raises_undoes_only_itself(store: Store) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(store.schema.hold.insert().values(subject="half", lease_id="half"))
        raise ZeroDivisionError

    results = await asyncio.gather(store.writer.write(new("a")), store.writer.job(broken), return_exceptions=True)
    assert isinstance(results[0], int)
    assert isinstance(results[1], ZeroDivisionError)
    held = await store.read(lambda connection: connection.execute(select(store.schema.hold)).all())
    assert held == []


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("happened", [True, False])
async def test_a_commit_without_an_answer_is_read_back(store: Store, happened: bool) -> None:
    """Below the writer: COMMIT raises, after or before it took effect."""
    batches = SqliteBatches(store.engine, store.schema)
    raw = batches._open()  # pyright: ignore[reportPrivateUsage]  # the fault is put below the public surface

    class Faulty:
        """A connection whose COMMIT gives no answer."""

        def __getattr__(self, name: str) -> Any:
            return getattr(raw, name)

        def execute(self, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT":
                raw.execute("COMMIT" if happened else "ROLLBACK")
                raise sqlite3.OperationalError("disk I/O error")
            return raw.execute(statement, *arguments)

    batches._open = lambda: Faulty()  # type: ignore[method-assign,assignment,return-value]  # as above
    [answer] = await asyncio.to_thread(batches.commit, [new("a")], [])
    batches.close()
    if happened:
        assert answer == 1
        assert await versions(store) == {"a": 1}
    else:
        assert isinstance(answer, StoreError)
        assert await versions(store) == {}


class Failing:
    """Batches whose commit raises what nobody foresaw, once."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.anew = 0

    def commit(self, writes: Any, jobs: Any) -> list[Any]:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return [1] * (len(writes) + len(jobs))

    def begin_anew(self) -> None:
        self.anew += 1

    def close(self) -> None:
        return


async def test_what_nobody_foresaw_fails_its_batch_alone() -> None:
    batches = Failing(MemoryError("too much"))
    writer = Writer(batches, asyncio.get_running_loop())
    async with asyncio.timeout(10):
        with pytest.raises(StoreLost, match="whether a commit holds: MemoryError: too much"):
            await writer.write(new("a"))
        assert batches.anew == 1
        assert await writer.write(new("b")) == 1
    await writer.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_job_that_fills_the_disk_fails_alone(store: Store) -> None:
    """SQLite itself undoes the transaction of a statement that finds the disk full."""

    def pragma(text: str, connection: Connection) -> int:
        return connection.exec_driver_sql(f"PRAGMA {text}").scalar_one()

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO leasehold_hold VALUES ('s', zeroblob(300000))")

    pages = await store.writer.job(partial(pragma, "page_count"))
    await store.writer.job(partial(pragma, f"max_page_count={pages}"))
    with pytest.raises(StoreError, match="the disk of the store is full"):
        await store.writer.job(fill)
    await store.writer.job(partial(pragma, "max_page_count=1000000"))
    assert await store.writer.write(new("a")) == 1


async def test_nobody_waits_for_a_writer_that_has_died() -> None:
    writer = Writer(Failing(SystemExit("the thread dies")), asyncio.get_running_loop())
    async with asyncio.timeout(10):
        with pytest.raises(StoreError, match="has ended"):
            await writer.write(new("a"))
        with pytest.raises(StoreError, match="has ended"):
            await writer.write(new("b"))
    await writer.close()


async def test_a_closed_writer_refuses(store_url: str) -> None:
    store = await Store.open(store_url)
    await store.close()
    with pytest.raises(StoreError, match="it was closed"):
        await store.writer.write(new("a"))
