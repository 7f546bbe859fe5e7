"""Ours: a life of six commits through the library."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from leasehold.orchestrator import Orchestrator, Settings
from noop import NoopDriver


@asynccontextmanager
async def opened(
    url: str, concurrent: int, commits: Any, held: int = 0, **settings: Any
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    with TemporaryDirectory(prefix="leasehold-bench-") as name:
        folder = Path(name)
        drivers = [NoopDriver(folder / "none", look=False)]
        async with Orchestrator.open(
            url, drivers=drivers, settings=Settings(state_folder=folder, **settings)
        ) as orchestrator:
            if "noop" not in {row.name for row in await orchestrator.environments.listing("default")}:
                await orchestrator.environments.add("default", "noop", "noop", {})

            left = iter(range(held))

            async def hold() -> None:
                for _ in left:
                    await orchestrator.acquire(environment="noop", workspace=folder)

            await asyncio.gather(*(hold() for _ in range(64)))

            async def life() -> None:
                async with orchestrator.lease(environment="noop", workspace=folder, provision="true") as lease:
                    await lease.exec("true")

            yield life
