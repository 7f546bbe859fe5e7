"""A pooler in transaction mode: leases live behind it, and nothing of ours stays on the sessions that it shares."""

import asyncio
from pathlib import Path

import psycopg
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.verify import verify
from leasehold.states import LeaseState
from pooler import Pooler
from postgres import PostgresServer


async def test_leases_live_behind_it(
    postgres: PostgresServer, pooler: Pooler, database: str, provider: Provider, tree: Path, tmp_path: Path
) -> None:
    postgres.ask(f"ALTER DATABASE {database} SET synchronous_commit = off")
    settings, driver = Settings(state_folder=tmp_path), ScriptedDriver(provider)

    async def life(orchestrator: Orchestrator) -> LeaseState:
        async with orchestrator.lease(environment="place", workspace=tree) as lease:
            await lease.extend("1h")
        return lease.state

    url = pooler.url(database)
    async with (
        Orchestrator.open(url, drivers=[driver], settings=settings) as first,
        Orchestrator.open(url, drivers=[driver], settings=settings) as second,
    ):
        await first.environments.add("default", "place", "scripted", {})
        lives = [life(orchestrator) for orchestrator in (first, second) for _ in range(20)]
        assert set(await asyncio.gather(*lives)) == {LeaseState.RELEASED}
        assert [finding async for finding in verify(first.store)] == []
    names = ("synchronous_commit", "enable_seqscan", "statement_timeout", "default_transaction_isolation")
    found = set[tuple[str, ...]]()
    with psycopg.connect(url) as one, psycopg.connect(url) as other:
        for connection in (one, other):
            row = connection.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).fetchone()
            found.add(row or ())
    assert found == {("off", "on", "0", "read committed")}
    postgres.ask(f"ALTER DATABASE {database} RESET ALL")
