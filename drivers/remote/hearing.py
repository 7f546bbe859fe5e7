"""What a command writes at a place, as its caller wants it: kept, handed on, or written to streams of the caller's."""

import asyncio
import inspect
import os
from contextlib import suppress

from leasehold.drivers.command import Command, Output

_READ = 1 << 16


class Hearing:
    """One command's output: each stream up to the limit, the rest counted in ``dropped``."""

    def __init__(self, command: Command) -> None:
        self._hears = command
        self._data = {"stdout": bytearray(), "stderr": bytearray()}
        self.dropped = {"stdout": 0, "stderr": 0}

    @property
    def stdout(self) -> Output:
        """What it wrote there so far."""
        return Output(bytes(self._data["stdout"]), self.dropped["stdout"])

    @property
    def stderr(self) -> Output:
        """What it wrote there so far."""
        return Output(bytes(self._data["stderr"]), self.dropped["stderr"])

    async def take(self, name: str, data: bytes) -> None:
        """Take a chunk. Raises what ``on_output`` raises."""
        command = self._hears
        if command.streams is not None:
            await _write(command.streams.stdout if name == "stdout" else command.streams.stderr, data)
            return
        kept = data[: max(0, command.limit - len(self._data[name]))]
        self._data[name] += kept
        self.dropped[name] += len(data) - len(kept)
        if command.on_output is not None:
            answer = command.on_output(name, data)
            if inspect.isawaitable(answer):
                await answer


async def readable(loop: asyncio.AbstractEventLoop, fd: int) -> bytes:
    """What can be read from a descriptor; empty at its end. A file is always ready, and no loop watches one."""
    ready = loop.create_future()
    try:
        loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    except OSError:
        return os.read(fd, _READ)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
    return os.read(fd, _READ)


async def _write(fd: int, data: bytes) -> None:
    """Write to one of the caller's own descriptors, which may be slow or closed."""

    def work() -> None:
        left = memoryview(data)
        with suppress(BrokenPipeError):
            while left:
                left = left[os.write(fd, left) :]

    await asyncio.to_thread(work)
