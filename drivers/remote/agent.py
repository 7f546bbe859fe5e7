# ruff: noqa: PTH120, PTH123, T201
"""The program that executes a lease's commands at a place, below the same supervisor as a local lease's.

``python -I -S agent.py serve FOLDER MARKER FENCE EPOCH`` serves frames on its standard streams until its input
ends, and ends everything then. ``… end FOLDER MARKER SECONDS`` ends whatever still runs there, whoever began it,
and writes the survivors as JSON. The files that it imports stand beside it: there is no package of ours there.
"""

import asyncio
import os
import signal
import sys
import time


def _have_packages() -> None:
    """Put empty packages in our own's place, whose modules are the files beside this one."""
    import enum

    if not hasattr(enum, "StrEnum"):  # Python 3.10
        setattr(enum, "StrEnum", type("StrEnum", (str, enum.Enum), {"__str__": str.__str__}))  # noqa: B010
    for name in ("leasehold", "leasehold.drivers", "leasehold.drivers.remote"):
        if name not in sys.modules:
            package = sys.modules[name] = type(sys)(name)
            package.__path__ = [os.path.dirname(os.path.realpath(__file__))]


if __name__ == "__main__":
    _have_packages()

from leasehold.drivers.command import Command, Result, Streams  # noqa: E402
from leasehold.drivers.errors import DriverError, Stale  # noqa: E402
from leasehold.drivers.execution import Supervision  # noqa: E402
from leasehold.drivers.pipe import Drain, finish_all  # noqa: E402
from leasehold.drivers.remains import end_remains  # noqa: E402
from leasehold.drivers.remote import wire  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any
else:
    from pathlib import Path

_CLOSING = 15.0


