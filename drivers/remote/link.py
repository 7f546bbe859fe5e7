"""How shell text is run at a place that is not this process's own: all that a transport has to offer."""

import asyncio
from typing import Protocol

from leasehold.drivers.command import Streams
from leasehold.drivers.errors import DriverError

_END = 2.0


class Session(Protocol):
    """One piece of shell text that runs at the place, with three streams of bytes attached.

    The far side may never see an end of its standard input: nothing may wait for one. Where the near side
    goes, it does end, so that what runs there notices.
    """

    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    async def write(self, data: bytes) -> None:
        """Write to its standard input, as fast as it is taken. Raises ``ConnectionError`` where nobody reads."""
        ...

    async def wait(self) -> int | None:
        """Its exit status; none where a signal ended the near side, or nobody can say."""
        ...

    def kill(self) -> None:
        """End the near side now. May be called at any time, and again."""
        ...


async def end(session: Session) -> None:
    """End a session and wait a moment for it, so that nothing of it is left to an event loop that closes next."""
    session.kill()
    ending = asyncio.ensure_future(session.wait())
    await asyncio.wait({ending}, timeout=_END)
    ending.cancel()


class Link(Protocol):
    """A way to one place.

    Attributes:
        name: what the place is called in a message.
        contained: what holds the place is kept apart from what runs there, and knows the epochs itself.
    """

    name: str

    @property
    def contained(self) -> bool:
        """See above."""
        ...

    async def open(self, script: str) -> Session:
        """Run POSIX shell text (``sh -c``). It may be seen by others at the place: no secrets in it.

        Raises ``DriverError`` where the place cannot be reached.
        """
        ...

    async def attach(self, script: str, streams: Streams) -> int:
        """Run shell text on a terminal of its own, connected with ours; its exit status."""
        ...

    def failure(self, code: int | None, said: str) -> DriverError | None:
        """What it means that a session ended so, where the way failed and not the text. ``said`` is its stderr."""
        ...
