"""A terminal in a pod, connected with the caller's own."""

import asyncio
import json
import os
import signal
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager, suppress

from leasehold.drivers.command import Streams
from leasehold.drivers.errors import DriverError
from leasehold.drivers.remote.hearing import readable
from leasehold.drivers.sandbox.kubernetes.session import SIZE, STATUS, STDERR, STDIN, STDOUT, Socket, ended


async def relay(socket: Socket, streams: Streams) -> tuple[int | None, DriverError | None]:
    """Carry both directions to the end; the exit status, or why there is none."""
    loop = asyncio.get_running_loop()
    status = b""
    sizing = asyncio.Event()
    sizing.set()
    with _raw(streams.stdin):
        with suppress(RuntimeError, ValueError):  # not in the main thread: the size stays as it is
            loop.add_signal_handler(signal.SIGWINCH, sizing.set)
        carrying = [
            asyncio.create_task(_typed(socket, streams.stdin, loop)),
            asyncio.create_task(_sized(socket, streams.stdin, sizing)),
        ]
        try:
            while (frame := await socket.receive()) is not None:
                stream, data = frame
                if stream in (STDOUT, STDERR):
                    await asyncio.to_thread(_write, streams.stdout if stream == STDOUT else streams.stderr, data)
                elif stream == STATUS:
                    status += data
        finally:
            with suppress(RuntimeError, ValueError):
                loop.remove_signal_handler(signal.SIGWINCH)
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)
            await socket.close()
    return ended(status)


@contextmanager
def _raw(descriptor: int) -> Generator[None]:
    """Have the caller's terminal hand on each key."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def _typed(socket: Socket, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
    while data := await readable(loop, descriptor):
        await socket.send(STDIN, data)


async def _sized(socket: Socket, descriptor: int, changed: asyncio.Event) -> None:
    while os.isatty(descriptor):
        await changed.wait()
        changed.clear()
        size = os.get_terminal_size(descriptor)
        await socket.send(SIZE, json.dumps({"Width": size.columns, "Height": size.lines}).encode())


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
