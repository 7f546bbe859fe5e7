"""What many tests share: a part that is missing, and a store that is quickly there."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from leasehold.orchestrator.store.store import Store


@pytest.fixture
def require() -> Callable[[str], str]:
    """The path of a program that the test needs; without it the test skips, and fails in CI."""

    def found(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            reason = f"{program} is not installed"
            if os.environ.get("LEASEHOLD_REQUIRE") == "all":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return found


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was created and migrated once; tests copy it."""
    path = tmp_path_factory.mktemp("store") / "made.db"

    async def make() -> None:
        store = await Store.open(f"sqlite:///{path}")
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
def store_path(made_store: Path, tmp_path: Path) -> Path:
    """A fresh store's file."""
    path = tmp_path / "state" / "leasehold.db"
    path.parent.mkdir()
    shutil.copy(made_store, path)
    return path
