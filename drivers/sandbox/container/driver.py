"""Places that are containers: what is the same for every engine with docker's command line."""

import os
import shlex
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.capabilities import Capabilities, Fencing, Limiting, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health
from leasehold.drivers.errors import Conflict, Damaged, DriverError, Gone, Refused, Stale, Unavailable
from leasehold.drivers.keeping import keep_members, remove_old_archives
from leasehold.drivers.local.fence import Fence, remove_old_fences
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import (
    Absent,
    Condition,
    Found,
    Handle,
    Kept,
    Observed,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.remote.driver import RemoteDriver
from leasehold.drivers.remote.old_mirrors import remove_old_mirrors
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.remains import quieted
from leasehold.drivers.remote.strayed import taken
from leasehold.drivers.remote.tree import RemoteTree
from leasehold.drivers.sandbox.container.config import ContainerConfig
from leasehold.drivers.sandbox.container.engine import Container, Engine, Kind, NoImage
from leasehold.drivers.sandbox.container.identities import Identities
from leasehold.drivers.sandbox.container.labels import DRIVER, LEDGER, labels_of, tags_of
from leasehold.drivers.sandbox.container.link import ContainerLink
from leasehold.drivers.sandbox.container.probe import look, look_at_engine
from leasehold.drivers.workspace import Realization, SyncReport

T = TypeVar("T")

ROOT = "/leasehold"
_FENCES = "containers"
_OPEN = ("chmod", "1777", ROOT)
_FOR_EVER = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


class ContainerDriver(RemoteDriver):
    """A place is a container of the lease's own, named by its key; the workspace is copied into it.

    The engine makes no second container of one name, so the same key is the same place. A fence on this
    machine orders what is done with the container, one within it what is done there.
    """

    strategy = "sandbox_archive_upload_download"
    Config = ContainerConfig
    kind: ClassVar[Kind]

    def __init__(self) -> None:
        super().__init__()
        self._identities = Identities()

    def capabilities(self, config: ContainerConfig) -> Capabilities:
        here = (config.host or os.environ.get(self.kind.variable) or "unix://").startswith("unix://")
        return Capabilities(
            Transport.SANDBOX,
            modes=(Mode.COPY,),
            fencing=Fencing.ENFORCED if here else Fencing.ADVISORY,
            keyed=True,
            tagged=True,
            machine_bound=here,
            visibility_delay=0.0,
            keeps=True,
            parks=True,
            syncs_back=True,
            limits=Limiting.ENFORCED if config.any else Limiting.NONE,
            summary=f"containers of {self.name}: a copy of the workspace there, and its changes back",
        )

    async def probe(self, config: ContainerConfig) -> Health:
        return await look(lambda check: Engine(self.kind, config.host, check), config)

    async def machine(self) -> Health:
        """Whether the engine is here, whatever an environment's settings."""
        return await look_at_engine(lambda check: Engine(self.kind, None, check))

    def reached(self, handle: Handle, context: Context) -> RemotePlace:
        return self._place(self._key_of(handle), context, _pinned(handle))

    async def guard(self, handle: Handle, context: Context) -> None:
        Fence(_root(context), self._key_of(handle)).check(context.epoch)

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        begun = time.monotonic()

        def work(engine: Engine, context: Context) -> tuple[Container, str]:
            remove_old_archives(context.state_folder)
            remove_old_fences(_root(context), lambda other: engine.find(_named(other)) is not None)
            container = self._start(engine, key, tags, context) or engine.find(_named(key))
            if container is None:
                raise Gone(f"the container {_named(key)} was removed as soon as it was made")
            if container.labels.get(LEDGER) != tags.ledger:
                raise Conflict(f"the container {container.name} is no place of this ledger", hint="remove or rename it")
            if not container.running:
                _wake(engine, container)
            return container, self._identities.since(begun, engine)

        container, identity = await self._fenced(key, context, work)
        place = self._place(key, context, identity)
        try:
            await place.make(tags, {}, context)
        except Unavailable as error:
            if "Permission denied" not in str(error):
                raise
            # Commands run as a user that is not root: the folder of places is root's, until it is opened.
            await self._asked(context, lambda engine: engine.call("exec", "--user", "0", container.id, *_OPEN))
            await place.make(tags, {}, context)

        async def gone(other: str) -> bool:
            return await self._asked(context, lambda engine: engine.find(_named(other)), identity) is None

        await remove_old_mirrors(place.where, gone, context)
        return self._handle(container, identity)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        key = key if handle is None else self._key_of(handle)

        def work(engine: Engine, context: Context) -> tuple[Container, str] | None:
            container = engine.find(_named(key))
            return None if container is None else (container, engine.identity())

        try:
            found = await self._fenced(key, context, work, _pinned(handle), refuse=True)
            place = self._place(key, context, _pinned(handle))
            if found is None:
                await RemoteTree(place, context).forget()
                return Absent()
            container, identity = found
            if container.labels.get(DRIVER) != self.name:
                return Unknown(f"the container {container.name} is none of ours")
            if container.running:
                with suppress(Stale, Conflict, Damaged):  # whatever it says, it can be ended from outside
                    await place.find(context)
        except (Conflict, Damaged, Unavailable) as error:
            return Unknown(str(error))
        return Found(self._handle(container, identity))

    async def trouble(self, handle: Handle, context: Context) -> Observed | None:
        container = await self._asked(context, lambda engine: engine.find(handle.place), _pinned(handle))
        if container is None:
            return Observed(Condition.GONE, f"the container {handle.place} is gone")
        if not container.running:
            return Observed(Condition.STOPPED, f"the container {handle.place} is {container.trouble}")
        return None

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        def wake(engine: Engine, _: Context) -> None:
            container = engine.find(handle.place)
            if container is not None and not container.running:
                _wake(engine, container)

        await self._fenced(self._key_of(handle), context, wake, _pinned(handle))
        return await super().sync_back(handle, realization, context)

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        wanted = {DRIVER: self.name, LEDGER: ledger}
        listed, identity = await self._asked(context, lambda engine: (engine.labelled(wanted), engine.identity()))
        for container in listed:
            with suppress(Damaged):
                tags = tags_of(container)
                handle = self._handle(container, identity)
                yield Resource(self.name, handle.place, tags, handle, detail=container.trouble)

    async def end(self, handle: Handle, mode: ReleaseMode, context: Context, listed: Tags | None) -> Released:
        key, pinned, place = self._key_of(handle), _pinned(handle), self.reached(handle, context)
        notes, kept = list[str](), list[Kept]()

        def begin(engine: Engine, context: Context) -> Container | None:
            container = engine.find(_named(key))
            if container is None:
                return None
            tags = tags_of(container)
            tags.demand(f"the place {key}", context.ledger, listed)
            if container.running:
                return container
            try:
                _wake(engine, container)
            except (Unavailable, Refused, Gone) as error:
                notes.append(f"the container {container.name} cannot be started: {error}")
                if mode is ReleaseMode.DESTROY:
                    kept.extend(_kept_unentered(container, notes, engine, context))
                return container
            return replace(container, status="running")

        container = await self._fenced(key, context, begin, pinned)
        if mode is not ReleaseMode.DESTROY:
            if container is None:
                raise Gone(f"the place {key} is gone: there is nothing to keep")
            if container.running and await place.find(context) is not None:
                notes.extend(await quieted(place, context))
            return Released(open_with=self._opened(container, key, context), notes=tuple(notes))

        async def remove() -> bool:
            if container is not None:
                await self._fenced(key, context, lambda engine, _: engine.remove(container.id), pinned, ends=True)
            return container is not None

        tree = RemoteTree(place, context)
        if container is not None and container.running:
            try:
                return await tree.finish(await tree.keep_within(), remove)
            except DriverError as error:
                # Whatever its run made of it, or filled that nothing within could ever empty: it ends.
                context.check()
                notes.append(f"the container {container.name} cannot be entered: {error}")
                kept.extend(await self._fenced(key, context, partial(_kept_unentered, container, notes), pinned))
        return await tree.end(None, remove, Ended(tuple(kept), tuple(notes)))

    def _start(self, engine: Engine, key: str, tags: Tags, context: Context) -> Container | None:
        """The container, started; none where one of its name is there already. An image that is missing is pulled."""
        config: ContainerConfig = context.config
        labels = labels_of(self.name, tags)
        words = [*self._words(labels, config), "--entrypoint", "sh", "--pull", "never", config.image, "-c", _FOR_EVER]
        try:
            made = engine.start(_named(key), words)
        except NoImage:
            engine.pull(config.image, context.progress)
            made = engine.start(_named(key), words)
        return None if made is None else Container(made, _named(key), labels, "running", "running")

    def _words(self, labels: Mapping[str, str], config: ContainerConfig) -> list[str]:
        words = [text for name, value in labels.items() for text in ("--label", f"{name}={value}")]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", config.network]
        # A volume of the container's own: an image's top folder may be closed to a root without capabilities.
        words += ["--volume", ROOT, *(["--init"] if self.kind.init() else [])]
        words += ["--user", config.user] if config.user else []
        words += ["--pids-limit", str(config.pids)] if config.pids else []
        words += ["--memory", str(config.memory), "--memory-swap", str(config.memory)] if config.memory else []
        words += ["--cpus", f"{config.cpus:g}"] if config.cpus else []
        for binds, suffix in ((config.read_only, ":ro"), (config.writable, "")):
            for bind in binds:
                words += ["--volume", f"{bind if ':' in bind else f'{bind}:{bind}'}{suffix}"]
        return words

    async def _fenced(
        self,
        key: str,
        context: Context,
        work: Callable[[Engine, Context], T],
        pinned: str | None = None,
        *,
        refuse: bool = False,
        ends: bool = False,
    ) -> T:
        """Work with the engine under the key's fence here; ``refuse`` the key where the answer is nothing.

        ``ends``: no container stands when the work is done.
        """
        root = _root(context)

        def held(context: Context) -> T:
            standing = True
            with Fence(root, key).held(context, stands=lambda: standing) as fence:
                engine = self._engine(context, pinned, fence.descriptor)
                answer = work(engine, context)
                standing = not (ends or (refuse and answer is None))
                if refuse and not standing:
                    fence.refuse()
                return answer

        return await off_loop(context, held)

    async def _asked(self, context: Context, ask: Callable[[Engine], T], pinned: str | None = None) -> T:
        return await off_loop(context, lambda context: ask(self._engine(context, pinned)))

    def _key_of(self, handle: Handle) -> str:
        key = str(handle.data.get("key", ""))
        if handle.driver != self.name or not key or _named(key) != handle.place:
            raise Damaged(f"this is no handle of a place of {self.name}: {handle.place}")
        return key

    def _place(self, key: str, context: Context, identity: str | None) -> RemotePlace:
        return RemotePlace(ContainerLink(self._engine(context), _named(key)), ROOT, key, identity or "")

    def _engine(self, context: Context, pinned: str | None = None, lock: int | None = None) -> Engine:
        config: ContainerConfig = context.config
        return Engine(self.kind, config.host, context.check, lock, pinned)

    def _handle(self, container: Container, identity: str) -> Handle:
        key = tags_of(container).key
        data = {"key": key, "folder": f"{ROOT}/{key}", "container": container.id, "engine": identity}
        return Handle(self.name, container.name, data)

    def _opened(self, container: Container, key: str, context: Context) -> str:
        inner = f"cd {ROOT}/{key}/tree 2>/dev/null; command -v bash >/dev/null && exec bash; exec sh"
        return shlex.join([*self._engine(context).words, "exec", "-it", container.name, "sh", "-c", inner])


def _wake(engine: Engine, container: Container) -> None:
    """Have a container run."""
    if container.status == "paused":
        engine.call("unpause", container.id)
        return
    engine.call("start", container.id)


def _kept_unentered(container: Container, notes: list[str], engine: Engine, context: Context) -> tuple[Kept, ...]:
    """Keep the whole tree of a container in which nothing can run; nobody can say what of it has changed.

    Raises where it cannot be read: then nothing may be destroyed.
    """
    tags = tags_of(container)
    if container.running:
        with suppress(DriverError):  # what cannot be held still is read as it is
            engine.call("pause", container.id)
    with tempfile.TemporaryFile() as file:
        if not engine.copy(container.id, f"{ROOT}/{tags.key}/tree", file):
            return ()
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            members = taken(tar, context, notes, prefix="tree/")
            try:
                kept = keep_members(context.state_folder, tags.lease_id, members, ())
            except Damaged as error:
                notes.append(f"what is there could not be kept: {error}")
                return ()
    notes.append("its whole tree is kept")
    return (kept,)


def _named(key: str) -> str:
    return f"leasehold-{key}"


def _pinned(handle: Handle | None) -> str | None:
    """The identity of the engine that has a handle's container, where it says so."""
    return None if handle is None else handle.data.get("engine")


def _root(context: Context) -> Path:
    return context.state_folder.absolute() / _FENCES
