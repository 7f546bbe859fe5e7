"""Ours: a life of six commits through the library."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from leasehold.orchestrator import Orchestrator, Settings
from noop import NoopDriver


@asynccontextmanager
async def opened(url: str, concurrent: int, commits: Any) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    with TemporaryDirectory(prefix="leasehold-bench-") as name:
        folder = Path(name)
        drivers = [NoopDriver(folder / "none", look=False)]
        async with Orchestrator.open(url, drivers=drivers, settings=Settings(state_folder=folder)) as orchestrator:
            if "noop" not in {row.name for row in await orchestrator.environments.listing("default")}:
                await orchestrator.environments.add("default", "noop", "noop", {})

            async def life() -> None:
                async with orchestrator.lease(environment="noop", workspace=folder, provision="true") as lease:
                    await lease.exec("true")

            yield life
