"""The ssh driver: places on hosts that the user's OpenSSH client reaches."""

import asyncio
import shlex
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.capabilities import Capabilities, Fencing, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health
from leasehold.drivers.errors import Conflict, Damaged, Gone, Unavailable
from leasehold.drivers.keeping import remove_old_archives
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import (
    Absent,
    Found,
    Handle,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.remote.driver import RemoteDriver
from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.old_mirrors import remove_old_mirrors
from leasehold.drivers.remote.place import RemotePlace, Standing, standing_under
from leasehold.drivers.remote.remains import quieted
from leasehold.drivers.remote.tree import RemoteTree
from leasehold.drivers.ssh.config import SshConfig
from leasehold.drivers.ssh.connection import Connection
from leasehold.drivers.ssh.probe import look
from leasehold.drivers.workspace import Realization

DRIVER = "ssh"


class SshDriver(RemoteDriver):
    """A place is a folder of ours on a host; the workspace is copied into it, and changes come back."""

    name = DRIVER
    transport = Transport.SSH
    strategy = "ssh_git_import_export"
    Config = SshConfig

    def __init__(self) -> None:
        super().__init__()
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

    async def probe(self, config: SshConfig) -> Health:
        return await look(config, self._connection(config))

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        config: SshConfig = context.config
        await off_loop(context, lambda _: remove_old_archives(context.state_folder))
        data = {
            "host": config.host,
            "mode": request.workspace.mode.value,
            "workspace": "" if request.late else str(request.workspace.path),
            "lease_id": request.lease_id,
        }
        standing = await self._place(key, context).make(tags, data, context)
        beside = self.reached(_handle(standing), context)

        async def gone(other: str) -> bool:
            return await replace(beside, key=other).look(context) is None

        await remove_old_mirrors(beside.where, gone, context)
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

    def remote_side(self, handle: Handle, context: Context) -> Mapping[str, Any]:
        config: SshConfig = context.config
        return {"host": config.host, "port": config.port, "username": config.username}

    def described(self, realization: Realization, context: Context) -> Mapping[str, Any]:
        return {"spec": _spec(context.config, realization.cwd, realization.cwd)}

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        config: SshConfig = context.config
        async for standing in standing_under(self._connection(config, context.learn), config.root, context):
            if ledger in (None, standing.tags.ledger):
                yield Resource(DRIVER, standing.tags.key, standing.tags, _handle(standing), detail=standing.folder)

    async def remote_spec(self, config: SshConfig, lease_metadata: Mapping[str, Any]) -> dict[str, Any] | None:
        cwd = lease_metadata.get("remote_cwd")
        return _spec(config, config.root, cwd if isinstance(cwd, str) and cwd.strip() else config.root)

    async def end(self, handle: Handle, mode: ReleaseMode, context: Context, listed: Tags | None) -> Released:
        place = self.reached(handle, context)
        standing = await place.find(context)
        notes: tuple[str, ...] = ()
        if standing is not None:
            standing.tags.demand(f"the place {place.key}", context.ledger, listed)
            notes = await quieted(place, context)
        if mode is not ReleaseMode.DESTROY:
            if standing is None:
                raise Gone(f"the place {place.key} is gone: there is nothing to keep")
            return Released(open_with=_opened(context.config, standing), notes=notes)

        async def remove() -> bool:
            await place.remove(context)
            return standing is not None

        return await RemoteTree(place, context).end(standing, remove, Ended(notes=notes))

    def _place(self, key: str, context: Context) -> RemotePlace:
        config: SshConfig = context.config
        return RemotePlace(self._connection(config, context.learn), config.root, key, _host(config))

    def reached(self, handle: Handle, context: Context) -> RemotePlace:
        folder = str(handle.data.get("folder", ""))
        if handle.driver != DRIVER or not folder.endswith(f"/{handle.place}"):
            raise Damaged(f"this is no handle of a place of the ssh driver: {handle.place}")
        config: SshConfig = context.config
        root = folder.removesuffix(f"/{handle.place}")
        return RemotePlace(self._connection(config, context.learn), root, handle.place, _host(config))

    def _connection(self, config: SshConfig, learn: Callable[[str], None] | None = None) -> Link:
        """The connections to a host; they belong to the loop that opened them. A probe has nobody ``learn``."""
        known = self._connections.setdefault(asyncio.get_running_loop(), {})
        connection = known.setdefault(config.model_dump_json(), Connection(config))
        if learn is not None:
            connection.teach(learn)
        return connection


def _host(config: SshConfig) -> str:
    return f"{config.username or ''}@{config.host}:{config.port or ''} {config.ssh_config or ''}"


def _handle(standing: Standing) -> Handle:
    return Handle(DRIVER, standing.tags.key, {**standing.data, "folder": standing.folder})


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
