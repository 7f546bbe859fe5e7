"""Each so many-th write and sync to disk answers with EIO or ENOSPC; afterwards nothing is lost and nothing stands.

strace's inject makes them, in ``leasehold run`` on SQLite. Disks that are full for real are in
``test_full_disk.py``.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState

LEASEHOLD = str(Path(sys.executable).with_name("leasehold"))
LAST = {"fdatasync": 15, "pwrite64": 60, "fsync": 14}
"""How many of these calls an undisturbed run makes, in one thread, at the most."""


def _points(every: int) -> list[tuple[str, int, str]]:
    found: list[tuple[str, int, str]] = []
    for call, last in LAST.items():
        for number in range(1, last + 1, every):
            found.append((call, number, "EIO" if (number // every) % 2 else "ENOSPC"))
    return found


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        *_points(29),
        *(pytest.param(*point, marks=pytest.mark.long) for point in _points(11)),
        *(pytest.param(*point, marks=(pytest.mark.long, pytest.mark.nightly)) for point in _points(1)),
    ],
)
async def test_a_write_fails(
    store_path: Path,
    state_folder: Path,
    tmp_path: Path,
    require: Callable[[str], str],
    call: str,
    number: int,
    error: str,
    tried: Callable[..., None],
) -> None:
    project, url = tmp_path / "project", f"sqlite:///{store_path}"
    project.mkdir()
    (project / "file.txt").write_text("one\n")
    variables = {"LEASEHOLD_STORE": url, "LEASEHOLD_STATE_FOLDER": str(state_folder), "LEASEHOLD_CLAIM_SECONDS": "1"}
    trace = [require("strace"), "-f", "-o", "/dev/null", "-e", f"trace={call}"]
    trace += ["-e", f"inject={call}:error={error}:when={number}"]
    life = ["run", "--workspace", str(project), "--mode", "copy", "--run-id", "r", "--", "true"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*trace, LEASEHOLD, *life],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in (0, 1, 125), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert "error: " in done.stderr

    async with Orchestrator.open(url, settings=Settings(state_folder=state_folder, claim_seconds=1.0)) as orchestrator:
        assert [finding async for finding in verify(orchestrator.store)] == []
        end = asyncio.get_running_loop().time() + 20
        while [row for row in await orchestrator.ledger.of_run("default", "r") if _open(row)]:
            assert asyncio.get_running_loop().time() < end, "it stays open"
            await orchestrator.duties()
            await orchestrator.replay_stuck()
        assert [finding async for finding in verify(orchestrator.store)] == []
        rows = await orchestrator.ledger.of_run("default", "r")
        if done.returncode == 0:
            assert [row.facts.state for row in rows] == ["released"], json.dumps(str(rows))
        assert [decision for decision in await orchestrator.sweep() if decision.place] == []
    left = [path.name for path in (state_folder / "places").glob("*") if not path.name.startswith(".")]
    tried("failing writes and syncs", injected=1, left=len(left))
    assert left == []


def _open(row: Row) -> bool:
    facts = row.facts
    return facts.state.live or facts.cleanup in (CleanupState.PENDING, CleanupState.FAILED)
