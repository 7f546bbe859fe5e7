"""The caller's end of an agent at a place: started with the first command, and there for all of a target's."""

import asyncio
import functools
import hashlib
import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leasehold.drivers import errors
from leasehold.drivers.context import Context
from leasehold.drivers.errors import DriverError, Unavailable
from leasehold.drivers.remote import wire
from leasehold.drivers.remote.asking import error_of, feed_bytes, listened, meaning, within
from leasehold.drivers.remote.link import Link, Session, end
from leasehold.drivers.remote.place import RemotePlace

_FILES = (
    "channel command confinement descendants errors execution frame link pipe remains running supervise supervisor "
    "wake watcher remote/agent remote/wire"
)
_MOST_SAID = 64 * 1024
_WHY = 15.0

# The files are sent once a lease, and the Python that runs them is chosen once.
_START = r"""
fresh
standing
mkdir -p "$D/run" || say unavailable "$D/run cannot be made"
P=
{ read -r P <"$D/run/python"; } 2>/dev/null
if [ -z "$P" ]; then
  for p in python3 /usr/bin/python3 /usr/libexec/platform-python; do
    P=$("$p" -I -S -c 'import sys; sys.version_info >= (3, 10) and print(sys.executable)' 2>/dev/null)
    [ -z "$P" ] || break
  done
  [ -n "$P" ] || { echo none; exit 0; }
fi
C=$D/run/code-$V
if [ ! -d "$C" ]; then
  echo send
  rm -rf "$C.new"
  try mkdir -p "$C.new"
  { fed | tar -xof - -C "$C.new"; } 2>"$C.said" || say unavailable "$(head -n 1 "$C.said")"
  try mv "$C.new" "$C"
  printf '%s\n' "$P" >"$D/run/python"
fi
echo python
umask "$U"
LEASEHOLD_PLACE=$M exec "$P" -I -S "$C/agent.py" serve "$D/run" "$M" "$F" "$E"
"""


class NoPython(Exception):
    """The place has no Python that the agent could run on."""


