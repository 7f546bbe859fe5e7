"""Blocking work of a verb, off the event loop, ended with the verb."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.shown import shown

T = TypeVar("T")


async def off_loop(context: Context, work: Callable[[Context], T]) -> T:
    """Run ``work`` in a thread, with a context of its own that it must ``check`` as it goes on.

    When the caller is cancelled, the work is told to stop and awaited; then the cancellation goes on.
    ``progress`` lines reach the caller's callback in the caller's loop. An ``OSError`` of the machine
    becomes ``Unavailable``: the disk is full, or something may not be read or removed.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    if context.stop.is_set():
        stop.set()

    async def pass_on() -> None:
        await context.stop.wait()
        stop.set()

    def tell(line: str) -> None:
        loop.call_soon_threadsafe(context.progress, line)

    def run(context: Context) -> T:
        try:
            return work(context)
        except OSError as error:
            where = f"{shown(error.filename)}: " if error.filename else ""
            raise Unavailable(f"{where}{error.strerror or error}", hint="look at permissions and space") from error

    watch = asyncio.create_task(pass_on())
    thread = asyncio.create_task(asyncio.to_thread(run, replace(context, stop=stop, progress=tell)))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([thread])
        if not thread.cancelled():
            thread.exception()  # read, so that the loop does not report it as lost
        raise
    finally:
        watch.cancel()