class Agent:
    """Serves one caller."""

    def __init__(self, folder: str, marker: str, fence: str, epoch: int) -> None:
        self._supervision = Supervision(Path(folder), marker)
        self._fence = fence
        self._epoch = epoch
        self._host = {name: value for name, value in os.environ.items() if name != "LEASEHOLD_PLACE"}
        self._running: dict[int, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: float | None = _CLOSING
        self._saying = asyncio.Lock()

    async def serve(self) -> None:
        """Serve until the caller says that it goes, or is gone."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=wire.WINDOW_SIZE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        asked = asyncio.ensure_future(self._requests(reader))
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(signum, asked.cancel)
        await self.say(wire.pack(wire.READY, 0))
        number = 0
        try:
            number = await asked
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            number = 0
        if self._closing is None:
            await self._supervision.detach()
            survivors: tuple[int, ...] | None = None
        else:
            survivors = await self._supervision.close(time.monotonic() + self._closing)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING)
        await self.say(wire.pack_value(wire.CLOSED, number, survivors))

    async def say(self, frame: bytes) -> None:
        """Send a frame; nothing where nobody is there any more."""
        async with self._saying:
            try:
                self._writer.write(frame)
                await self._writer.drain()
            except ConnectionError:
                return

    async def _requests(self, reader: asyncio.StreamReader) -> int:
        while True:
            kind, number, length = wire.unpack_head(await reader.readexactly(wire.HEAD.size))
            data = await reader.readexactly(length)
            running = self._running.get(number)
            if kind == wire.EXECUTE:
                running = self._running[number] = _Running(self, number, wire.unpack_value(data))
                task = asyncio.create_task(self._execute(running))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif kind in (wire.CLOSE, wire.DETACH):
                self._closing = None if kind == wire.DETACH else float(wire.unpack_value(data))
                return number
            elif running is not None:
                running.hear(kind, data)

    async def _execute(self, running: "_Running") -> None:
        try:
            self._check_fence()
            command, cwd = await running.prepared()
            result = await self._supervision.execute(command, cwd=cwd, env=self._host, stop=running.stop)
            await running.rest()
            report = _told(result, running.dropped)
        except DriverError as error:
            report = {"raised": type(error).__name__, "message": str(error), "hint": error.hint}
        except ValueError as error:
            report = {"raised": "ValueError", "message": str(error), "hint": ""}
        finally:
            running.close()
            del self._running[running.number]
        await self.say(wire.pack_value(wire.REPORT, running.number, report))

    def _check_fence(self) -> None:
        """Raise ``Stale`` where a newer epoch was seen."""
        try:
            with open(self._fence, "rb") as file:
                seen = int((file.read(64).split() or [b"0"])[0])
        except FileNotFoundError:
            return
        if self._epoch < seen:
            raise Stale(
                f"the place has seen epoch {seen}; a command under epoch {self._epoch} is refused",
                seen=seen,
                hint="another process has taken the lease over",
            )


class _Running:
    """One command on its way: its input as it comes, its output as far as there is room for it."""

    def __init__(self, agent: Agent, number: int, request: "dict[str, Any]") -> None:
        self.number = number
        self.stop = asyncio.Event()
        self.dropped = {"stdout": 0, "stderr": 0}
        self._agent = agent
        self._request = request
        self._room = {"stdout": wire.WINDOW_SIZE, "stderr": wire.WINDOW_SIZE}
        self._more = asyncio.Event()
        self._limits: dict[str, int] | None = None
        if request["limit"] is not None:
            self._limits = {"stdout": request["limit"], "stderr": request["limit"]}
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._drains: list[Drain] = []
        self._theirs: list[int] = []
        self._feeding: asyncio.Task[None] | None = None

    def hear(self, kind: bytes, data: bytes) -> None:
        """What the caller says of this command."""
        if kind == wire.STDIN:
            self._input.put_nowait(data)
        elif kind == wire.WINDOW:
            for name, size in wire.unpack_value(data).items():
                self._room[name] += size
            self._more.set()
        elif kind == wire.END:
            self.stop.set()
            self._input.put_nowait(b"")

    async def prepared(self) -> "tuple[Command, Path]":
        """The command, once its input is here, and where it starts."""
        request = self._request
        streams = self._relayed() if request["streams"] else None
        stdin = bytearray()
        while streams is None and len(stdin) < request["stdin"] and (part := await self._input.get()):
            stdin += part
        command = Command(
            argv=tuple(request["argv"]),
            shell=request["shell"],
            env=request["env"],
            cwd=request["cwd"],
            stdin=bytes(stdin) if request["stdin"] else None,
            timeout=request["timeout"],
            limit=0,
            on_output=self._pass_on,
            streams=streams,
            record=request["record"],
        )
        return command, Path(request["folder"])

    async def rest(self) -> None:
        """Take what is in relayed streams."""
        self._close_theirs()
        await finish_all(self._drains)

    def close(self) -> None:
        """Let go of all streams."""
        self._close_theirs()
        for drain in self._drains:
            drain.close()
        if self._feeding is not None:
            self._feeding.cancel()

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def _relayed(self) -> Streams:
        stdin, feed = os.pipe()
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        self._theirs += [stdin, stdout, stderr]
        self._drains = [Drain(fd, name, 0, self._pass_on) for fd, name in ((out, "stdout"), (err, "stderr"))]
        self._feeding = asyncio.create_task(self._feed(feed))
        return Streams(stdin, stdout, stderr)

    async def _feed(self, fd: int) -> None:
        """Write the input as it comes, and say when there is room for more."""
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(fd, "wb", 0)
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            while data := await self._input.get():
                writer.write(data)
                await writer.drain()
                await self._agent.say(wire.pack_value(wire.ROOM, self.number, len(data)))
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _pass_on(self, name: str, data: bytes) -> None:
        kept = data
        if self._limits is not None:
            kept = data[: self._limits[name]]
            self._limits[name] -= len(kept)
            self.dropped[name] += len(data) - len(kept)
        kind = wire.OUTPUT if name == "stdout" else wire.ERROR
        while kept:
            while self._room[name] <= 0:
                self._more.clear()
                await self._more.wait()
            part = kept[: self._room[name]]
            kept = kept[len(part) :]
            self._room[name] -= len(part)
            await self._agent.say(wire.pack(kind, self.number, part))


def _told(result: Result, dropped: "dict[str, int]") -> "dict[str, Any]":
    return {
        "exit_code": result.exit_code,
        "signal": result.signal,
        "outcome": str(result.outcome.value),
        "survivors": result.survivors,
        "duration": result.duration,
        "error": result.error,
        "dropped": dropped,
    }


def main() -> None:
    """Do what the arguments say."""
    verb, folder, marker = sys.argv[1:4]
    if verb == "end":
        deadline = time.monotonic() + float(sys.argv[4])
        print(
            wire.pack_value(b"-", 0, asyncio.run(end_remains(Path(folder), marker, deadline)))[
                wire.HEAD.size :
            ].decode()
        )
        return
    asyncio.run(Agent(folder, marker, sys.argv[4], int(sys.argv[5])).serve())


if __name__ == "__main__":
    main()
