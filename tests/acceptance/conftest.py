"""The real ``leasehold``, run as a person would, with its store on SQLite and on PostgreSQL.

A test that takes ``cli`` runs on both. ``make test`` runs those on PostgreSQL that are marked with ``both``,
``make faults`` all of them; what is about a file alone is marked with ``on_sqlite``.
"""

import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster
import pytest
from cluster import Cluster
from commandline import CommandLine
from engine import Engine


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


@pytest.fixture
def pods() -> Iterator[Cluster]:
    """The cluster of ``make test-kubernetes``. The pods of this process's namespace end with the test."""
    found = cluster.cluster()
    if found is None:
        pytest.skip(cluster.LACKING)
    yield found
    for name in found.pods():
        found.remove(name)


@pytest.fixture
def pod_box(cli: CommandLine, pods: Cluster) -> Callable[..., None]:
    """Makes an environment of pods: its name, and what is set besides."""

    def add(name: str, **settings: object) -> None:
        config = {**pods.config(), **settings}
        plain = {key: str(value).lower() if isinstance(value, bool) else value for key, value in config.items()}
        words = [word for key, value in plain.items() for word in ("--set", f"{key}={value}")]
        cli("env", "add", name, "--driver", "sandbox", "--set", "provider=kubernetes", *words, code=0)

    return add


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gets the source of a published project that is not ours, as its index has it."""
    folder = tmp_path_factory.mktemp("published")

    def get(release: str) -> Path:
        if not (folder / release).exists():
            words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
            words += ["--no-binary", ":all:", "-d", str(folder), release.replace("-", "==").replace("_", "-")]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
            archives = list(folder.glob(f"{release}.tar.gz"))
            if not archives:
                pytest.skip(f"no package index: {done.stderr[-200:]}")
            with tarfile.open(archives[0]) as tar:
                tar.extractall(folder, filter="data")
        return folder / release

    return get


@pytest.fixture(params=["docker", pytest.param("podman", marks=pytest.mark.long)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A real engine, in which a failed test leaves nothing to the next."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    yield engine
    engine.clear()


@pytest.fixture
def box(cli: CommandLine, engine: Engine) -> Callable[..., None]:
    """Makes an environment of the engine's: its name, and what is set besides."""
    cli.variables.update(engine.variables)

    def add(name: str, **settings: str) -> None:
        config = {key: str(value).replace("'", '"') for key, value in engine.config().items()} | settings
        words = [word for key, value in config.items() for word in ("--set", f"{key}={value}")]
        cli("env", "add", name, "--driver", "sandbox", "--set", f"provider={engine.program}", *words, code=0)

    return add
