"""The ssh driver: places on hosts that the user's OpenSSH client reaches."""

import asyncio
import os
import shlex
import weakref
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from leasehold.drivers.capabilities import Capabilities, Fencing, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health, Problem
from leasehold.drivers.errors import Conflict, Damaged, DriverError, Gone, Unavailable
from leasehold.drivers.keeping import remove_old_archives
from leasehold.drivers.local.validate import workspace_problems
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
from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.old_mirrors import remove_old_mirrors
from leasehold.drivers.remote.place import RemotePlace, Standing, standing_under
from leasehold.drivers.remote.remains import end_remains, recorded
from leasehold.drivers.remote.target import RemoteTarget
from leasehold.drivers.remote.tree import RemoteTree
from leasehold.drivers.ssh.config import SshConfig
from leasehold.drivers.ssh.connection import Connection
from leasehold.drivers.ssh.probe import look
from leasehold.drivers.target import Target
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

DRIVER = "ssh"


class SshDriver:
    """A place is a folder of ours on a host; the workspace is copied into it, and changes come back."""

    name = DRIVER
    version = "1"
    Config = SshConfig

    def __init__(self) -> None:
        self._connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Connection]]
        self._connections = weakref.WeakKeyDictionary()

    def capabilities(self, config: SshConfig) -> Capabilities:
        return Capabilities(
            Transport.SSH,
            modes=(Mode.COPY,),
            fencing=Fencing.ENFORCED,
            keyed=True,
            tagged=True,
            visibility_delay=0.0,
            keeps=True,
            parks=True,
            syncs_back=True,
            summary="a host reached by OpenSSH: a copy of the workspace there, and its changes back",
        )

    def validate(self, request: PlaceRequest, config: SshConfig) -> list[Problem]:
        return [] if request.late else workspace_problems(request.workspace, (Mode.COPY,), DRIVER)

    async def probe(self, config: SshConfig) -> Health:
        return await look(config, self._connection(config))

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        config: SshConfig = context.config
        remove_old_archives(context.state_folder)
        data = {
            "host": config.host,
            "mode": request.workspace.mode.value,
            "workspace": "" if request.late else str(request.workspace.path),
            "lease_id": request.lease_id,
        }
        standing = await self._place(key, context).make(tags, data, context)
        await remove_old_mirrors(self._of(_handle(standing), context), context)
        return _handle(standing)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        place = self._place(key if handle is None else handle.place, context)
        try:
            standing = await place.find(context, refuse=True)
        except (Conflict, Damaged, Unavailable) as error:
            return Unknown(str(error))
        if standing is None:
            await RemoteTree(place, context).forget()
            return Absent()
        return Found(_handle(standing))

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        config: SshConfig = context.config
        try:
            standing = await self._of(handle, context).look(context)
        except DriverError as error:
            return Observed(Condition.UNKNOWN, str(error))
        if standing is None:
            return Observed(Condition.GONE, f"{handle.data['folder']} is gone from {config.host}")
        if standing.lost:
            return Observed(Condition.GONE, f"the tree {standing.folder}/tree is gone from {config.host}")
        return Observed(Condition.READY)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        place = self._of(handle, context)
        if workspace.mode is not Mode.COPY:
            raise Conflict(f"the place {place.key} was made for the mode {Mode.COPY}")
        config: SshConfig = context.config
        return await RemoteTree(place, context).realize(
            workspace,
            transport=Transport.SSH,
            provider=DRIVER,
            strategy="ssh_git_import_export",
            remote={"host": config.host, "port": config.port, "username": config.username},
        )

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        place = self._of(handle, context)
        await place.demand(context)
        config: SshConfig = context.config
        own = await asyncio.to_thread(_variables, config, context)
        return RemoteTarget(
            place,
            realization.cwd,
            env={**own, **context.variables, "LEASEHOLD_LEASE": context.lease_id},
            described={
                "kind": "remote",
                "transport": Transport.SSH.value,
                "environment_id": None,
                "lease_id": context.lease_id,
                "remote_cwd": realization.cwd,
                "spec": _spec(config, realization.cwd, realization.cwd),
            },
            context=context,
        )

    async def baseline(self, handle: Handle, realization: Realization, context: Context) -> None:
        await RemoteTree(self._of(handle, context), context).baseline()

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        return await RemoteTree(self._of(handle, context), context).sync_back()

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        return await self._release(self._of(handle, context), mode, context, None)

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        config: SshConfig = context.config
        async for standing in standing_under(self._connection(config), config.root, context):
            if ledger in (None, standing.tags.ledger):
                yield Resource(DRIVER, standing.tags.key, standing.tags, _handle(standing), detail=standing.folder)

    async def destroy(self, resource: Resource, context: Context) -> None:
        await self._release(self._of(resource.handle, context), ReleaseMode.DESTROY, context, resource.tags)

    async def recorded(self, handle: Handle, record: str, context: Context) -> int | None:
        return await recorded(self._of(handle, context), record, context)

    async def remote_spec(self, config: SshConfig, lease_metadata: Mapping[str, Any]) -> dict[str, Any] | None:
        cwd = lease_metadata.get("remote_cwd")
        return _spec(config, config.root, cwd if isinstance(cwd, str) and cwd.strip() else config.root)

    async def _release(self, place: RemotePlace, mode: ReleaseMode, context: Context, listed: Tags | None) -> Released:
        standing = await place.find(context)
        if standing is not None and listed is not None and standing.tags != listed:
            raise Conflict(
                f"the place {place.key} bears other tags than when it was listed: it is left alone", hint="sweep again"
            )
        if standing is not None and standing.tags.ledger != context.ledger:
            raise Conflict(f"the place {place.key} belongs to another ledger, {standing.tags.ledger}")
        notes: list[str] = []
        if standing is not None:
            survivors = await end_remains(place, place.key, context)
            if survivors:
                pids = " ".join(map(str, survivors))
                raise Unavailable(f"processes of the run still run: {pids}", hint=f"end them there: kill -KILL {pids}")
            if survivors is None:
                notes.append("nobody could see whether processes of the run still run")
        if mode is not ReleaseMode.DESTROY:
            if standing is None:
                raise Gone(f"the place {place.key} is gone: there is nothing to keep")
            return Released(open_with=_opened(context.config, standing), notes=tuple(notes))
        tree = RemoteTree(place, context)
        ended = await tree.end(standing)
        await place.remove(context)
        await tree.forget()
        return Released(standing is not None, kept=ended.kept, notes=(*notes, *ended.notes))

    def _place(self, key: str, context: Context) -> RemotePlace:
        config: SshConfig = context.config
        return RemotePlace(self._connection(config), config.root, key, _host(config))

    def _of(self, handle: Handle, context: Context) -> RemotePlace:
        folder = str(handle.data.get("folder", ""))
        if handle.driver != DRIVER or not folder.endswith(f"/{handle.place}"):
            raise Damaged(f"this is no handle of a place of the ssh driver: {handle.place}")
        config: SshConfig = context.config
        root = folder.removesuffix(f"/{handle.place}")
        return RemotePlace(self._connection(config), root, handle.place, _host(config))

    def _connection(self, config: SshConfig) -> Link:
        """The connections to a host; they belong to the loop that opened them."""
        known = self._connections.setdefault(asyncio.get_running_loop(), {})
        key = config.model_dump_json()
        return known.setdefault(key, Connection(config))


