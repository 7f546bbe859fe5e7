"""What a lease that is held at ``targeted`` costs in memory."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

from leasehold.orchestrator import Lease, Orchestrator, Settings
from leasehold.orchestrator.store.write import Write
from noop import NoopDriver


async def lease_bytes(folder: Path, leases: int) -> float:
    """Bytes a lease, with so many of them in memory. Their rows are answered at once instead of written."""
    path = folder / "memory.db"
    driver = NoopDriver(path, look=False)
    settings = Settings(state_folder=folder)
    async with Orchestrator.open(f"sqlite:///{path}", drivers=[driver], settings=settings) as orchestrator:
        await orchestrator.environments.add("default", "noop", "noop", {})
        loop, workspace = asyncio.get_running_loop(), str(folder)

        def answer(write: Write) -> asyncio.Future[int]:
            future: asyncio.Future[int] = loop.create_future()
            future.set_result(write.epoch or 1)
            return future

        writer = orchestrator.store.writer
        writer.write = answer  # type: ignore[method-assign]  # only what stays in memory is measured here
        held: list[Lease | None] = [None] * leases
        await orchestrator.acquire(environment="noop", workspace=workspace, provision="true")
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(leases):
                held[number] = await orchestrator.acquire(environment="noop", workspace=workspace, provision="true")
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / leases
        finally:
            tracemalloc.stop()
            del writer.write
