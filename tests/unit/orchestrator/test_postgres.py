"""PostgreSQL as a store: what is said of a bad one, and what holds when it fails in the middle."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from leasehold.orchestrator import Orchestrator, Settings, StoreError
from leasehold.orchestrator.store import clock, columns, postgres_session
from leasehold.orchestrator.store.errors import StaleWrite
from leasehold.orchestrator.store.server_clock import ServerClock
from leasehold.orchestrator.store.statement import BatchStatement
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.write import Write
from leasehold.states import Entry, Kind
from postgres import PostgresServer
from proxy import Cut, Proxy
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.pool import NullPool

Opened = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["postgresql"])
def store_url(postgres: PostgresServer, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
def opened(store_url: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str = store_url, **options: Any) -> AsyncGenerator[Store]:
        store = await Store.open(url, **options)
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
async def store(opened: Opened) -> AsyncGenerator[Store]:
    async with opened(patience=3.0) as store:
        yield store


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()


def changing(version: int, epoch: int = 0) -> list[Any]:
    base = {"version": version, "state": "resolved", "cleanup": "not_needed", "owners": 1, "cleanup_tries": 0}
    return [{**base, "owner": "owner", "epoch": epoch}.get(name) for name in columns.CHANGING]


def entry(seq: int) -> Entry:
    return Entry(seq, seq, "resolve", Kind.DONE, "requested", "resolved", f"attempt{seq}", "owner", 0)


def new(lease_id: str, **more: Any) -> Write:
    values = {"id": lease_id, "company_id": "c", "run_id": "r", "policy": "ephemeral", "request": "{}", "config": "{}"}
    terms = tuple(0 if name == "created_at" else values.get(name) for name in columns.TERMS)
    return Write(lease_id, None, None, changing(1), [entry(1)], terms=terms, draws=True, **more)


def then(lease_id: str, version: int, epoch: int) -> Write:
    return Write(lease_id, version, epoch, changing(version + 1, epoch), [entry(version + 1)])


async def versions(store: Store) -> dict[str, int]:
    lease, journal = store.schema.lease, store.schema.journal

    def query(connection: Connection) -> dict[str, int]:
        rows: dict[str, int] = {row.id: row.version for row in connection.execute(select(lease))}
        assert connection.scalar(text(f"SELECT count(*) FROM {journal.name}")) == sum(rows.values())
        return rows

    return await store.read(query)


async def backend(store: Store) -> int:
    """The process id of the writer's session."""
    pid: int = await store.writer.job(lambda connection: connection.scalar(text("SELECT pg_backend_pid()")))
    return pid


# --- the connection ends


@pytest.mark.parametrize("cut", Cut)
async def test_a_commit_without_an_answer_is_settled(
    postgres: PostgresServer, proxy: Proxy, opened: Opened, database: str, cut: Cut
) -> None:
    url = postgres.url(database).replace(str(postgres.port), str(proxy.port))
    async with opened(url, patience=3.0) as store:
        epochs = [await store.writer.write(new("a")), await store.writer.write(new("b"))]
        proxy.cut = cut
        answers = await asyncio.gather(
            store.writer.write(then("a", 1, epochs[0])),
            store.writer.write(then("b", 7, epochs[1])),
            store.writer.write(new("c")),
            return_exceptions=True,
        )
        assert proxy.done.is_set()
        assert answers[0] == epochs[0]
        assert isinstance(answers[1], StaleWrite)
        assert isinstance(answers[2], int)
        assert answers[2] > max(epochs)
        assert await versions(store) == {"a": 2, "b": 1, "c": 1}


@pytest.mark.parametrize("meanwhile", ["LOCK TABLE leasehold_hold", "ALTER TABLE leasehold_hold RENAME TO away"])
async def test_what_was_settled_stays_so_where_the_rest_of_its_batch_fails(
    postgres: PostgresServer, proxy: Proxy, opened: Opened, database: str, meanwhile: str
) -> None:
    url = postgres.url(database).replace(str(postgres.port), str(proxy.port))
    async with opened(url, patience=1.0) as store:
        # the first goes alone and the others together, so that the next two do as well
        _, *epochs = await asyncio.gather(*(store.writer.write(new(name)) for name in "xab"))
        proxy.through.clear()
        proxy.cut = Cut.ANSWERED
        writes = [store.writer.write(then("a", 1, epochs[0])), store.writer.write(then("b", 7, epochs[1]))]
        with psycopg.connect(postgres.url(database)) as other:
            assert await asyncio.to_thread(proxy.done.wait, 10)
            other.execute(meanwhile.encode())
            if "RENAME" in meanwhile:
                other.commit()
            proxy.through.set()
            answers = await asyncio.gather(*writes, return_exceptions=True)
            other.rollback()
            other.execute("ALTER TABLE IF EXISTS away RENAME TO leasehold_hold")
        assert answers[0] == epochs[0]
        assert isinstance(answers[1], StoreError)
        assert await versions(store) == {"x": 1, "a": 2, "b": 1}


