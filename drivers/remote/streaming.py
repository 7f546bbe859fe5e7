"""A session's streams from within a thread: archives are made and read off the loop."""

import asyncio
import io
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.remote.asking import END, framed
from leasehold.drivers.remote.link import Session

T = TypeVar("T")

_POLL = 0.1


def awaited(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, check: Callable[[], None]) -> T:
    """Await something in the loop from within a thread, until ``check`` raises: the far side may be silent for ever."""
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        while True:
            try:
                return future.result(_POLL)
            except TimeoutError:
                if future.done():
                    raise
                check()
    finally:
        future.cancel()


class Incoming(io.RawIOBase):
    """A session's standard output as a file to read."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop, check: Callable[[], None]) -> None:
        self._session = session
        self._loop = loop
        self._check = check

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return awaited(self._session.stdout.read(size), self._loop, self._check)


async def feed_chunks(session: Session, context: Context, chunks: Iterator[bytes]) -> None:
    """Give a script's ``fed`` what an iterator makes, off the loop, as fast as it is taken."""
    loop = asyncio.get_running_loop()

    def send(context: Context) -> None:
        for chunk in chunks:
            context.check()
            awaited(session.write(framed(chunk)), loop, context.check)

    await off_loop(context, send)
    await session.write(END)
