"""The local driver: places on this machine."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.capabilities import Capabilities, Fencing, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health, Problem
from leasehold.drivers.errors import Conflict, Damaged, Gone
from leasehold.drivers.execution import Supervision, end_remains, recorded
from leasehold.drivers.keeping import remove_old_archives
from leasehold.drivers.local.config import LocalConfig
from leasehold.drivers.local.fence import Fence, remove_old_fences
from leasehold.drivers.local.in_place import InPlace
from leasehold.drivers.local.place import DRIVER, Place, places
from leasehold.drivers.local.probe import look
from leasehold.drivers.local.target import LocalTarget
from leasehold.drivers.local.tree import Tree
from leasehold.drivers.local.tree_copy import TreeCopy
from leasehold.drivers.local.validate import problems
from leasehold.drivers.local.worktree import Worktree
from leasehold.drivers.machine import machine_id
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
from leasehold.drivers.remains import demand_ended
from leasehold.drivers.target import Target
from leasehold.drivers.variables import host_variables
from leasehold.drivers.workspace import Realization, SyncReport, Workspace
from platformdirs import user_state_path

T = TypeVar("T")

_STOP_POLL = 0.1


class LocalDriver:
    """A place is a folder of ours; the mode says whether the tree stands in it.

    ``in_place`` runs in the workspace itself, ``copy`` in a copy, ``git_worktree`` in a worktree on a
    branch of the lease's own, or on an existing one. A workspace that is a link to a folder is that folder.
    """

    name: str = DRIVER
    version = "1"
    Config: type[LocalConfig] = LocalConfig

    def __init__(self) -> None:
        trees: tuple[Tree, ...] = (InPlace(), TreeCopy(), Worktree())
        self._trees = {tree.mode: tree for tree in trees}
        self.keep_in(user_state_path("leasehold", appauthor=False))

    def keep_in(self, state_folder: Path) -> None:
        self._state_folder = state_folder

    def capabilities(self, config: Any) -> Capabilities:
        return Capabilities(
            Transport.LOCAL,
            modes=tuple(self._trees),
            exclusive_modes=(Mode.IN_PLACE,),
            fencing=Fencing.ENFORCED,
            keyed=True,
            tagged=True,
            machine_bound=True,
            visibility_delay=0.0,
            keeps=True,
            parks=True,
            syncs_back=True,
            provisions_in_place=False,
            summary="this machine: the folder itself, a copy of it, or a git worktree",
        )

    def validate(self, request: PlaceRequest, config: Any) -> list[Problem]:
        return [] if request.late else problems(request.workspace, self._trees)

    def subjects(self, request: PlaceRequest, config: Any) -> tuple[str, ...]:
        tree = self._trees.get(request.workspace.mode)
        if request.share or request.late or tree is None:
            return ()
        return tree.subjects(request.workspace, machine_id(self._state_folder))

    async def probe(self, config: Any) -> Health:
        return await look(config, self._state_folder)

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        root = _root(context)

        def work(place: Place, _: Context) -> Handle:
            remove_old_fences(root, lambda name: Place(root, name).stands())
            remove_old_archives(context.state_folder)
            # until a late tree is realized, all that a person could look at is the place's own folder
            workspace = str(place.folder if request.late else request.workspace.path.resolve())
            return place.make(
                tags, {"mode": request.workspace.mode, "workspace": workspace, "lease_id": request.lease_id}
            )

        return await _held(Place.under(root, key, self.name), context, work)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        place = Place.under(_root(context), key, self.name) if handle is None else self._place(handle)

        def work(place: Place, _: Context) -> Found | Absent | Unknown:
            try:
                found = place.handle()
            except (Conflict, Damaged) as error:
                return Unknown(str(error))
            if found is not None:
                return Found(found)
            place.clear_traces()
            return Absent()

        return await _held(place, context, work, refuse=True)

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        place = self._place(handle)

        def work(context: Context) -> Observed:
            context.check()
            try:
                if place.handle() is None:
                    return Observed(Condition.GONE, f"{place.folder} is gone")
                missing = self._tree(handle).missing(place)
            except (OSError, Conflict, Damaged) as error:
                return Observed(Condition.UNKNOWN, str(error))
            return Observed(Condition.GONE, missing) if missing else Observed(Condition.READY)

        return await off_loop(context, work)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        def work(place: Place, context: Context) -> Realization:
            _demand(place)
            if workspace.mode is not self._tree(handle).mode:
                raise Conflict(f"the place {place.key} was made for the mode {handle.data['mode']}")
            place.renew(context)
            self._gather(place, context, anew=True)
            record = self._trees[workspace.mode].make(place, workspace, context)
            return replace(record, transport=self.capabilities(context.config).transport.value, provider=self.name)

        return await _held(self._place(handle), context, work)

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        config: LocalConfig = context.config

        def work(place: Place, context: Context) -> Target:
            _demand(place)
            place.supervision.mkdir(mode=0o700, exist_ok=True)
            own = context.secrets(config.variables)
            host = host_variables(os.environ, config.pass_variables)
            env = {**host, **own, **context.variables, "LEASEHOLD_LEASE": context.lease_id}
            return self._target(place, Path(realization.cwd), env, context)

        return await _held(self._place(handle), context, work)

    def _target(self, place: Place, cwd: Path, env: Mapping[str, str], context: Context) -> Target:
        """What executes in a place that stands, with these variables."""
        return LocalTarget(
            cwd,
            env=env,
            supervision=Supervision(place.supervision, place.key),
            guard=guard(place, context),
            context=context,
        )

    async def baseline(self, handle: Handle, realization: Realization, context: Context) -> None:
        def work(place: Place, context: Context) -> None:
            _demand(place)
            self._gather(place, context)
            self._tree(handle).baseline(place, context)

        await _held(self._place(handle), context, work)

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        def work(place: Place, context: Context) -> SyncReport:
            _demand(place)
            self._gather(place, context)
            report = self._tree(handle).sync_back(place, context)
            self._gather(place, context)
            return report

        return await _held(self._place(handle), context, work)

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        def work(place: Place, context: Context) -> Released:
            return self._release(place, handle, mode, context, None)

        return await _held(self._place(handle), context, work)

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        root = _root(context)
        for place in await asyncio.to_thread(lambda: list(places(root, self.name))):
            context.check()
            resource = await asyncio.to_thread(place.resource)
            if resource is not None and ledger in (None, resource.tags.ledger):
                yield resource

    async def destroy(self, resource: Resource, context: Context) -> None:
        def work(place: Place, context: Context) -> None:
            self._release(place, resource.handle, ReleaseMode.DESTROY, context, resource.tags)

        await _held(self._place(resource.handle), context, work)

    async def recorded(self, handle: Handle, record: str, context: Context) -> int | None:
        return recorded(self._place(handle).supervision, record)

    def _release(
        self, place: Place, handle: Handle, mode: ReleaseMode, context: Context, listed: Tags | None
    ) -> Released:
        tree = self._tree(handle)
        found = place.read()
        if found is not None:
            found[0].demand(f"the place {place.key}", context.ledger, listed)
        notes = _end_commands(place, context) if found is not None and place.supervision.is_dir() else ()
        self._gather(place, context)
        if mode is not ReleaseMode.DESTROY:
            if found is None:
                raise Gone(f"the place {place.key} is gone: there is nothing to keep")
            opened_at = str(tree.opened_at(place, handle))
            return Released(open_with=f"cd {shlex.quote(opened_at)}", notes=notes)
        ended = tree.end(place, handle, context)
        self._end_outside(place)
        place.remove(context.ledger, context)
        return Released(found is not None, kept=ended.kept, notes=(*notes, *ended.notes))

    def _gather(self, place: Place, context: Context, *, anew: bool = False) -> None:
        """Bring what commands left elsewhere to where a tree's machinery looks, and back there what it made of it.

        ``anew``: the tree is about to be made anew.
        """

    def _end_outside(self, place: Place) -> None:
        """End what stands outside the place's folder beside its tree; again, where it is called again."""

    def _place(self, handle: Handle) -> Place:
        return Place.of(handle, self.name)

    def _tree(self, handle: Handle) -> Tree:
        try:
            return self._trees[Mode(handle.data["mode"])]
        except (KeyError, ValueError) as error:
            raise Damaged(f"the handle of {handle.place} names no mode") from error