async def test_what_was_sent_and_still_waits_is_ended_before_it_is_told(
    postgres: PostgresServer, proxy: Proxy, opened: Opened, database: str
) -> None:
    url = postgres.url(database).replace(str(postgres.port), str(proxy.port))
    async with opened(url, patience=3.0) as store:
        epoch = await store.writer.write(new("a"))
        old = await backend(store)
        with psycopg.connect(postgres.url(database)) as other:
            other.execute("SELECT FROM leasehold_lease FOR UPDATE")
            proxy.cut = Cut.SENT
            writing = store.writer.write(then("a", 1, epoch))
            await ended(postgres, old)
            other.rollback()
        assert await writing == epoch
        assert await versions(store) == {"a": 2}


async def ended(postgres: PostgresServer, pid: int) -> None:
    """A session of that server is gone: it is looked for until the deadline."""
    end = time.monotonic() + 10
    while await asyncio.to_thread(postgres.ask, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid):
        assert time.monotonic() < end


async def test_a_session_that_is_ended_is_replaced(postgres: PostgresServer, store: Store) -> None:
    epoch = await store.writer.write(new("a"))
    for version in (1, 2):
        pid = await backend(store)
        postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leasehold'")
        await ended(postgres, pid)
        assert await versions(store) == {"a": version}
        assert await store.writer.write(then("a", version, epoch)) == epoch
    postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leasehold'")
    assert await backend(store) != pid
    assert await versions(store) == {"a": 3}


async def test_a_server_that_stays_away_is_said(
    postgres: PostgresServer, proxy: Proxy, opened: Opened, database: str
) -> None:
    url = postgres.url(database).replace(str(postgres.port), str(proxy.port))
    async with opened(url, patience=0.3) as store:
        epoch = await store.writer.write(new("a"))
        proxy.close()
        with pytest.raises(StoreError, match="did not say whether a commit holds"):
            await store.writer.write(then("a", 1, epoch))
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.writer.write(then("a", 1, epoch))
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.read(lambda connection: connection.scalar(text("SELECT 1")))


async def test_a_server_that_was_stopped_in_its_tracks_is_not_waited_for(opened: Opened) -> None:
    async with opened(patience=0.2) as store:
        epoch = await store.writer.write(new("a"))
        pid = await backend(store)
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(StoreError, match="did not say whether a commit holds"):
                    await store.writer.write(then("a", 1, epoch))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert isinstance(await store.writer.write(new("b")), int)


# --- what other sessions do to a batch


async def test_a_deadlock_is_undone_and_done_again(postgres: PostgresServer, store: Store, database: str) -> None:
    epochs = {name: await store.writer.write(new(name)) for name in "ab"}
    with psycopg.connect(postgres.url(database)) as other:
        other.execute("SET deadlock_timeout = '10s'")  # so that it is the writer who is ended
        other.execute("SELECT FROM leasehold_lease WHERE id = 'b' FOR UPDATE")
        writes = [asyncio.ensure_future(store.writer.write(then(name, 1, epochs[name]))) for name in "ab"]
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
        end = time.monotonic() + 10
        while not await asyncio.to_thread(postgres.ask, waiting, database):
            assert time.monotonic() < end
        await asyncio.to_thread(other.execute, "SELECT FROM leasehold_lease WHERE id = 'a' FOR UPDATE")
        other.rollback()
        assert await asyncio.gather(*writes) == [epochs["a"], epochs["b"]]
    assert await versions(store) == {"a": 2, "b": 2}


async def test_a_lease_that_another_session_locks_fails_alone(
    postgres: PostgresServer, opened: Opened, database: str
) -> None:
    async with opened(patience=0.3) as store:
        epochs = {name: await store.writer.write(new(name)) for name in "ab"}
        with psycopg.connect(postgres.url(database)) as other:
            other.execute("SELECT FROM leasehold_lease WHERE id = 'a' FOR UPDATE")
            writes = [store.writer.write(then(name, 1, epochs[name])) for name in "ab"]
            answers = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(answers[0], StoreError)
        assert "is locked by another session" in str(answers[0])
        assert answers[1] == epochs["b"]
        assert await versions(store) == {"a": 1, "b": 2}


