"""The scripted driver."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from leasehold.drivers.capabilities import Capabilities, Fencing, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Check, Health, Problem
from leasehold.drivers.errors import Gone
from leasehold.drivers.place import (
    Absent,
    Condition,
    Found,
    Handle,
    Observed,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.scripted.config import Reply, ScriptedConfig, Verb, When
from leasehold.drivers.scripted.provider import Provider, Standing
from leasehold.drivers.scripted.shelf import FolderShelf
from leasehold.drivers.scripted.stage import Call, Stage
from leasehold.drivers.scripted.target import ScriptedTarget, ssh_spec
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

T = TypeVar("T")


class ScriptedDriver:
    """Does what its config's script says; without a script, everything works.

    Places live in ``provider`` (shared with whoever is given the same one), or below the config's ``root``.
    """

    name = "scripted"
    version = "1"
    Config = ScriptedConfig

    def __init__(self, provider: Provider | None = None) -> None:
        self.provider = Provider() if provider is None else provider
        self._stage = Stage()

    @property
    def calls(self) -> list[Call]:
        """What this object was asked, oldest first."""
        return self._stage.calls

    def at(
        self,
        verb: Verb,
        when: When,
        callback: Callable[[Call], Awaitable[None] | None],
        *,
        call: int | None = None,
    ) -> None:
        """Call back before or after the verb takes effect; what the callback raises, the verb raises."""
        self._stage.at(verb, when, callback, call=call)

    def at_provider(self, config: ScriptedConfig) -> Provider:
        """Where the places of this config are."""
        return self.provider if config.root is None else Provider(FolderShelf(config.root))

    def capabilities(self, config: ScriptedConfig) -> Capabilities:
        return Capabilities(
            transport=config.transport,
            modes=config.modes,
            exclusive_modes=config.exclusive_modes,
            fencing=config.fencing,
            keyed=config.keyed,
            tagged=config.tagged,
            machine_bound=config.machine_bound,
            visibility_delay=config.visibility_delay,
            keeps=config.keeps,
            parks=config.parks,
            syncs_back=config.syncs_back,
            provisions_in_place=config.provisions_in_place,
            blocking_validate=False,
            summary="places that fail, hang, lie and answer late on script",
        )

    def validate(self, request: PlaceRequest, config: ScriptedConfig) -> list[Problem]:
        mode = request.workspace.mode
        if mode not in config.modes:
            return [Problem("request", f"the scripted environment offers no {mode}")]
        return []

    def subjects(self, request: PlaceRequest, config: ScriptedConfig) -> tuple[str, ...]:
        workspace = request.workspace
        if request.share or request.late or workspace.mode not in config.exclusive_modes:
            return ()
        return (f"scripted:{config.root or 'memory'}:{workspace.path}",)

    async def probe(self, config: ScriptedConfig) -> Health:
        well = Health((Check("scripted", ok=True),))
        return await self._stage.act(self.at_provider(config), "probe", "", config, None, lambda _p, _l: well)

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        keyed = self._config(context).keyed

        def make(provider: Provider, looks: int) -> Handle:
            self._fence(provider, key, context)
            return self._handle(provider.make(tags, keyed=keyed, looks=looks))

        return await self._verb("acquire", key, context, make)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        config = self._config(context)

        def look(provider: Provider, _: int) -> Found | Absent | Unknown:
            self._fence(provider, key, context)
            seen = [standing for standing in provider.look() if standing.tags.key == key]
            for extra in seen[1:]:
                provider.remove(extra.place)
            if seen:
                return Found(self._handle(seen[0]))
            if config.keyed and any(standing.tags.key == key for standing in provider.standing(key)):
                return Unknown("it is on its way")
            if config.keyed and config.fencing is Fencing.ENFORCED:
                return Absent()
            if provider.surely_absent(key, config.visibility_delay):
                return Absent()
            return Unknown(f"not seen, but for less than {config.visibility_delay:g} s")

        return await self._verb("recover", key, context, look)

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        def look(provider: Provider, _: int) -> Observed:
            self._fence(provider, handle.data["key"], context)
            seen = [standing for standing in provider.look() if standing.place == handle.place]
            if not seen:
                return Observed(Condition.GONE)
            kept = seen[0].kept
            return Observed(Condition.STOPPED if kept else Condition.READY, kept or "")

        return await self._verb("inspect", handle.place, context, look)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        def put(provider: Provider, _: int) -> Realization:
            standing = self._there(provider, handle, context)
            standing.workspace = str(workspace.path)
            standing.realized += 1
            standing.kept = None
            standing.exits.clear()
            provider.save(standing)
            cwd = f"/scripted/{handle.place}"
            transport = self._config(context).transport
            return Realization(
                mode=workspace.mode,
                authoritative_root=cwd,
                cwd=cwd,
                transport=transport.value,
                provider=self.name,
                summary=f"{workspace.path} stands in {handle.place}",
                local={"path": str(workspace.path)},
                remote={"path": cwd},
                sync={"strategy": "none", "prepare": None, "sync_back": None},
            )

        return await self._verb("realize", handle.place, context, put)

    async def target(self, handle: Handle, realization: Realization, context: Context) -> ScriptedTarget:
        def resolve(provider: Provider, _: int) -> ScriptedTarget:
            self._there(provider, handle, context)
            return ScriptedTarget(provider, handle, realization, context, executed)

        async def executed(answer: Callable[[], Reply]) -> Reply:
            def run(provider: Provider, _: int) -> Reply:
                self._fence(provider, handle.data["key"], context)
                return answer()

            return await self._verb("execute", handle.place, context, run)

        return await self._verb("target", handle.place, context, resolve)

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        def end(provider: Provider, looks: int) -> Released:
            self._fence(provider, handle.data["key"], context)
            was_there = provider.end(handle.place, mode, looks)
            kept = was_there and mode is ReleaseMode.KEEP
            return Released(was_there=was_there, open_with=f"scripted open {handle.place}" if kept else None)

        return await self._verb("release", handle.place, context, end)

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        tagged = self._config(context).tagged

        def look(provider: Provider, _: int) -> list[Resource]:
            return [
                Resource(self.name, standing.place, standing.tags, self._handle(standing))
                for standing in provider.look()
                if tagged and ledger in (None, standing.tags.ledger)
            ]

        for resource in await self._verb("owned", ledger or "", context, look):
            yield resource

    async def destroy(self, resource: Resource, context: Context) -> None:
        def end(provider: Provider, looks: int) -> None:
            provider.destroy(resource.place, resource.tags, looks)

        await self._verb("destroy", resource.place, context, end)

    async def baseline(self, handle: Handle, realization: Realization, context: Context) -> None:
        def remember(provider: Provider, _: int) -> None:
            self._there(provider, handle, context)

        await self._verb("baseline", handle.place, context, remember)

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        def bring(provider: Provider, _: int) -> SyncReport:
            self._there(provider, handle, context)
            return SyncReport()

        return await self._verb("sync_back", handle.place, context, bring)

    async def recorded(self, handle: Handle, record: str, context: Context) -> int | None:
        def look(provider: Provider, _: int) -> int | None:
            return self._there(provider, handle, context).exits.get(record)

        return await self._verb("recorded", handle.place, context, look)

    async def remote_spec(self, config: ScriptedConfig, lease_metadata: Mapping[str, Any]) -> dict[str, Any] | None:
        spec = ssh_spec(lease_metadata.get("remote_cwd")) if config.transport is Transport.SSH else None
        return await self._stage.act(self.at_provider(config), "remote_spec", "", config, None, lambda _p, _l: spec)

    def _config(self, context: Context) -> ScriptedConfig:
        return cast(ScriptedConfig, context.config)

    def _handle(self, standing: Standing) -> Handle:
        return Handle(self.name, standing.place, {"key": standing.tags.key})

    def _fence(self, provider: Provider, key: str, context: Context) -> None:
        if self._config(context).fencing is Fencing.ENFORCED:
            provider.fence(key, context.epoch)

    def _there(self, provider: Provider, handle: Handle, context: Context) -> Standing:
        self._fence(provider, handle.data["key"], context)
        standing = provider.get(handle.place)
        if standing is None:
            raise Gone(f"{handle.place} is gone")
        return standing

    async def _verb(self, verb: Verb, about: str, context: Context, effect: Callable[[Provider, int], T]) -> T:
        config = self._config(context)
        return await self._stage.act(self.at_provider(config), verb, about, config, context, effect)
