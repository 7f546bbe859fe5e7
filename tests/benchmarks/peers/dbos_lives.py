"""DBOS Transact: a workflow of six steps that do nothing. ``flavour`` is how it is started."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS


@asynccontextmanager
async def opened(
    url: str, concurrent: int, commits: Any, flavour: str = "async"
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})

    @DBOS.step()
    async def step() -> None:
        return None

    @DBOS.step()
    def blocking() -> None:
        return None

    @DBOS.workflow()
    async def workflow() -> None:
        for _ in range(6):
            await step()

    @DBOS.workflow()
    def blocking_workflow() -> None:
        for _ in range(6):
            blocking()

    DBOS.launch()
    if flavour == "queue":
        await DBOS.register_queue_async("bench", concurrency=concurrent, polling_interval_sec=0.01)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(concurrent) as threads:

        async def life() -> None:
            match flavour:
                case "async":
                    await workflow()
                case "sync":
                    await loop.run_in_executor(threads, blocking_workflow)
                case _:
                    handle = await DBOS.enqueue_workflow_async("bench", workflow)
                    await handle.get_result()

        yield life
    DBOS.destroy()