async def test_while_one_batch_waits_other_leases_go_on(
    postgres: PostgresServer, opened: Opened, database: str
) -> None:
    names = [f"l{number:02}" for number in range(24)]
    async with opened(patience=20.0) as store:
        epochs = dict(zip(names, await asyncio.gather(*(store.writer.write(new(name)) for name in names)), strict=True))
        with psycopg.connect(postgres.url(database)) as other:
            other.execute("SELECT FROM leasehold_lease WHERE id = %s FOR UPDATE", (names[0],))
            writes = [asyncio.ensure_future(store.writer.write(then(name, 1, epochs[name]))) for name in names]
            done, held_up = await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
            assert writes[0] in held_up
            assert {await write for write in done} <= {*epochs.values()}
            other.rollback()
        assert await asyncio.gather(*writes) == [*epochs.values()]
        assert await versions(store) == dict.fromkeys(names, 2)


async def test_two_processes_that_want_the_same_subjects_leave_no_half_hold(opened: Opened) -> None:
    subjects = [("x", "y"), ("y", "z"), ("z", "x")]
    async with opened() as first, opened() as second:
        hold = first.schema.hold
        for turn in range(20):
            writes = [
                store.writer.write(new(f"{turn}-{store.ids.random()}", holds=wanted))
                for store in (first, second)
                for wanted in subjects
            ]
            answers = await asyncio.gather(*writes, return_exceptions=True)
            assert sum(isinstance(answer, int) for answer in answers) == 1
            held = await first.read(lambda connection: connection.execute(select(hold)).all())
            assert len({row.lease_id for row in held}) == 1
            assert len(held) == 2
            await first.writer.job(lambda connection: connection.execute(hold.delete()))


async def test_a_cancelled_query_is_asked_again(postgres: PostgresServer, store: Store, database: str) -> None:
    epoch = await store.writer.write(new("a"))
    pid = await backend(store)
    with psycopg.connect(postgres.url(database)) as other:
        other.execute("SELECT FROM leasehold_lease FOR UPDATE")
        writing = store.writer.write(then("a", 1, epoch))
        await waits(postgres, pid)
        postgres.ask("SELECT pg_cancel_backend(%s)", pid)
        await waits(postgres, pid)
        other.rollback()
    assert await writing == epoch


async def waits(postgres: PostgresServer, pid: int) -> None:
    """A session waits for a lock: it is looked at until the deadline."""
    end = time.monotonic() + 10
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    while not await asyncio.to_thread(postgres.ask, query, pid):
        assert time.monotonic() < end


