"""What the tests of faults share: a server and a command line of their own, and clocks that are wrong."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import Cases
from commandline import CommandLine
from engine import Engine
from postgres import PostgresServer
from scenes import SERVER, Scene, clear
from sshd import Sshd


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Look at something outside of this process again and again until it holds."""

    def wait(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, "it did not come to hold in time"

    return wait


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which a server may be: its user reaches it."""
    with tempfile.TemporaryDirectory(prefix="leasehold-postgres-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def server(postgres: PostgresServer, folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own."""
    (folder / "own").mkdir()
    server = postgres.another(folder / "own")
    yield server
    server.stop()


@pytest.fixture
def cli(server: PostgresServer, tmp_path: Path, state_folder: Path) -> Iterator[CommandLine]:
    """``leasehold`` with its store there."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    cli = CommandLine(tmp_path / "home", tmp_path / "work", state_folder, server.url())
    yield cli
    for process in cli.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)


@pytest.fixture
def shifted(require: Callable[[str], str]) -> Callable[[str], dict[str, str]]:
    """The variables under which a process's wall clock is wrong by so much, as in ``+1h``."""
    asked = [require("faketime"), "-f", "+1h", "sh", "-c", "echo $LD_PRELOAD"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)

    def variables(offset: str) -> dict[str, str]:
        # faketime itself would wait for the end of whatever the process leaves running
        return {"LD_PRELOAD": told.stdout.strip(), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    return variables


@pytest.fixture
def small(folder: Path, require: Callable[[str], str]) -> Iterator[Callable[[int], Path]]:
    """Makes file systems of so many megabytes."""
    require("mount")
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    made: list[Path] = []

    def make(size: int) -> Path:
        path = folder / f"small{len(made)}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", path], check=True, timeout=30)
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "-l", path], check=True, timeout=30)


@pytest.fixture(params=["sqlite", "postgresql"])
def cases(request: pytest.FixtureRequest, tmp_path: Path, require: Callable[[str], str]) -> Iterator[Cases]:
    """Cases on a fresh store each, with what their scene needs."""
    engines = list[Engine]()

    def prepare(scene: Scene, folder: Path) -> None:
        if scene.needs:
            require(scene.needs)
        if scene.needs == "sshd":
            server: Sshd = request.getfixturevalue("ssh_server")
            (folder / SERVER).write_text(json.dumps(server.config()))
        if scene.engine is not None:
            engine: Engine = request.getfixturevalue(f"{scene.engine.program}_engine")
            if engine not in engines:
                engines.append(engine)
            (folder / SERVER).write_text(json.dumps({"folder": str(engine.folder)}))

    if request.param == "sqlite":
        made: Path = request.getfixturevalue("made_store")

        def fresh(folder: Path) -> str:
            return f"sqlite:///{shutil.copy(made, folder / 'state' / 'leasehold.db')}"
    else:
        server: Any = request.getfixturevalue("postgres")
        database: str = request.getfixturevalue("made_database")

        def fresh(folder: Path) -> str:
            server.empty(database)
            return str(server.url(database))

    yield Cases(tmp_path, fresh, prepare, on_a_server=request.param == "postgresql")
    for engine in engines:
        engine.clear()
    for folder in tmp_path.glob("case*"):
        clear(folder)
