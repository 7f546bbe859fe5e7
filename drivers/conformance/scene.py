"""One rule's surroundings: a driver, a ledger of its own, a workspace, and the sweeping up afterwards."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

from leasehold.drivers.capabilities import Capabilities, Fencing, Mode
from leasehold.drivers.command import Command, Result
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Driver
from leasehold.drivers.errors import DriverError
from leasehold.drivers.place import (
    Absent,
    Found,
    Handle,
    PlaceRequest,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.target import Target
from leasehold.drivers.workspace import Realization, Workspace

T = TypeVar("T")
_HOUR = 3_600_000_000


class Scene:
    """What one rule works with. On leaving, all that it made is ended; what is left then fails the rule.

    Attributes:
        driver: the driver under test.
        config: its config, of the driver's own class.
        can: its capabilities with that config.
        folder: a new folder; ``state`` below it is the drivers' state folder.
        epoch: the epoch of the calls; ``newer`` draws the next.
        ledger: an id that no other rule uses.
    """

    def __init__(self, suite: Suite, folder: Path) -> None:
        self.suite = suite
        self.folder = folder
        self.driver: Driver = suite.make_driver()
        self.plain = suite.config(folder)
        self.config = self.driver.Config.model_validate(self.plain)
        self.can: Capabilities = self.driver.capabilities(self.config)
        self.mode: Mode = suite.mode or self.can.modes[0]
        self.epoch = 1
        self.ledger = f"conf{uuid.uuid4().hex[:12]}"
        self.lease_id = f"lease{uuid.uuid4().hex[:12]}"
        self._keys: list[str] = []
        self._targets: list[Target] = []
        self._before: set[str] = set()
        (folder / "state").mkdir()

    async def __aenter__(self) -> "Scene":
        self._before = self.suite.left(self.folder)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for target in self._targets:
            await target.close()
        self.newer()
        try:
            for key in self._keys:
                await self.end(key)
            await self.sweep()
        except DriverError:
            if kind is None:
                raise
        if kind is None:
            assert not self.left(), f"left behind: {sorted(self.left())}"

    def left(self) -> set[str]:
        """What stands outside and did not when the rule began."""
        return self.suite.left(self.folder) - self._before

    def require(self, offered: bool, what: str) -> None:
        """Skip the rule where the driver does not offer what it is about."""
        if not offered:
            raise SkipTest(f"{self.driver.name} does not offer {what}")

    def require_group(self, *groups: str) -> None:
        """Skip the rule where the suite opts out of one of these groups."""
        for group in groups:
            if group in self.suite.opts_out:
                raise SkipTest(self.suite.opts_out[group])

    def newer(self) -> int:
        """Draw the next epoch, as a take-over does."""
        self.epoch += 1
        return self.epoch

    def new_key(self) -> str:
        """A resource key of this scene's lease, swept up at the end."""
        key = f"{self.ledger}-{self.lease_id}-{len(self._keys) + 1}"
        self._keys.append(key)
        return key

    def workspace(self, name: str = "tree") -> Workspace:
        """A new workspace of the mode under test."""
        return self.suite.workspace(self.folder / name, self.mode)

    def request(self, workspace: Workspace) -> PlaceRequest:
        return PlaceRequest("conformance", self.lease_id, "run", workspace)

    def tags(self, key: str, epoch: int | None = None) -> Tags:
        now = time.time_ns() // 1000
        return Tags(self.ledger, self.lease_id, key, epoch or self.epoch, now + _HOUR)

    def context(self, *, epoch: int | None = None, seconds: float = 60.0, **fields: Any) -> Context:
        return Context(
            config=self.config,
            deadline=time.monotonic() + seconds,
            epoch=epoch or self.epoch,
            ledger=self.ledger,
            lease_id=self.lease_id,
            state_folder=self.folder / "state",
            **fields,
        )

    async def acquire(self, workspace: Workspace, key: str | None = None) -> Handle:
        """A place under a key (a new one, where none is given)."""
        key = key or self.new_key()
        return await self.driver.acquire(key, self.request(workspace), self.tags(key), self.context())

    async def realized(self, name: str = "tree") -> tuple[Handle, Workspace, Realization]:
        """A place with a new workspace in it."""
        workspace = self.workspace(name)
        handle = await self.acquire(workspace)
        return handle, workspace, await self.driver.realize(handle, workspace, self.context())

    async def target_of(self, handle: Handle, realization: Realization, **context: Any) -> Target:
        """A target there, closed at the end."""
        target = await self.driver.target(handle, realization, self.context(**context))
        self._targets.append(target)
        return target

    async def target(self, **context: Any) -> Target:
        """A target in a new place."""
        handle, _, realization = await self.realized()
        return await self.target_of(handle, realization, **context)

    async def recover(self, key: str) -> Found | Absent:
        """The driver's answer about a key, asked again while it is unknown."""

        async def sure() -> Found | Absent | None:
            answer = await self.driver.recover(key, None, self.context())
            return None if isinstance(answer, Unknown) else answer

        return await self.eventually(sure, 3 * self.can.visibility_delay + 20)

    async def owned(self, ledger: str | None = None) -> list[Resource]:
        """What the driver lists of this scene's ledger."""
        listed = self.driver.owned(ledger or self.ledger, self.context())
        return [resource async for resource in listed]

    async def only(self) -> Resource:
        """The one resource that is listed."""
        listed = await self.owned()
        assert len(listed) == 1, f"one resource was expected, {len(listed)} are listed"
        return listed[0]

    async def release(self, handle: Handle, mode: ReleaseMode = ReleaseMode.DESTROY) -> bool:
        """Release the place; whether it was there."""
        return (await self.driver.release(handle, mode, self.context())).was_there

    async def end(self, key: str) -> None:
        """Recover and destroy whatever stands under a key."""
        answer = await self.recover(key)
        if isinstance(answer, Found):
            await self.release(answer.handle)

    async def sweep(self) -> None:
        """Destroy what is listed, and see that nothing is listed then."""

        async def none_listed() -> bool:
            for resource in await self.owned():
                await self.driver.destroy(resource, self.context())
            return not await self.owned()

        await self.eventually(none_listed, 3 * self.can.visibility_delay + 20)

    async def eventually(self, look: Callable[[], Awaitable[T | None]], seconds: float = 10.0) -> T:
        """The first answer of ``look`` that is true: for what happens outside this process."""
        deadline = time.monotonic() + seconds
        while not (answer := await look()):
            assert time.monotonic() < deadline, f"{look.__name__} did not come true in {seconds:g} s"
            await asyncio.sleep(0.05)
        return answer

    async def refused(self, verb: Awaitable[Any], kind: type[DriverError] = DriverError) -> DriverError:
        """The driver error that a verb raises; another end of it fails the rule."""
        try:
            answer = await verb
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was expected, and the answer was {answer}")

    async def run(self, target: Target, script: str, **fields: Any) -> Result:
        """Execute a POSIX shell script there."""
        command = Command(("sh", "-c", script), timeout=30.0)
        return await target.execute(replace(command, **fields))

    @property
    def fenced(self) -> bool:
        """Whether the place itself refuses an older epoch."""
        return self.can.fencing is Fencing.ENFORCED
