"""The real ``leasehold``, run as a person would, with its store on SQLite and on PostgreSQL.

A test that takes ``cli`` runs on both. ``make test`` runs those on PostgreSQL that are marked with ``both``,
``make faults`` all of them; what is about a file alone is marked with ``on_sqlite``.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import CommandLine


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something outside this process, with a deadline."""

    def wait(happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < end, "it did not happen within 30 s"
            time.sleep(0.02)

    return wait


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def store_url(request: pytest.FixtureRequest, fresh_store: Callable[[str], str]) -> str:
    """A fresh store of either kind."""
    return fresh_store(request.param)


@pytest.fixture
def cli(store_url: str, state_folder: Path, tmp_path: Path) -> Iterator[CommandLine]:
    """``leasehold`` in an empty work folder, with a fresh store. What it started ends with the test."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    cli = CommandLine(home, work, state_folder, store_url)
    yield cli
    for process in cli.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)


@pytest.fixture
def repository(cli: CommandLine) -> Path:
    """The work folder as a git repository with one commit."""
    (cli.work / "a.txt").write_text("a\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *command], cwd=cli.work, env=cli.environment(), check=True)
    return cli.work