def _host(config: SshConfig) -> str:
    return f"{config.username or ''}@{config.host}:{config.port or ''} {config.ssh_config or ''}"


def _handle(standing: Standing) -> Handle:
    return Handle(DRIVER, standing.tags.key, {**standing.data, "folder": standing.folder})


def _variables(config: SshConfig, context: Context) -> dict[str, str]:
    passed = {name: os.environ[name] for name in config.pass_variables if name in os.environ}
    return {**passed, **context.secrets(config.variables)}


def _spec(config: SshConfig, path: str, cwd: str) -> dict[str, Any]:
    known = None if config.known_hosts is None else str(Path(config.known_hosts).expanduser())
    return {
        "host": config.host,
        "port": config.port,
        "username": config.username,
        "remote_workspace_path": path,
        "private_key": config.identity,
        "known_hosts": known,
        "strict_host_key_checking": config.strict_host_key_checking,
        "remote_cwd": cwd,
    }


def _opened(config: SshConfig, standing: Standing) -> str:
    words = ["ssh", "-t"]
    words += ["-p", str(config.port)] if config.port is not None else []
    words += ["-l", config.username] if config.username is not None else []
    folder = shlex.quote(f"{standing.folder}/tree")
    inner = f'cd {folder} 2>/dev/null || cd {shlex.quote(standing.folder)}; exec "${{SHELL:-/bin/sh}}"'
    return shlex.join([*words, config.host, inner])
