"""``live`` has so many leases in flight, in their provision step, and waits to be killed; ``work`` is a worker.

Their driver does nothing but write down its verbs, and its commands run for ever.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from leasehold.drivers import (
    Command,
    Context,
    Handle,
    PlaceRequest,
    Realization,
    Released,
    ReleaseMode,
    Result,
    Tags,
    Target,
    Workspace,
)
from leasehold.orchestrator import Orchestrator, Settings
from noop import NoopDriver, NoopTarget


class HangingTarget(NoopTarget):
    """A command never ends."""

    def __init__(self, driver: "WritingDriver") -> None:
        self._driver = driver

    async def execute(self, command: Command) -> Result:
        self._driver.note("execute", command.cwd or "")
        await asyncio.Event().wait()
        raise AssertionError("it was never set")


class WritingDriver(NoopDriver):
    """Each verb is a line of the file ``verbs``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "none", look=False)
        self._verbs = os.open(folder / "verbs", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.flying = asyncio.Semaphore(0)

    def note(self, verb: str, about: str) -> None:
        os.write(self._verbs, f"{verb} {about}\n".encode())
        if verb == "execute":
            self.flying.release()

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        self.note("acquire", key)
        return Handle("noop", key)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        self.note("realize", handle.place)
        return await super().realize(handle, workspace, context)

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        return HangingTarget(self)

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        self.note("release", handle.place)
        return Released()


async def main(what: str, url: str, folder: str, claim: str, lives: str = "0") -> None:
    settings = Settings(state_folder=Path(folder), claim_seconds=float(claim), worker_seconds=0.25)
    driver = WritingDriver(Path(folder))
    async with Orchestrator.open(url, drivers=[driver], settings=settings) as orchestrator:
        if what == "work":
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            async with orchestrator.worker():
                await stop.wait()
            return
        request: dict[str, Any] = {"environment": "place", "workspace": folder, "provision": "make", "share": True}
        flying = [asyncio.ensure_future(orchestrator.acquire(**request)) for _ in range(int(lives))]
        for _ in flying:
            await driver.flying.acquire()
        print("in flight", flush=True)  # noqa: T201 - whoever kills it waits for the line
        await asyncio.gather(*flying)


asyncio.run(main(*sys.argv[1:]))
