"""Ours, in a process that holds 10,000 other leases all the while."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from leasehold.orchestrator import Orchestrator, Settings
from noop import NoopDriver

HELD = 10_000


@asynccontextmanager
async def opened(url: str, concurrent: int, commits: Any) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    with TemporaryDirectory(prefix="leasehold-bench-") as name:
        folder = Path(name)
        drivers = [NoopDriver(folder / "none", look=False)]
        settings = Settings(state_folder=folder, claim_seconds=3.0)  # renewed each second: what it costs is seen
        async with Orchestrator.open(url, drivers=drivers, settings=settings) as orchestrator:
            await orchestrator.environments.add("default", "noop", "noop", {})
            left = iter(range(HELD))

            async def hold() -> None:
                for _ in left:
                    await orchestrator.acquire(environment="noop", workspace=folder)

            await asyncio.gather(*(hold() for _ in range(64)))

            async def life() -> None:
                async with orchestrator.lease(environment="noop", workspace=folder, provision="true") as lease:
                    await lease.exec("true")

            yield life
