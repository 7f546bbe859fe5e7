"""What many tests share: a part that is missing, and a store that is quickly there, of either kind."""

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import podman
import pytest
import sshd
from docker import Docker
from leasehold.orchestrator.store.store import Store
from podman import Podman
from postgres import PostgresServer, programs
from sshd import Sshd


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Says what a test tried: ``tried("crash points", killed=30, leaks=0)``. The figures of all tests are added up."""

    def say(what: str, **figures: int) -> None:
        record_property("tried", json.dumps([what, figures]))

    return say


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was tried, added up over all tests, and leave it in ``build/figures.json``."""
    sums: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, said in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                if name == "tried":
                    what, figures = json.loads(said)
                    sums.setdefault(what, Counter()).update(figures)
    if sums:
        terminalreporter.section("tried")
        for what, figures in sorted(sums.items()):
            terminalreporter.line(f"{what}: " + ", ".join(f"{name} {count}" for name, count in figures.items()))
        path = Path(__file__).parents[1] / "build" / "figures.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(sums, indent=1, sort_keys=True) + "\n")


def _missing(reason: str) -> None:
    """Skip for want of a part; in CI, fail."""
    if os.environ.get("LEASEHOLD_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def _make(url: str) -> None:
    async def make() -> None:
        store = await Store.open(url)
        await store.close()

    asyncio.run(make())


@pytest.fixture
def require() -> Callable[[str], str]:
    """The path of a program that the test needs; without it the test skips, and fails in CI."""

    def found(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            _missing(f"{program} is not installed")
        return str(path)

    return found


@pytest.fixture(scope="session")
def missing() -> Callable[[str], None]:
    """Skip for want of a part that is no program; in CI, fail."""
    return _missing


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was created and migrated once; tests copy it."""
    path = tmp_path_factory.mktemp("store") / "made.db"
    _make(f"sqlite:///{path}")
    return path


@pytest.fixture
def state_folder(tmp_path: Path) -> Path:
    """The state folder, which is the store's too where it is a file."""
    path = tmp_path / "state"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture
def store_path(made_store: Path, state_folder: Path) -> Path:
    """A fresh store's file."""
    path = state_folder / "leasehold.db"
    shutil.copy(made_store, path)
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that is shared by the tests of this process."""
    found = programs()
    if found is None:
        _missing("PostgreSQL is not installed")
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="leasehold-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder), found)
        server.create()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def made_database(postgres: PostgresServer) -> str:
    """A database with a store that was created and migrated once; tests have it one after the other."""
    name = postgres.database()
    _make(postgres.url(name))
    return name


@pytest.fixture
def database(postgres: PostgresServer, made_database: str) -> str:
    """A store's database, emptied: as good as a fresh one, and twenty times as quick."""
    postgres.empty(made_database)
    return made_database


@pytest.fixture
def fresh_store(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a fresh store of a kind: ``sqlite`` or ``postgresql``."""

    def made(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{request.getfixturevalue('store_path')}"
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.url(request.getfixturevalue("database"))

    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, fresh_store: Callable[[str], str]) -> str:
    """A fresh store, on SQLite and on PostgreSQL."""
    return fresh_store(request.param)


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An sshd that is shared by the tests of this process."""
    if sshd.program() is None:
        _missing("sshd is not installed")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Docker]:
    """A docker engine that is shared by the tests of this process."""
    lacks = docker.lacking()
    if lacks is not None:
        _missing(lacks)
    with tempfile.TemporaryDirectory(prefix="lh-docker-", ignore_cleanup_errors=True) as folder:
        engine = Docker(Path(folder))
        engine.start()
        yield engine
        engine.stop()


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[Podman]:
    """A storage of podman's, likewise; podman is no part of CI."""
    lacks = podman.lacking()
    if lacks is not None:
        pytest.skip(lacks)
    with tempfile.TemporaryDirectory(prefix="lh-podman-", ignore_cleanup_errors=True) as folder:
        engine = Podman(Path(folder))
        engine.start()
        yield engine
        engine.stop()
