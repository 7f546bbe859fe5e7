"""A session's streams from within a thread: archives are made and read off the loop."""

import asyncio
import io
from collections.abc import Iterator

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.remote.asking import END, framed
from leasehold.drivers.remote.link import Session


class Incoming(io.RawIOBase):
    """A session's standard output as a file to read."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._session.stdout.read(size), self._loop).result()


async def feed_chunks(session: Session, context: Context, chunks: Iterator[bytes]) -> None:
    """Give a script's ``fed`` what an iterator makes, off the loop, as fast as it is taken."""
    loop = asyncio.get_running_loop()

    def send(context: Context) -> None:
        for chunk in chunks:
            context.check()
            asyncio.run_coroutine_threadsafe(session.write(framed(chunk)), loop).result()

    await off_loop(context, send)
    await session.write(END)
