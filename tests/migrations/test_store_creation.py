"""Creating and migrating a store: together with its stamp, once, whoever else starts or dies meanwhile."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from leasehold.orchestrator import Lease, Orchestrator, Settings, StoreError, StoreTooNew
from leasehold.orchestrator.store.migration import HEAD, current
from leasehold.orchestrator.store.schema import schema
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.url import backend_of
from opening import OPEN
from sqlalchemy import create_engine, inspect, select, text


def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def test_the_migrations_make_what_the_schema_says(store_path: Path) -> None:
    tables = schema()
    engine = backend_of(url(store_path), 5).engine
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.version_table})
        assert compare_metadata(context, tables.metadata) == []
        assert current(connection, tables) == HEAD
        for table in tables.metadata.sorted_tables:
            made = {column["name"] for column in inspect(connection).get_columns(table.name)}
            assert made == set(table.columns.keys())
    engine.dispose()


async def test_a_store_of_the_first_version_gets_the_later_ones_tables(tmp_path: Path) -> None:
    """What it holds stays; what came later is added."""
    path = tmp_path / "old.db"
    store = await Store.open(url(path))
    ledger = store.ledger
    await store.close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("DROP INDEX leasehold_lease_company")
        raw.execute("DROP TABLE leasehold_execution_workspace")
        raw.execute("DROP TABLE leasehold_sighting")
        raw.execute("ALTER TABLE leasehold_environment DROP COLUMN max_leases")
        raw.execute("UPDATE leasehold_version SET version_num = '0001'")
    store = await Store.open(url(path))
    assert store.ledger == ledger
    await store.close()
    await test_the_migrations_make_what_the_schema_says(path)


async def test_a_prefix_leaves_the_host_s_own_tables_alone(tmp_path: Path) -> None:
    path = tmp_path / "host.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raw.execute("INSERT INTO alembic_version VALUES ('the-host')")
    store = await Store.open(url(path), prefix="lh_")
    await store.close()
    with closing(sqlite3.connect(path)) as raw:
        names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("the-host",)]
    assert {"lh_lease", "lh_version", "alembic_version"} <= names
    assert not any(name.startswith("leasehold_") for name in names)


async def test_a_host_s_own_engine_is_used_and_left_open(tmp_path: Path) -> None:
    engine = create_engine(url(tmp_path / "host.db"))
    settings = Settings(state_folder=tmp_path)
    async with (
        Orchestrator.open(engine=engine, settings=settings) as orchestrator,
        orchestrator.lease(workspace=tmp_path) as lease,
    ):
        assert (await lease.exec("true")).ok
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM leasehold_lease")) == 1
    engine.dispose()


def test_two_processes_on_an_empty_store_make_one_ledger(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, url(tmp_path / "new.db")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ledgers = set[str]()
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        ledgers.add(out)
    assert len(ledgers) == 1


@pytest.mark.parametrize("sync", range(1, 6))
def test_killed_in_the_middle_of_creating_leaves_none_or_a_whole_one(
    tmp_path: Path, require: Callable[[str], str], sync: int
) -> None:
    path = tmp_path / "new.db"
    trace = [require("strace"), "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
    trace += ["-e", f"inject=fsync,fdatasync:signal=SIGKILL:when={sync}"]
    killed = subprocess.run(
        [*trace, sys.executable, "-c", OPEN, url(path)], capture_output=True, timeout=60, check=False
    )
    assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, 0)
    after = subprocess.run(
        [sys.executable, "-c", OPEN, url(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert after.returncode == 0, after.stderr
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM leasehold_ledger").fetchone() == (1,)
        assert raw.execute("SELECT version_num FROM leasehold_version").fetchall() == [(HEAD,)]


async def test_a_store_newer_than_the_code_is_refused(store_path: Path) -> None:
    with closing(sqlite3.connect(store_path)) as raw, raw:
        raw.execute("UPDATE leasehold_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="newer than this Leasehold"):
        await Store.open(url(store_path))


async def test_a_corrupt_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.db"
    path.write_bytes(b"this is no database, and it is long enough to be read as one" * 40)
    with pytest.raises(StoreError, match="damaged"):
        await Store.open(url(path))


@pytest.mark.parametrize(
    "bad", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://h/x", "sqlite:////proc/no/x.db"]
)
async def test_a_url_that_cannot_be_used_is_refused(bad: str) -> None:
    with pytest.raises(StoreError):
        await Store.open(bad)


async def test_a_locked_store_is_waited_for_and_then_refused(store_path: Path, tmp_path: Path) -> None:
    settings = Settings(state_folder=tmp_path, store_patience_seconds=0.2)
    with closing(sqlite3.connect(store_path, isolation_level=None)) as raw:
        async with Orchestrator.open(url(store_path), settings=settings) as orchestrator:
            await orchestrator.environments.local_default("default")
            raw.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another process"):
                await orchestrator.acquire(workspace=tmp_path)
            raw.execute("ROLLBACK")
            async with orchestrator.lease(workspace=tmp_path):
                pass


async def extend_often(lease: Lease) -> None:
    for _ in range(200):
        await lease.extend("1h")


async def test_a_full_disk_is_said_and_nothing_is_acknowledged(store_path: Path, tmp_path: Path) -> None:
    settings = Settings(state_folder=tmp_path)
    async with Orchestrator.open(url(store_path), settings=settings) as orchestrator:
        lease = await orchestrator.acquire(workspace=tmp_path)

        def fill(connection: object) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

        def free(connection: object) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")  # type: ignore[attr-defined]

        await orchestrator.store.writer.job(fill)
        with pytest.raises(StoreError, match="full"):
            await extend_often(lease)
        before = await orchestrator.ledger.find("default", lease.id)
        assert lease.facts.version == before.facts.version
        await orchestrator.store.writer.job(free)
        await lease.release()
        assert lease.cleanup.value == "succeeded"


async def test_a_read_only_store_says_so(store_path: Path, tmp_path: Path) -> None:
    read_only = f"sqlite:///file:{store_path}?mode=ro&uri=true"  # root may write where permissions say nobody may
    with pytest.raises(StoreError, match="cannot be written"):
        async with Orchestrator.open(read_only, settings=Settings(state_folder=tmp_path)) as orchestrator:
            await orchestrator.acquire(workspace=tmp_path)


async def test_times_grow_and_do_not_follow_the_wall_clock(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await Store.open(url(store_path))
    before = first.clock.now()
    monkeypatch.setattr("leasehold.orchestrator.store.sqlite_backend.wall", lambda: 0)
    second = await Store.open(url(store_path))
    assert 0 <= second.clock.now() - before < 60_000_000
    ledgers = await asyncio.gather(
        *(store.read(lambda connection: connection.scalar(select(schema().ledger.c.id))) for store in (first, second))
    )
    assert len(set(ledgers)) == 1
    await first.close()
    await second.close()
