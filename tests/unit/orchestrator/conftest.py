"""An orchestrator on a fresh store of each kind, with a scripted driver."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings
from pooler import Pooler
from postgres import PostgresServer

Opened = AbstractAsyncContextManager[Orchestrator]
Opener = Callable[..., Opened]


@pytest.fixture
def provider() -> Provider:
    """What stands at the scripted provider."""
    return Provider()


@pytest.fixture
def driver(provider: Provider) -> ScriptedDriver:
    return ScriptedDriver(provider)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A workspace."""
    path = tmp_path / "tree"
    path.mkdir()
    return path


@pytest.fixture
def open_orchestrator(store_url: str, state_folder: Path, provider: Provider) -> Opener:
    """Opens an orchestrator on the test's store, as a further process would."""

    @asynccontextmanager
    async def opened(driver: ScriptedDriver | None = None, **settings: Any) -> AsyncGenerator[Orchestrator]:
        chosen = Settings(state_folder=state_folder, **settings)
        drivers = [driver or ScriptedDriver(provider)]
        async with Orchestrator.open(store_url, drivers=drivers, settings=chosen) as orchestrator:
            yield orchestrator

    return opened


@pytest.fixture
async def orchestrator(open_orchestrator: Opener, driver: ScriptedDriver) -> AsyncGenerator[Orchestrator]:
    async with open_orchestrator(driver) as orchestrator:
        yield orchestrator


@pytest.fixture
def pooler(postgres: PostgresServer, require: Callable[[str], str]) -> Iterator[Pooler]:
    """In transaction mode."""
    with tempfile.TemporaryDirectory(prefix="leasehold-pooler-", ignore_cleanup_errors=True) as folder:
        pooler = Pooler(Path(folder), require("pgbouncer"), postgres)
        yield pooler
        pooler.stop()
