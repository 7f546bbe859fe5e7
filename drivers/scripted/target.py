"""A target whose commands answer on script, and whose files are kept with the place."""

import asyncio
import inspect
import os
import posixpath
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

from leasehold.drivers.capabilities import Transport
from leasehold.drivers.command import Command, Outcome, Output, Result
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Gone
from leasehold.drivers.place import Handle
from leasehold.drivers.scripted.config import Reply
from leasehold.drivers.scripted.provider import Provider, Standing
from leasehold.drivers.workspace import Realization

Executed: TypeAlias = Callable[[Callable[[], Reply]], Coroutine[Any, Any, Reply]]


class ScriptedTarget:
    """Executes nothing: a command gets the first reply that fits it."""

    def __init__(
        self,
        provider: Provider,
        handle: Handle,
        realization: Realization,
        context: Context,
        executed: Executed,
    ) -> None:
        self._provider = provider
        self._handle = handle
        self._realization = realization
        self._context = context
        self._executed = executed
        self._closed = asyncio.Event()

    async def execute(self, command: Command) -> Result:
        started = time.monotonic()
        line = " ".join(command.argv)
        replies: tuple[Reply, ...] = self._context.config.results
        reply = next((reply for reply in replies if reply.match in line), Reply())

        def end() -> Reply:
            standing = self._standing()
            ended = reply.outcome is Outcome.EXITED and reply.signal is None and not reply.hang
            if command.record is not None and ended:
                standing.exits[command.record] = reply.exit_code
                self._provider.save(standing)
            return reply

        reply = await self._executed(end)
        stdout = await _written("stdout", reply.stdout.encode() + b"." * reply.flood, command)
        stderr = await _written("stderr", reply.stderr.encode(), command)
        outcome = await self._hang(command) if reply.hang else reply.outcome
        exited = outcome is Outcome.EXITED and reply.signal is None
        return Result(
            exit_code=reply.exit_code if exited else None,
            signal=reply.signal if outcome is Outcome.EXITED else None,
            stdout=stdout,
            stderr=stderr,
            outcome=outcome,
            survivors=None if outcome is Outcome.TARGET_LOST else (),
            duration=time.monotonic() - started,
        )

    async def put(self, source: Path, path: str) -> None:
        await asyncio.to_thread(self._put, source, path)

    async def get(self, path: str, dest: Path) -> None:
        await asyncio.to_thread(self._get, path, dest)

    async def read(self, path: str, limit: int | None = None) -> bytes:
        return self._read(path)[:limit]

    async def write(self, path: str, data: bytes) -> None:
        self._write(path, data)

    def describe(self) -> dict[str, Any]:
        transport = self._realization.transport
        described = {
            "kind": "local" if transport == Transport.LOCAL else "remote",
            "transport": transport,
            "place": self._handle.place,
            "cwd": self._realization.cwd,
        }
        return {**described, "spec": ssh_spec(self._realization.cwd)} if transport == Transport.SSH else described

    async def detach(self) -> None:
        return

    async def close(self) -> None:
        self._closed.set()

    def _standing(self) -> Standing:
        standing = self._provider.get(self._handle.place)
        if standing is None:
            raise Gone(f"{self._handle.place} is gone")
        return standing

    def _name(self, path: str) -> str:
        inside = posixpath.normpath(posixpath.join(self._realization.cwd, path))
        return f"files/{self._handle.place}/{inside.lstrip('/')}"

    def _put(self, source: Path, path: str) -> None:
        if not source.is_dir():
            self._write(path, source.read_bytes())
            return
        for found in sorted(source.rglob("*")):
            if found.is_file():
                self._write(f"{path}/{found.relative_to(source).as_posix()}", found.read_bytes())

    def _get(self, path: str, dest: Path) -> None:
        name = self._name(path)
        inside = self._provider.shelf.names(f"{name}/")
        if not inside:
            dest.write_bytes(self._read(path))
        for found in inside:
            copy = dest / found.removeprefix(f"{name}/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(self._provider.shelf.get(found) or b"")

    def _read(self, path: str) -> bytes:
        self._standing()
        data = self._provider.shelf.get(self._name(path))
        if data is None:
            raise Gone(f"no such file in the place: {path}")
        return data

    def _write(self, path: str, data: bytes) -> None:
        self._standing()
        self._provider.shelf.put(self._name(path), data)

    async def _hang(self, command: Command) -> Outcome:
        """Run until stopped, closed, or out of time."""
        timeout = self._context.remaining()
        if command.timeout is not None:
            timeout = min(timeout, command.timeout)
        ends = [asyncio.ensure_future(event.wait()) for event in (self._context.stop, self._closed)]
        try:
            done, _ = await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return Outcome.CANCELLED if done else Outcome.TIMED_OUT


def ssh_spec(remote_cwd: str | None) -> dict[str, Any]:
    """The remote spec of a scripted host; its key is a reference that leads nowhere."""
    return {
        "host": "scripted.invalid",
        "port": 22,
        "username": "scripted",
        "remote_workspace_path": "/scripted",
        "private_key": "env:SCRIPTED_KEY",
        "known_hosts": None,
        "strict_host_key_checking": True,
        "remote_cwd": remote_cwd or "/scripted",
    }


async def _written(stream: str, data: bytes, command: Command) -> Output:
    """Hand the bytes to whoever listens, and keep what the command's limit allows."""
    if command.streams is not None:
        descriptor = command.streams.stdout if stream == "stdout" else command.streams.stderr
        await asyncio.to_thread(_write_all, descriptor, data)
        return Output()
    if data and command.on_output is not None:
        heard = command.on_output(stream, data)
        if inspect.isawaitable(heard):
            await heard
    return Output(data[: command.limit], max(0, len(data) - command.limit))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
