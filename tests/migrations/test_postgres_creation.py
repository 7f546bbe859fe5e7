"""Creating a store on PostgreSQL: once, whole, and beside what a host has in the same database."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from leasehold.orchestrator import Orchestrator, Settings, StoreTooNew
from leasehold.orchestrator.store.migration import HEAD, current
from leasehold.orchestrator.store.schema import schema
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.verify import verify
from opening import OPEN
from postgres import PostgresServer
from sqlalchemy import create_engine, inspect, text

# the server waits at the creation of this table, long enough for the process to be killed there
SLOW = """
CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT bool_or(object_identity LIKE '%journal') FROM pg_event_trigger_ddl_commands()) THEN
    PERFORM pg_sleep(60);
  END IF;
END $$;
CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION slow();
"""


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[str]:
    """A database in which nothing is."""
    name = postgres.database()
    yield name
    postgres.ask(f"DROP DATABASE {name} WITH (FORCE)")


def opening(url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", OPEN, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_the_migrations_make_what_the_schema_says(postgres: PostgresServer, database: str) -> None:
    tables = schema(dialect="postgresql")
    engine = create_engine(postgres.url(database).replace("postgresql", "postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.version_table})
        assert compare_metadata(context, tables.metadata) == []
        assert current(connection, tables) == HEAD
        collations = connection.execute(
            text("SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_name LIKE 'leasehold%'")
        )
        assert {row[0] for row in collations if row[0]} == {"C"}
    engine.dispose()


def test_processes_on_an_empty_database_make_one_ledger(postgres: PostgresServer, empty: str) -> None:
    started = [opening(postgres.url(empty)) for _ in range(3)]
    ledgers = set[str]()
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        ledgers.add(out)
    assert len(ledgers) == 1


def test_killed_in_the_middle_of_creating_leaves_nothing(postgres: PostgresServer, empty: str) -> None:
    postgres.ask(SLOW, database=empty)
    process = opening(postgres.url(empty))
    asleep = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    end = time.monotonic() + 30
    while not (found := postgres.ask(asleep, empty)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    postgres.ask(
        "SELECT pg_terminate_backend(%s)", found[0][0]
    )  # as the server does when it has seen that nobody is there
    postgres.ask("DROP EVENT TRIGGER slow", database=empty)
    assert postgres.ask("SELECT 1 FROM pg_tables WHERE tablename LIKE 'leasehold%'", database=empty) == []
    again = opening(postgres.url(empty))
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert len(postgres.ask("SELECT id FROM leasehold_ledger", database=empty)) == 1


async def test_two_ledgers_and_a_host_s_own_tables_share_a_database(
    postgres: PostgresServer, empty: str, tmp_path: Path
) -> None:
    postgres.ask("CREATE TABLE alembic_version (version_num TEXT)", database=empty)
    postgres.ask("INSERT INTO alembic_version VALUES ('the-host')", database=empty)
    first = await Store.open(postgres.url(empty), prefix="one_")
    second = await Store.open(postgres.url(empty), prefix='Odd "two" ')
    assert first.ledger != second.ledger
    for store in (first, second):
        assert [finding async for finding in verify(store)] == []
        tables = inspect(store.engine).get_table_names()
        assert store.schema.lease.name in tables
        await store.close()
    assert postgres.ask("SELECT version_num FROM alembic_version", database=empty) == [("the-host",)]
    engine = create_engine(postgres.url(empty).replace("postgresql", "postgresql+psycopg"))
    async with (
        Orchestrator.open(engine=engine, settings=Settings(state_folder=tmp_path)) as orchestrator,
        orchestrator.lease(workspace=tmp_path) as lease,
    ):
        assert (await lease.exec("true")).ok
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM leasehold_lease")) == 1
    engine.dispose()


async def test_a_store_newer_than_the_code_is_refused(postgres: PostgresServer, empty: str) -> None:
    store = await Store.open(postgres.url(empty))
    await store.close()
    await asyncio.to_thread(postgres.ask, "UPDATE leasehold_version SET version_num = '9999'", database=empty)
    with pytest.raises(StoreTooNew, match="newer than this Leasehold"):
        await Store.open(postgres.url(empty))