async def test_a_look_that_is_cancelled_is_said(postgres: PostgresServer, store: Store, database: str) -> None:
    asleep = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"

    def sleep(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(60)"))

    looking = asyncio.ensure_future(store.read(sleep))
    end = time.monotonic() + 10
    while not (found := await asyncio.to_thread(postgres.ask, asleep, database)):
        assert time.monotonic() < end
    postgres.ask("SELECT pg_cancel_backend(%s)", found[0][0])
    with pytest.raises(StoreError, match="cancelled a statement: canceling statement due to user request") as caught:
        await looking
    assert caught.value.hint
    assert await versions(store) == {}


async def test_a_statement_that_takes_too_long_is_cancelled(opened: Opened) -> None:
    async with opened(patience=0.2) as store:

        def sleep(connection: Connection) -> None:
            connection.execute(text("SELECT pg_sleep(60)"))

        for answer in (store.read(sleep), store.writer.job(sleep)):
            with pytest.raises(StoreError, match="cancelled a statement"):
                await answer


async def test_a_process_that_stops_in_a_transaction_holds_nothing_for_long(opened: Opened) -> None:
    async with opened(patience=0.1) as store:
        pid = await backend(store)

        def stopped(connection: Connection) -> None:
            connection.execute(text("SELECT 1"))
            with psycopg.connect(store.engine.url.render_as_string().replace("+psycopg", ""), autocommit=True) as other:
                end = time.monotonic() + 10
                while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
                    assert time.monotonic() < end
            connection.execute(text("SELECT 1"))

        with pytest.raises(StoreError, match="ended a session that was idle in its transaction"):
            await store.writer.job(stopped)
        assert isinstance(await store.writer.write(new("a")), int)


async def test_a_job_that_is_undone_by_others_is_done_again(store: Store) -> None:
    tries: list[int] = []

    def job(connection: Connection) -> int:
        tries.append(1)
        if len(tries) < 3:
            connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
        return len(tries)

    assert await store.writer.job(job) == 3


# --- what the sessions are set to


async def test_what_is_acknowledged_is_durable_whatever_the_database_says(
    postgres: PostgresServer, opened: Opened, database: str
) -> None:
    postgres.ask(f"ALTER DATABASE {database} SET synchronous_commit = off")
    postgres.ask(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    try:
        async with opened() as store:
            ask = text("SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')")
            settings = await store.writer.job(lambda connection: tuple(connection.execute(ask).one()))
            assert settings == ("on", "read committed")
    finally:
        postgres.ask(f"ALTER DATABASE {database} RESET ALL")


async def test_a_batch_looks_everything_up_by_index_from_the_first_one_on(store: Store) -> None:
    """A plan is kept for the life of a session: it may not be one that suits empty tables."""
    statement = BatchStatement(store.schema, store.engine.dialect)
    parameters = statement.parameters([new("a", environment=("e", 1), holds=("x",)), then("b", 1, 1)])

    def plan(connection: Connection) -> str:
        rows = connection.exec_driver_sql(f"EXPLAIN {statement.text.decode()}", parameters)
        return "\n".join(row[0] for row in rows)

    seen = await store.writer.job(plan)
    for table in ("lease", "hold", "environment"):
        assert f" using leasehold_{table}_pkey on leasehold_{table}" in seen, seen
    assert "Seq Scan" not in seen
    assert "JIT" not in seen


async def test_a_host_s_pool_gets_no_session_of_ours_back(
    postgres: PostgresServer, opened: Opened, database: str
) -> None:
    engine = create_engine(
        postgres.url(database).replace("postgresql", "postgresql+psycopg"), pool_size=2, max_overflow=0
    )
    async with opened(engine=engine) as store:
        await store.writer.write(new("a"))
    with engine.connect() as connection:
        for name, value in (("enable_seqscan", "on"), ("statement_timeout", "0")):
            assert connection.scalar(text(f"SELECT current_setting('{name}')")) == value
    engine.dispose()


async def test_a_host_s_pool_that_is_empty_is_a_store_error_and_no_end(
    postgres: PostgresServer, opened: Opened, database: str
) -> None:
    url = postgres.url(database).replace("postgresql", "postgresql+psycopg")
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    async with opened(engine=engine) as store:
        with engine.connect():
            with pytest.raises(StoreError, match="no connection to spare"):
                await store.writer.write(new("a"))
            with pytest.raises(StoreError, match="no connection to spare"):
                await store.drawn()
        await store.writer.write(new("a"))
        assert await versions(store) == {"a": 1}
    engine.dispose()


async def test_an_engine_of_another_driver_is_refused(store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql", "postgresql+psycopg"), poolclass=NullPool)
    await Store.open("", engine=engine)
    with pytest.raises(StoreError, match="not a store URL"):
        await Store.open("")


# --- time


def test_the_server_s_time_moves_only_where_an_answer_proves_it_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = 1000

    def since_boot(_clock: int) -> int:
        return boot * 1000

    monkeypatch.setattr(clock.time, "clock_gettime_ns", since_boot)
    seen = ServerClock(server=5000, received=1000)
    assert seen.now() == 5000
    seen.hear(server=5100, sent=1000, received=1200)  # between 4900 and 5100 when it was asked
    assert seen.now() == 5000
    seen.hear(server=5300, sent=1000, received=1200)  # it was at least 5100 then
    assert seen.now() == 5100
    seen.hear(server=3000, sent=1000, received=1000)  # the server's clock was set back
    assert seen.now() == 5100
    boot = 4000
    assert seen.now() == 6000


def shift(monkeypatch: pytest.MonkeyPatch, nanoseconds: int) -> None:
    """Make this host's clocks wrong by that much."""
    since_boot, wall = time.clock_gettime_ns, time.time_ns

    def wrong_since_boot(which: int) -> int:
        return since_boot(which) + nanoseconds

    def wrong_wall() -> int:
        return wall() + nanoseconds

    monkeypatch.setattr(clock.time, "clock_gettime_ns", wrong_since_boot)
    monkeypatch.setattr(clock.time, "time_ns", wrong_wall)


async def test_clocks_of_two_hosts_an_hour_apart_do_not_matter(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state_folder=tmp_path)
    async with Orchestrator.open(store_url, settings=settings) as first:
        lease = await first.acquire(workspace=tmp_path, ttl="10m")
        for hour in (3_600_000_000_000, -3_600_000_000_000):
            shift(monkeypatch, hour)
            async with Orchestrator.open(store_url, settings=settings) as second:
                theirs = second.store.clock.now()
                row = await second.ledger.find("default", lease.id)
                assert (row.alive, row.stuck) == (True, None)
            monkeypatch.undo()
            await first.ledger.find("default", lease.id)
            assert abs(first.store.clock.now() - theirs) < 30_000_000
        await lease.release()


# --- stores that cannot be used


BAD = (
    ("postgresql://postgres@127.0.0.1:1/x", "cannot be reached: .*refused"),
    ("postgresql://postgres@127.0.0.1:{port}/nosuch", 'is not there: database "nosuch" does not exist'),
    ("postgresql://nobody:sesame@127.0.0.1:{port}/{database}", 'refused the login: role "nobody" does not exist'),
    ("postgresql://locked:sesame@127.0.0.1:{port}/{database}", "refused the login: password authentication failed"),
    ("postgresql://poor@127.0.0.1:{port}/{database}", "does not let this role do that: permission denied"),
    ("postgresql://poor@127.0.0.1:{port}/postgres", "does not let this role do that: permission denied"),
    ("postgresql://postgres:sesame@127.0.0.1:{port}/{database}?sslmode=require", "cannot be reached: .*SSL"),
    ("postgresql://postgres:sesame@127.0.0.1:x/{database}", "not a store URL"),
    (
        "postgresql://postgres:sesame@127.0.0.1:{port}/{database}?nonsense=1",
        "not a store URL: invalid connection option",
    ),
    ("postgresql+asyncpg://postgres:sesame@127.0.0.1:{port}/{database}", "through psycopg 3, not asyncpg"),
)


@pytest.mark.parametrize(("url", "said"), BAD, ids=[said for _, said in BAD])
async def test_a_store_that_cannot_be_used_says_why(
    postgres: PostgresServer, database: str, url: str, said: str
) -> None:
    postgres.roles()
    with pytest.raises(StoreError, match=said) as caught:
        await Store.open(url.format(port=postgres.port, database=database))
    assert "\n" not in str(caught.value)
    assert "sesame" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint


async def test_a_database_that_is_read_only_is_read_and_not_written(
    postgres: PostgresServer, store_url: str, database: str, tmp_path: Path
) -> None:
    postgres.ask(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        async with Orchestrator.open(store_url, settings=Settings(state_folder=tmp_path)) as orchestrator:
            assert await orchestrator.ledger.listing("default") == []
            with pytest.raises(StoreError, match=r"is read-only: .*read-only transaction"):
                await orchestrator.acquire(workspace=tmp_path)
    finally:
        postgres.ask(f"ALTER DATABASE {database} RESET ALL")


async def test_an_old_server_is_refused(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "OLDEST", 99)
    with pytest.raises(StoreError, match=r"PostgreSQL \d+ is older than 99"):
        await Store.open(store_url)


async def test_a_full_disk_is_said_and_nothing_is_acknowledged(store: Store) -> None:
    epoch = await store.writer.write(new("a"))

    def fill(connection: Connection) -> None:
        connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'No space left'; END $$"))

    with pytest.raises(StoreError, match="has a full disk: No space left"):
        await store.writer.job(fill)
    trigger = "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE SQLSTATE '53100'; END $$ LANGUAGE plpgsql"
    await store.writer.job(lambda connection: connection.execute(text(trigger)))
    on = "CREATE TRIGGER full_disk BEFORE INSERT ON leasehold_journal EXECUTE FUNCTION full_disk()"
    await store.writer.job(lambda connection: connection.execute(text(on)))
    try:
        with pytest.raises(StoreError, match="has a full disk"):
            await store.writer.write(then("a", 1, epoch))
        assert await versions(store) == {"a": 1}
    finally:
        await store.writer.job(lambda connection: connection.execute(text("DROP FUNCTION full_disk CASCADE")))
    assert await store.writer.write(then("a", 1, epoch)) == epoch