class Running:
    """One command on its way, on the caller's side."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.frames: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue()


class Agency:
    """A started agent."""

    def __init__(self, session: Session, link: Link) -> None:
        self._session = session
        self._link = link
        self._running: dict[int, Running] = {}
        self._last = 0
        self._closed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._sending = asyncio.Lock()
        self._said = bytearray()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._listen())]

    @classmethod
    async def start(cls, place: RemotePlace, marker: str, context: Context) -> "Agency":
        """Start one. Raises ``NoPython``, and what the place said."""

        async def work() -> Session:
            session = await place.link.open(place.script(_START, context, M=marker, V=code()[0]))
            try:
                word = await session.stdout.readline()
                if word == b"send\n":
                    await feed_bytes(session, code()[1])
                    word = await session.stdout.readline()
                if word == b"python\n":
                    kind, _, length = wire.unpack_head(await session.stdout.readexactly(wire.HEAD.size))
                    if kind == wire.READY and not length:
                        return session
                if word == b"none\n":
                    raise NoPython
            except (ConnectionError, asyncio.IncompleteReadError):
                word = b""
            except BaseException:
                await end(session)
                raise
            try:
                said = await listened(session)
                raise meaning(place.link, await session.wait(), said)
            finally:
                await end(session)

        return cls(await within(context, work()), place.link)

    @property
    def lost(self) -> bool:
        """Whether the session has ended."""
        return self._closed.done()

    async def why(self) -> str | None:
        """Why it is lost, where the way to the place tells it in time."""
        if not self.lost:
            return None
        try:
            async with asyncio.timeout(_WHY):
                await asyncio.wait(self._tasks)
                return str(meaning(self._link, await self._session.wait(), bytes(self._said)))
        except TimeoutError:
            return None

    async def send(self, frame: bytes) -> None:
        """Send a frame; nothing where nobody is there any more."""
        async with self._sending:
            try:
                await self._session.write(frame)
            except (ConnectionError, RuntimeError):
                return

    def begin(self) -> Running:
        """A command's number; its frames come there, and none at last where the agent is lost."""
        self._last += 1
        running = self._running[self._last] = Running(self._last)
        return running

    async def execute(self, running: Running, request: Mapping[str, Any], stdin: bytes) -> None:
        """Have it executed. A stopped agent takes nothing: whoever waits for it has to know how long."""
        await self.send(wire.pack_value(wire.EXECUTE, running.number, dict(request)))
        for at in range(0, len(stdin), wire.WINDOW_SIZE):
            await self.send(wire.pack(wire.STDIN, running.number, stdin[at : at + wire.WINDOW_SIZE]))
        if self.lost:
            running.frames.put_nowait(None)

    def forget(self, running: Running) -> None:
        """Nobody listens to this command any more."""
        self._running.pop(running.number, None)

    async def close(self, deadline: float) -> tuple[int, ...] | None:
        """Have everything ended by ``deadline``; what still runs, ``None`` where nobody can say."""
        seconds = max(0.1, deadline - time.monotonic())
        return await self._leave(wire.pack_value(wire.CLOSE, 0, seconds * 0.8), seconds)

    async def detach(self, seconds: float) -> None:
        """Have the agent go, and leave what runs."""
        await self._leave(wire.pack(wire.DETACH, 0), seconds)

    async def _leave(self, frame: bytes, seconds: float) -> tuple[int, ...] | None:
        give_up = time.monotonic() + seconds
        sending = asyncio.create_task(self.send(frame))
        await asyncio.wait({self._closed}, timeout=seconds)
        sending.cancel()
        if self._closed.done():
            # the command's own last words are on their way
            await asyncio.wait({self._tasks[0]}, timeout=max(0.0, give_up - time.monotonic()))
        for task in self._tasks:
            task.cancel()
        self._lose()
        await end(self._session)
        survivors = self._closed.result() if self._closed.done() else None
        return None if survivors is None else tuple(survivors)

    def _lose(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        for running in self._running.values():
            running.frames.put_nowait(None)

    async def _read(self) -> None:
        stdout = self._session.stdout
        try:
            while True:
                kind, number, length = wire.unpack_head(await stdout.readexactly(wire.HEAD.size))
                if length > wire.MOST:  # no agent of ours says so much at once
                    self._session.kill()
                    return
                data = await stdout.readexactly(length)
                if kind == wire.CLOSED:
                    if not self._closed.done():
                        self._closed.set_result(wire.unpack_value(data))
                    return
                running = self._running.get(number)
                if running is not None:
                    running.frames.put_nowait((kind, data))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._lose()

    async def _listen(self) -> None:
        while data := await self._session.stderr.read(4096):
            self._said += data
            del self._said[:-_MOST_SAID]


def raised(report: Mapping[str, Any], link: Link) -> Exception:
    """The error that the agent tells of."""
    name, message = report["raised"], report["message"]
    if name == "ValueError":
        return ValueError(message)
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, DriverError):
        return error_of(kind, message, report["hint"], contained=link.contained)
    return error_of(Unavailable, message, report["hint"], contained=link.contained)


@functools.cache
def code() -> tuple[str, bytes]:
    """The agent's files as an archive, and what tells them from those of another version."""
    top = Path(__file__).parent.parent
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in _FILES.split():
            source = (top / f"{name}.py").read_bytes()
            # Annotations are not looked at: an older Python need not know their names.
            data = b"from __future__ import annotations\n" + source
            facts = tarfile.TarInfo(f"{name.rpartition('/')[2]}.py")
            facts.size, facts.mode = len(data), 0o600
            tar.addfile(facts, io.BytesIO(data))
    data = buffer.getvalue()
    return hashlib.sha256(data).hexdigest()[:16], data