async def _held(place: Place, context: Context, work: Callable[[Place, Context], T], *, refuse: bool = False) -> T:
    """Work off the loop, under the place's fence; where no place stands then, the key may be refused."""

    def held(context: Context) -> T:
        with Fence(place.root, place.key).held(context, stands=place.stands) as fence:
            answer = work(replace(place, lock=fence.descriptor), context)
            if refuse and not place.stands():
                fence.refuse()
            return answer

    return await off_loop(context, held)


def guard(place: Place, context: Context) -> Callable[[], None]:
    """Raises ``Stale`` where a newer epoch was seen at the place."""
    fence = Fence(place.root, place.key)
    return lambda: fence.check(context.epoch)


def _demand(place: Place) -> None:
    if place.read() is None:
        raise Gone(f"the place {place.key} is gone", hint="take a new lease")


def _root(context: Context) -> Path:
    config: LocalConfig = context.config
    return config.root.expanduser().absolute() if config.root else context.state_folder.absolute() / "places"


def _end_commands(place: Place, context: Context) -> tuple[str, ...]:
    # A loop of its own: this thread holds the fence, and the caller's loop may wait for threads.
    return demand_ended(asyncio.run(_ended(place, context)))


async def _ended(place: Place, context: Context) -> tuple[int, ...] | None:
    ending = asyncio.create_task(end_remains(place.supervision, place.key, context.deadline))
    try:
        while not (await asyncio.wait([ending], timeout=_STOP_POLL))[0]:
            if context.stop.is_set():
                context.check()
        return ending.result()
    finally:
        ending.cancel()
