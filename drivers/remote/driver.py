"""The verbs that are the same wherever a place is reached over a link."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from leasehold.drivers.capabilities import Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Problem
from leasehold.drivers.errors import Conflict, DriverError
from leasehold.drivers.local.validate import workspace_problems
from leasehold.drivers.place import Condition, Handle, Observed, PlaceRequest, Released, ReleaseMode, Resource, Tags
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.remains import recorded
from leasehold.drivers.remote.target import RemoteTarget
from leasehold.drivers.remote.tree import RemoteTree
from leasehold.drivers.target import Target
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

_MOST_REALIZED = 10_000


class Passing(Protocol):
    """The part of a driver's config that says what commands get."""

    @property
    def pass_variables(self) -> tuple[str, ...]:
        """Variables of this machine, by name."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """Variables of the environment's own, each named by a secret reference."""
        ...


class RemoteDriver(ABC):
    """A place over a link; the workspace is copied into it, and changes come back.

    A driver says besides how a place is made under a key, found again, listed and ended, and what holds it:
    a folder on a host, a container, a pod. Its config has what ``Passing`` names, its handles ``folder``.

    Attributes:
        transport: how adapters know the way.
        strategy: what the record of a realized workspace calls the way in which the tree travels.
    """

    name: str
    version = "1"
    transport: Transport = Transport.SANDBOX
    strategy: str = "provider_defined"

    def __init__(self) -> None:
        # By place, the epoch under which it was realized here, where no target was given since: it is as it was seen.
        self._just_realized: dict[str, int] = {}

    @abstractmethod
    def reached(self, handle: Handle, context: Context) -> RemotePlace:
        """The place that a handle names. Raises ``Damaged`` for a handle that cannot be the driver's."""

    @abstractmethod
    async def end(self, handle: Handle, mode: ReleaseMode, context: Context, listed: Tags | None) -> Released:
        """As ``release``; ``listed`` are the tags that the place has to bear still, where it was listed."""

    async def guard(self, handle: Handle, context: Context) -> None:
        """Raise ``Stale`` where what holds the place has seen a newer epoch: a word within is none on that."""
        return

    async def trouble(self, handle: Handle, context: Context) -> Observed | None:
        """What is wrong with what holds the place; none where the place can be looked at."""
        return None

    def remote_side(self, handle: Handle, context: Context) -> Mapping[str, Any]:
        """What the record of a realized workspace says of the other side, besides the path."""
        return {"provider": self.name, "sandbox_id": handle.place}

    def described(self, realization: Realization, context: Context) -> Mapping[str, Any]:
        """What adapters of the transport are told of a target, besides what all are."""
        return {"shell_command": "sh"}

    def validate(self, request: PlaceRequest, config: Any) -> list[Problem]:
        return [] if request.late else workspace_problems(request.workspace, (Mode.COPY,), self.name)

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        try:
            place = self.reached(handle, context)
            trouble = await self.trouble(handle, context)
            if trouble is not None:
                return trouble
            standing = await place.look(context)
        except DriverError as error:
            return Observed(Condition.UNKNOWN, str(error))
        if standing is None:
            return Observed(Condition.GONE, f"{handle.data['folder']} is gone from {place.link.name}")
        if standing.lost:
            return Observed(Condition.GONE, f"the tree {standing.folder}/tree is gone from {place.link.name}")
        return Observed(Condition.READY)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        place = self.reached(handle, context)
        if workspace.mode is not Mode.COPY:
            raise Conflict(f"the place {place.key} was made for the mode {Mode.COPY}")
        await self.guard(handle, context)
        self._just_realized.pop(handle.place, None)
        realization = await RemoteTree(place, context).realize(
            workspace,
            transport=self.transport,
            provider=self.name,
            strategy=self.strategy,
            remote=self.remote_side(handle, context),
        )
        if len(self._just_realized) >= _MOST_REALIZED:  # of leases that were lost since; it only spares a look
            self._just_realized.clear()
        self._just_realized[handle.place] = context.epoch
        return realization

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        place = self.reached(handle, context)
        await self.guard(handle, context)
        if self._just_realized.pop(handle.place, None) != context.epoch:
            await place.demand(context)
        own = await asyncio.to_thread(_variables, context.config, context)
        return RemoteTarget(
            place,
            realization.cwd,
            env={**own, **context.variables, "LEASEHOLD_LEASE": context.lease_id},
            described={
                "kind": "remote",
                "transport": self.transport.value,
                "environment_id": None,
                "lease_id": context.lease_id,
                "remote_cwd": realization.cwd,
                **self.described(realization, context),
            },
            context=context,
        )

    async def baseline(self, handle: Handle, realization: Realization, context: Context) -> None:
        place = self.reached(handle, context)
        await self.guard(handle, context)
        await RemoteTree(place, context).baseline(look=self._just_realized.get(handle.place) != context.epoch)

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        place = self.reached(handle, context)
        await self.guard(handle, context)
        await place.demand(context)
        return await RemoteTree(place, context).sync_back()

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        self._just_realized.pop(handle.place, None)
        return await self.end(handle, mode, context, None)

    async def destroy(self, resource: Resource, context: Context) -> None:
        await self.end(resource.handle, ReleaseMode.DESTROY, context, resource.tags)

    async def recorded(self, handle: Handle, record: str, context: Context) -> int | None:
        return await recorded(self.reached(handle, context), record, context)


def _variables(config: Passing, context: Context) -> dict[str, str]:
    passed = {name: os.environ[name] for name in config.pass_variables if name in os.environ}
    return {**passed, **context.secrets(config.variables)}
