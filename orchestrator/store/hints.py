"""Hints: another process says that a look may be worth while. Whoever waits looks from time to time anyway.

A hint may be lost, come late, or come for nothing; nothing rests on it (docs/design/012-hints.md).
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from leasehold.orchestrator.store.errors import StoreError
from sqlalchemy import Connection, func, select

SLOT = "slot:"  # with an environment's id: one of its slots was given back
OWNER = "owner:"  # with an owner's id: it was asked for something

_DELAY = 0.5  # seconds: who waits for less is served by looking
_IDLE = 10.0  # seconds for which a session is kept that nobody waits at


class Session(Protocol):
    """A session with the store that hears hints."""

    def fileno(self) -> int: ...

    def heard(self) -> list[str]:
        """The topics that came. Raises ``StoreError`` once the session has ended."""
        ...

    def close(self) -> None: ...


class Hints:
    """Tells, on one event loop, those who wait for a topic that it came up.

    ``listen`` opens a session, and gives none where nothing can be heard through it; without it nobody hears
    anything. There is one session at most, and only while somebody waits. ``channel`` is where hints are sent.
    """

    def __init__(self, listen: Callable[[], Session | None] | None = None, channel: str | None = None) -> None:
        self._listen = listen
        self._channel = channel
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._opening: asyncio.Future[Session | None] | None = None
        self._changed = asyncio.Event()
        self._closing = False

    @property
    def deaf(self) -> bool:
        """Whether nothing can be heard here, as far as it was tried."""
        return self._listen is None

    def on(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Have ``heard`` called whenever the topic comes up, or may have; gives what ends that."""
        self._waiting.setdefault(topic, []).append(heard)
        if self._listen is not None and (self._task is None or self._task.done()) and not self._closing:
            self._task = asyncio.get_running_loop().create_task(self._hear(self._listen), name="leasehold-hints")

        def end() -> None:
            self._waiting[topic].remove(heard)
            if not self._waiting[topic]:
                del self._waiting[topic]

        return end

    def tell(self, connection: Connection, topic: str) -> None:
        """Send a hint with the transaction's commit."""
        if self._channel is not None:
            connection.execute(select(func.pg_notify(self._channel, topic)))

    async def close(self) -> None:
        """Hear no more. A server that does not answer is not waited for."""
        self._closing = True
        self._changed.set()
        if self._opening is not None:
            self._opening.cancel()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _hear(self, listen: Callable[[], Session | None]) -> None:
        await self._rest(_DELAY)
        while self._waiting and not self._closing:
            try:
                session = await self._opened(listen)
            except StoreError:
                await self._rest(_DELAY)
                continue
            if session is None:
                self._listen = None
                return
            try:
                await self._until_it_ends(session)
            finally:
                session.close()

    def _opened(self, listen: Callable[[], Session | None]) -> asyncio.Future[Session | None]:
        """A session, opened in a thread of its own: the loop's end would wait for one of its pool's."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Session | None] = loop.create_future()
        self._opening = opened

        def settle(session: Session | None, error: BaseException | None) -> None:
            if opened.done():
                if session is not None:
                    session.close()
            elif error is not None:
                opened.set_exception(error)
            else:
                opened.set_result(session)

        def work() -> None:
            session, error = None, None
            try:
                session = listen()
            except BaseException as failed:  # noqa: BLE001 - whatever it is, the one who waits gets it
                error = failed
            try:
                loop.call_soon_threadsafe(settle, session, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                if session is not None:
                    session.close()

        threading.Thread(target=work, name="leasehold-hints", daemon=True).start()
        return opened

    async def _until_it_ends(self, session: Session) -> None:
        """Pass hints on until the session ends, or nobody waits any more."""
        ended = False

        def readable() -> None:
            nonlocal ended
            try:
                for topic in session.heard():
                    self._wake(topic)
            except StoreError:
                ended = True
                loop.remove_reader(descriptor)
                self._changed.set()

        loop, descriptor = asyncio.get_running_loop(), session.fileno()
        loop.add_reader(descriptor, readable)
        try:
            for topic in tuple(self._waiting):
                self._wake(topic)  # what came up before it was listened for is lost
            while not ended and not self._closing:
                if not await self._rest(_IDLE) and not self._waiting:
                    return
        finally:
            loop.remove_reader(descriptor)

    async def _rest(self, seconds: float) -> bool:
        """Wait, and say whether something changed meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def _wake(self, topic: str) -> None:
        for heard in tuple(self._waiting.get(topic, ())):
            heard()
