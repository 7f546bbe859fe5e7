"""A platform is killed between its calls, and inside them; its run's end leaves nothing, whoever says it."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from leasehold.drivers.scripted import ScriptedConfig, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.verify import verify
from leasehold.states import ErrorCode

CLAIM_SECONDS = 1.0
PLATFORM = """
import asyncio, os, signal, sys
from pathlib import Path
from leasehold.drivers.scripted import ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings

url, folder, verb, when, claim = sys.argv[1:]
driver = ScriptedDriver()
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if when in ("before", "after"):
    driver.at(verb, when, die)

async def main():
    settings = Settings(state_folder=Path(folder), claim_seconds=float(claim))
    async with Orchestrator.open(url, drivers=[driver], settings=settings) as orchestrator:
        config = {"root": folder + "/provider", "transport": "ssh"}
        place = await orchestrator.environments.add("default", "box", "scripted", config)
        kept = {"id": "ew", "mode": "shared_workspace", "config": {"provision_command": "make"}}
        run = {"company_id": "default", "adapter_type": "claude_local", "run_id": "run"}
        run["persisted_execution_workspace"] = kept
        held = await orchestrator.acquire_for_run(**run, selected_environment_id=place.id)
        if verb == "acquired":
            die()
        tree = {"cwd": folder}
        await orchestrator.realize_for_run(**run, environment=place, lease=held.lease, execution_workspace=tree)
        die()

asyncio.run(main())
"""

POINTS = [
    ("acquire", "before"),
    ("acquire", "after"),
    ("remote_spec", "before"),
    ("acquired", "then"),
    ("realize", "before"),
    ("realize", "after"),
    ("execute", "after"),
    ("target", "before"),
    ("targeted", "then"),
]


@pytest.mark.parametrize(("verb", "when"), POINTS)
async def test_killed(store_path: Path, tmp_path: Path, verb: str, when: str) -> None:
    url, folder = f"sqlite:///{store_path}", str(tmp_path)
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PLATFORM, url, folder, verb, when, str(CLAIM_SECONDS)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    settings = Settings(state_folder=tmp_path, claim_seconds=CLAIM_SECONDS)
    async with Orchestrator.open(url, settings=settings) as orchestrator:
        assert [finding async for finding in verify(orchestrator.store)] == []
        end = time.monotonic() + 20
        while not await orchestrator.ledger.listing("default", stuck=True):
            assert time.monotonic() < end, "nobody sees that its owner is lost"
            await asyncio.sleep(0.05)
        ended = await orchestrator.release_for_run(
            run_id="run", company_id="default", status="failed", failure_reason="the platform was killed"
        )
        assert ended.errors == []
        [record] = ended.released
        assert record.lease.error_code == ErrorCode.RUN_FAILED
        assert record.lease.failure_reason == "the platform was killed"
        assert record.lease.cleanup_status == "success"
        assert ScriptedDriver().at_provider(ScriptedConfig(root=tmp_path / "provider")).standing() == []
        assert [finding async for finding in verify(orchestrator.store)] == []
