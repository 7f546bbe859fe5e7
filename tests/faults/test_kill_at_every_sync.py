"""``leasehold run`` is killed at each of its syncs to disk; whatever stood there is ended by ``fail``.

strace's inject finds the syncs: those of the store are ``fdatasync``, those of places ``fsync``.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.verify import verify

LEASEHOLD = str(Path(sys.executable).with_name("leasehold"))
# how many syncs one thread of an undisturbed run makes; test_these_are_all_of_them holds them to it
POINTS = {"fdatasync": 15, "fsync": 16}
CLAIM_SECONDS = 1.5

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Site:
    """A repository, a store and a state folder, and how to run in them."""

    folder: Path
    strace: str
    marker: str

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/state/leasehold.db"

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "LEASEHOLD_STORE": self.url,
            "LEASEHOLD_STATE_FOLDER": str(self.folder / "state"),
            "LEASEHOLD_CLAIM_SECONDS": str(CLAIM_SECONDS),
        }

    def run(self, *trace: str, claim: float = CLAIM_SECONDS) -> subprocess.CompletedProcess[bytes]:
        """``leasehold run`` under strace, with a command that would outlive everything."""
        command = f"setsid sleep 987{self.marker} & echo out > made.txt"
        life = [
            "run",
            "--workspace",
            str(self.project),
            "--mode",
            "git_worktree",
            "--provision",
            "true",
            "--run-id",
            "r",
        ]
        arguments = [self.strace, "-f", *trace, LEASEHOLD, *life, "--", "sh", "-c", command]
        env = {**self.env, "LEASEHOLD_CLAIM_SECONDS": str(claim)}
        return subprocess.run(arguments, env=env, capture_output=True, timeout=120, check=False)

    def running(self) -> list[int]:
        """Processes of the command that still run; dead ones do not count."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if f"987{self.marker}".encode() in line and b"strace" not in line and state not in "ZX":
                    found.append(int(entry.name))
        return found


@pytest.fixture
def site(tmp_path: Path, store_path: Path, require: Callable[[str], str]) -> Iterator[Site]:
    made = Site(tmp_path, require("strace"), str(time.monotonic_ns())[-9:])
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C", str(made.project)]
    made.project.mkdir()
    (made.project / "file.txt").write_text("one\n")
    for step in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *step], check=True, timeout=30)
    yield made
    for pid in made.running():
        os.kill(pid, 9)


async def until(true: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait for something outside this process: it is looked at again until the deadline."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


def test_these_are_all_of_them(site: Site) -> None:
    log = site.folder / "trace"
    done = site.run("-o", str(log), "-e", "trace=fsync,fdatasync", claim=60.0)  # no renewal counts among them
    assert done.returncode == 0, done.stderr.decode()
    calls = Counter[tuple[str, str]]()
    for line in log.read_text().splitlines():
        match = re.match(r"(\d+)\s+(fsync|fdatasync)\(", line)
        if match:
            calls[match[1], match[2]] += 1
    for call, points in POINTS.items():
        most = max(count for (_, name), count in calls.items() if name == call)
        assert 3 <= most <= points, f"{call} is called {most} times by one thread: POINTS does not cover it"


@pytest.mark.parametrize(
    ("call", "number"),
    [
        pytest.param(call, number, marks=() if number % 5 == 0 else pytest.mark.long)
        for call, points in POINTS.items()
        for number in range(1, points + 1)
    ],
)
async def test_killed_at_a_sync(site: Site, call: str, number: int) -> None:
    site.run("-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")

    await until(lambda: not site.running(), 15, f"the command's processes end: {site.running()}")
    settings = Settings(state_folder=site.folder / "state", claim_seconds=CLAIM_SECONDS)
    async with Orchestrator.open(site.url, settings=settings) as orchestrator:
        assert [finding async for finding in verify(orchestrator.store)] == []
        for row in await orchestrator.ledger.of_run("default", "r"):
            if row.facts.state.live or row.facts.cleanup.open:
                end = time.monotonic() + 10
                while not (stuck := await orchestrator.ledger.listing("default", stuck=True)):
                    assert time.monotonic() < end, f"ls --stuck does not show it: {row.facts}"
                    await asyncio.sleep(0.1)
                assert [found.terms.id for found in stuck] == [row.terms.id]
                await orchestrator.fail(row.terms.id, "killed")
            after = await orchestrator.ledger.find("default", row.terms.id)
            assert not after.facts.state.live
            assert not after.facts.cleanup.open
            assert after.facts.pending_event is None
        assert [finding async for finding in verify(orchestrator.store)] == []
        assert await orchestrator.ledger.listing("default", stuck=True) == []

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(site.project), *arguments], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    assert git("worktree", "list").count("\n") == 1
    assert git("branch", "--list", "leasehold/*") == ""
    assert git("status", "--porcelain") == ""
    left = [path.name for path in (site.folder / "state" / "places").glob("*") if path.name != ".fences"]
    assert [name for name in left if not name.startswith(".")] == []


def test_the_operator_sees_the_same_on_the_command_line(site: Site) -> None:
    """Once through the command line: ls --stuck, fail, verify."""
    site.run("-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:signal=SIGKILL:when=8")

    def leasehold(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LEASEHOLD, *arguments], env=site.env, capture_output=True, text=True, timeout=60, check=False
        )

    end = time.monotonic() + 15
    while not (stuck := json.loads(leasehold("ls", "--stuck", "--json").stdout)):
        assert time.monotonic() < end
    assert stuck[0]["stuck"] == "owner_lost"
    failed = leasehold("fail", stuck[0]["id"], "--reason", "its process was killed")
    assert failed.returncode == 0, failed.stderr
    shown = json.loads(leasehold("show", stuck[0]["id"], "--json").stdout)
    assert (shown["state"], shown["error_code"]) == ("failed", "lease_owner_lost")
    assert shown["cleanup"] in ("succeeded", "not_needed")
    assert leasehold("verify").returncode == 0
