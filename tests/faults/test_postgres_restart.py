"""PostgreSQL ends at once, and comes back, in the middle of 200 lives."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import LeaseState
from postgres import PostgresServer

LIVES = 200


@pytest.fixture
def durable(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that waits for the disk."""
    with tempfile.TemporaryDirectory(prefix="leasehold-postgres-", ignore_cleanup_errors=True) as folder:
        server = postgres.another(Path(folder), ("fsync=on", "synchronous_commit=on"))
        yield server
        server.stop()


@pytest.mark.parametrize(
    "after", [pytest.param(1, marks=pytest.mark.long), 60, pytest.param(150, marks=pytest.mark.long)]
)
async def test_an_immediate_restart_loses_nothing(durable: PostgresServer, tmp_path: Path, after: int) -> None:
    provider, told = Provider(), dict[str, tuple[int, LeaseState]]()
    up, restarted = asyncio.Event(), asyncio.Event()

    def acknowledged(lease: Lease) -> None:
        told[lease.id] = (lease.facts.version, lease.state)
        if len(told) >= after:
            up.set()

    async def life(orchestrator: Orchestrator, number: int) -> Lease:
        lease = await orchestrator.acquire(environment="place", workspace=tmp_path, run_id=f"run-{number}")
        acknowledged(lease)
        if number % 3 == 0:
            await restarted.wait()
        assert (await lease.exec("true")).ok
        await lease.release()
        acknowledged(lease)
        return lease

    async def restart() -> None:
        await up.wait()
        await asyncio.to_thread(durable.restart)
        restarted.set()

    settings = Settings(state_folder=tmp_path, store_patience_seconds=30.0)
    url = durable.url(durable.database())
    async with Orchestrator.open(url, drivers=[ScriptedDriver(provider)], settings=settings) as orchestrator:
        await orchestrator.environments.add("default", "place", "scripted", {})
        lives = [life(orchestrator, number) for number in range(LIVES)]
        ended = await asyncio.gather(*lives, restart())
        leases = [lease for lease in ended if lease is not None]
        assert {lease.state for lease in leases} == {LeaseState.RELEASED}
        for row in await orchestrator.ledger.listing("default", limit=LIVES + 1):
            assert told.pop(row.terms.id) == (row.facts.version, row.facts.state)
        assert told == {}
        assert [finding async for finding in verify(orchestrator.store)] == []
    assert provider.standing() == []
