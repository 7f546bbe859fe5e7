"""The caller's ends of a command's streams, on the event loop. Closing one is immediate and final."""

import array
import asyncio
import fcntl
import inspect
import os
import termios
from collections.abc import Awaitable, Callable, Sequence

from leasehold.drivers.command import Output

_CHUNK = 65536
_GRACE = 0.25


class Drain:
    """Reads one stream of a command: keeps ``limit`` bytes, counts the rest.

    ``on_output`` is called with ``name`` and each chunk; what it returns is awaited before the next one is
    read. ``done`` is set at the stream's end, or when what ``finish`` saw is taken; it raises what
    ``on_output`` raised.
    """

    def __init__(
        self, fd: int, name: str, limit: int, on_output: Callable[[str, bytes], Awaitable[None] | None] | None
    ) -> None:
        self.fd = fd
        self.at_end = False
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._name = name
        self._limit = limit
        self._on_output = on_output
        self._data = bytearray()
        self._dropped = 0
        self._left: int | None = None
        self._consumer: asyncio.Future[None] | None = None
        self._loop.add_reader(fd, self._read)

    def output(self) -> Output:
        """What was read."""
        return Output(bytes(self._data), self._dropped)

    def finish(self) -> None:
        """The command has ended: take what is in the pipe now, and nothing that comes after."""
        if self.done.done():
            return
        there = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, there)
        self._left = there[0]
        if self._left == 0 and self._consumer is None:
            self._stop()

    def close(self) -> None:
        """Read no more, and close the descriptor."""
        self._stop()
        if self._consumer is not None:
            self._consumer.cancel()
        if not self.done.cancelled():
            self.done.exception()  # seen, also where nobody waits for it any more
        self._loop.remove_reader(self.fd)  # also where somebody cancelled ``done``: the number is given out again
        os.close(self.fd)

    def _read(self) -> None:
        chunk = os.read(self.fd, _CHUNK if self._left is None else min(self._left, _CHUNK))
        if not chunk:
            self.at_end = True
            self._stop()
            return
        if self._left is not None:
            self._left -= len(chunk)
        kept = chunk[: max(0, self._limit - len(self._data))]
        self._data += kept
        self._dropped += len(chunk) - len(kept)
        if self._on_output is not None:
            self._tell(self._on_output, chunk)
        if self._left == 0 and self._consumer is None:
            self._stop()

    def _tell(self, on_output: Callable[[str, bytes], Awaitable[None] | None], chunk: bytes) -> None:
        try:
            answer = on_output(self._name, chunk)
        except Exception as error:  # noqa: BLE001  (the caller's own code: its error is raised by execute)
            self._stop(error)
            return
        if inspect.isawaitable(answer):
            self._loop.remove_reader(self.fd)
            self._consumer = asyncio.ensure_future(answer)
            self._consumer.add_done_callback(self._consumed)

    def _consumed(self, consumer: "asyncio.Future[None]") -> None:
        self._consumer = None
        if consumer.cancelled():
            self._stop(asyncio.CancelledError())
        elif (error := consumer.exception()) is not None:
            self._stop(error)
        elif self._left == 0:
            self._stop()
        elif not self.done.done():
            self._loop.add_reader(self.fd, self._read)

    def _stop(self, error: BaseException | None = None) -> None:
        if self.done.done():
            return
        self._loop.remove_reader(self.fd)
        if error is None:
            self.done.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            self.done.cancel()
        else:
            self.done.set_exception(error)


async def finish_all(drains: Sequence[Drain]) -> None:
    """The command has ended: take what is in its streams, without waiting for what it left behind to close them."""
    unfinished = [drain.done for drain in drains if not drain.done.done()]
    if unfinished:
        await asyncio.wait(unfinished, timeout=_GRACE)
    for drain in drains:
        drain.finish()
    if drains:  # waited for, not awaited: that would cancel them with us
        ended, _ = await asyncio.wait({drain.done for drain in drains}, return_when=asyncio.FIRST_EXCEPTION)
        for future in ended:
            future.result()


class Feed:
    """Writes a command's standard input as fast as it is read, then closes it. It may be read in part."""

    def __init__(self, fd: int, data: bytes) -> None:
        self._fd: int | None = fd
        self._left = memoryview(data)
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_writer(fd, self._write, fd)

    def close(self) -> None:
        """Write no more: the command sees the end of its input."""
        if self._fd is not None:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = None

    def _write(self, fd: int) -> None:
        try:
            self._left = self._left[os.write(fd, self._left) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.close()
            return
        if not self._left:
            self.close()
