"""An orchestrator on a fresh store of each kind, with a scripted driver."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings

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
