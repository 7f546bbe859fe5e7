"""After an outage of the store nobody takes over until one claim time after it came back."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings, StillHeld
from leasehold.states import LeaseState
from postgres import PostgresServer

SOON, LATE = 0.5, 300.0  # claim times, in seconds


def claims(seconds: float) -> dict[str, str]:
    return {"LEASEHOLD_CLAIM_SECONDS": str(seconds)}


def test_a_lapsed_owner_is_spared_for_one_claim_time(
    cli: CommandLine, server: PostgresServer, until: Callable[[Callable[[], bool]], None]
) -> None:
    def stuck(claim: float) -> list[str]:
        return [row["stuck"] for row in cli("ls", "--stuck", "--json", code=0, variables=claims(claim)).json]

    running = cli.start("run", "--", "sh", "-c", "echo up; sleep 300", variables=claims(SOON))
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.kill()
    running.communicate(timeout=30)
    until(lambda: stuck(SOON) == ["owner_lost"])
    server.restart()
    assert stuck(LATE) == []
    lease = cli.lease()["id"]
    held = cli("exec", lease, "--", "true", code=125, variables=claims(LATE))
    assert f"lease {lease} is held by process {running.pid}" in held.error
    until(lambda: stuck(SOON) == ["owner_lost"])
    cli("fail", lease, "--reason", "its host died", code=0, variables=claims(SOON))
    assert (cli.lease()["error_code"], cli.lease()["cleanup"]) == ("lease_owner_lost", "succeeded")
    cli("verify", code=0)


@pytest.mark.long
async def test_a_crash_of_the_server_counts_where_the_role_may_see_it(server: PostgresServer, tmp_path: Path) -> None:
    """It ends every session and recovers, while its start stays as it was."""
    async with Orchestrator.open(server.url(), settings=Settings(state_folder=tmp_path)) as orchestrator:
        before, clock = orchestrator.store.clock.back_since, orchestrator.store.clock
        [(started, pid)] = server.ask(
            "SELECT pg_postmaster_start_time(), pid FROM pg_stat_activity WHERE state = 'idle' LIMIT 1"
        )
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while clock.back_since == before:
            assert time.monotonic() < end
            await orchestrator.ledger.listing("default")
        assert clock.back_since > before
        assert server.ask("SELECT pg_postmaster_start_time()") == [(started,)]


@pytest.mark.long
async def test_a_server_that_comes_back_with_another_clock_robs_nobody(
    server: PostgresServer, tmp_path: Path, shifted: Callable[[str], dict[str, str]]
) -> None:
    """As after a move to a host whose clock is an hour ahead: every claim seems to have passed."""
    ahead = ["env", *(f"{name}={value}" for name, value in shifted("+1h").items())]
    provider = Provider()
    settings = Settings(state_folder=tmp_path, claim_seconds=3.0, store_patience_seconds=30.0)

    async with (
        Orchestrator.open(server.url(), drivers=[ScriptedDriver(provider)], settings=settings) as owner,
        Orchestrator.open(server.url(), drivers=[ScriptedDriver(provider)], settings=settings) as other,
    ):
        await owner.environments.add("default", "place", "scripted", {})
        lease = await owner.acquire(environment="place", workspace=tmp_path)
        claimed = (await other.ledger.find("default", lease.id)).alive_until
        assert claimed is not None
        await asyncio.to_thread(server.restart, ahead)
        looks = 0
        while True:
            row = await other.ledger.find("default", lease.id)
            assert row.alive
            assert row.stuck is None
            with pytest.raises(StillHeld):
                await other.attach(lease.id)
            looks += 1
            if row.now > other.store.clock.back_since + 3_000_000:
                break
        assert looks > 1
        assert row.now > claimed + 1_800_000_000
        assert (await lease.exec("true")).ok
        await lease.release()
        assert lease.state is LeaseState.RELEASED
