"""Running a script to its end within a verb's time: what it is fed, what it answers, and what its end means."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from leasehold.drivers.context import Context
from leasehold.drivers.errors import (
    Conflict,
    Damaged,
    DriverError,
    Gone,
    Refused,
    Stale,
    TimedOut,
    Unavailable,
)
from leasehold.drivers.remote.link import Link, Session, end
from leasehold.drivers.remote.prelude import REFUSED
from leasehold.drivers.shown import shown

T = TypeVar("T")

CHUNK = 4 << 20
"""Bytes that are fed at once: the far side starts a process for each."""

MOST_ANSWERED = 1 << 30
"""Bytes of an answer that are held in memory: a list of some ten million files, or a file that is read."""

_SAID = b"leasehold: "
_MOST_SAID = 64 * 1024
_KINDS: dict[str, type[DriverError]] = {
    "stale": Stale,
    "conflict": Conflict,
    "gone": Gone,
    "refused": Refused,
    "damaged": Damaged,
    "timed_out": TimedOut,
    "unavailable": Unavailable,
}
_HINTS: dict[type[DriverError], str] = {
    Stale: "another process has taken the lease over; if the store was restored from a backup, "
    "run leasehold db restored",
}
_SYSTEM = {
    "No space left on device": "make room at the place, or set another root",
    "Read-only file system": "set a root that can be written",
    "Permission denied": "set a root that the login may write",
    "Disk quota exceeded": "make room at the place, or set another root",
}

Talk = Callable[[Session], Awaitable[T]]


async def ask(
    link: Link, script: str, context: Context, *, feed: bytes | None = None, most: int = MOST_ANSWERED
) -> bytes:
    """Run a script to its end; what it wrote to standard output. ``feed`` is what its ``fed`` gives.

    Raises the ``DriverError`` that it said, or that its end means.
    """

    async def talk(session: Session) -> bytes:
        if feed is None:
            return await answered(session, most)
        _, answer = await asyncio.gather(feed_bytes(session, feed), answered(session, most))
        return answer

    return await converse(link, script, context, talk)


async def converse(link: Link, script: str, context: Context, talk: Talk[T]) -> T:
    """Run a script to its end, talking with it meanwhile. ``talk`` gets its session, without the stderr."""
    context.check()

    async def work() -> T:
        session = await link.open(script)
        listening = asyncio.create_task(listened(session))
        try:
            try:
                answer = await talk(session)
            except (ConnectionError, asyncio.IncompleteReadError, _Cut):
                answer = None
            code = await session.wait()
            said = await listening
            if code == 0 and answer is not None:
                return answer
            raise meaning(link, code, said)
        finally:
            await end(session)
            listening.cancel()

    return await within(context, work())


class _Cut(Exception):
    """The far side ended in the middle of what it sent."""


def cut() -> Exception:
    """What a ``talk`` raises where the far side's stream ends too early: its own end says why."""
    return _Cut()


async def within(context: Context, work: Awaitable[T]) -> T:
    """Await something until the verb's deadline, or until it is told to stop."""
    task = asyncio.ensure_future(work)
    stop = asyncio.create_task(context.stop.wait())
    left = context.remaining()
    try:
        await asyncio.wait(
            {task, stop}, timeout=left if math.isfinite(left) else None, return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            return task.result()
        context.check()
        raise TimedOut("the step's deadline has passed")
    finally:
        stop.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def answered(session: Session, most: int = MOST_ANSWERED) -> bytes:
    """All that a script writes to its standard output, from here on. Raises ``Damaged`` for more than ``most``."""
    answer = bytearray()
    async for data in chunks(session.stdout):
        answer += data
        if len(answer) > most:
            raise Damaged(f"the place answers with more than the {most} bytes that were asked for", hint="look at it")
    return bytes(answer)


async def feed_bytes(session: Session, data: bytes) -> None:
    """Give a script's ``fed`` these bytes, and say that they are all."""
    for at in range(0, len(data), CHUNK):
        await session.write(framed(data[at : at + CHUNK]))
    await session.write(END)


def framed(chunk: bytes) -> bytes:
    """A chunk that is not empty, as ``fed`` takes it."""
    return b"%d\n" % len(chunk) + chunk


END = b"0\n"
"""What tells ``fed`` that no chunk follows."""


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What arrives, until the end."""
    while data := await reader.read(1 << 18):
        yield data


async def listened(session: Session) -> bytes:
    """The end of what a script says on its standard error."""
    said = bytearray()
    async for data in chunks(session.stderr):
        said += data
        del said[:-_MOST_SAID]
    return bytes(said)


def meaning(link: Link, code: int | None, said: bytes) -> DriverError:
    """The error that a session's end means, by its exit status and what it wrote to standard error."""
    text = said.decode("utf-8", "backslashreplace").strip()
    if code == REFUSED:
        for line in reversed(said.splitlines()):
            if line.startswith(_SAID):
                kind, _, message = line.removeprefix(_SAID).decode("utf-8", "backslashreplace").partition(": ")
                return error_of(_KINDS.get(kind, Unavailable), message, contained=link.contained)
    failure = link.failure(code, text)
    if failure is not None:
        return failure
    last = text.splitlines()[-1] if text else f"exit status {code}"
    return error_of(Unavailable, f"{link.name}: {shown(last)}", contained=link.contained)


def error_of(kind: type[DriverError], message: str, hint: str = "", *, contained: bool) -> DriverError:
    """An error that the far side tells of, with what can be done about it.

    ``contained``: a run there may have written any epoch, and none that it names tells anything of the store.
    """
    hint = hint or _HINTS.get(kind, "") or next((hint for sign, hint in _SYSTEM.items() if sign in message), "")
    if kind is Stale:
        return Stale(message, seen=None if contained else _seen(message), hint=hint)
    return kind(message, hint=hint)


def _seen(message: str) -> int | None:
    """The epoch that a place says it has seen."""
    match = re.search(r"seen epoch (\d+)", message)
    return int(match[1]) if match else None
