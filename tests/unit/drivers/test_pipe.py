"""Our ends of a command's streams: what a cancelled caller leaves of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
from leasehold.drivers.pipe import Drain, finish_all


async def test_a_cancelled_end_leaves_the_streams_as_they_are(
    eventually: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    read, write = os.pipe()
    held: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hold(_: str, __: bytes) -> asyncio.Future[None]:
        return held

    drain = Drain(read, "stdout", 100, hold)
    os.write(write, b"one")
    await eventually(lambda: drain.output().data == b"one")
    ending = asyncio.create_task(finish_all([drain]))
    await asyncio.wait([ending], timeout=1)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert not drain.done.done()
    drain.close()
    os.close(write)


async def test_a_stream_that_was_cancelled_does_not_keep_the_next_one_of_its_number_from_being_read() -> None:
    read, write = os.pipe()
    first = Drain(read, "stdout", 100, None)
    first.done.cancel()
    first.close()
    os.close(write)
    again, write = os.pipe()
    assert again == read
    second = Drain(again, "stdout", 100, None)
    os.write(write, b"two")
    os.close(write)
    await asyncio.wait([second.done], timeout=10)
    assert second.output().data == b"two"
    second.close()
