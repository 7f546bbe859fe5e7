"""The one writer of a store: a thread that commits many leases' steps together.

The event loop hands over one batch at a time, and only when the thread is idle: what comes meanwhile
waits and goes together. Those who were just answered often write again in the same turns of the loop,
so a batch that is smaller than the last one lingers for a few of them. The two threads take turns with
the interpreter, instead of competing for it at each row (docs/design/002).
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from leasehold.orchestrator.store.errors import StoreError, StoreLost
from leasehold.orchestrator.store.write import Write

_LARGEST = 512
_TURNS = 4


class Batches(Protocol):
    """Commits one batch: one answer an item, writes first; an exception is the answer of its item."""

    def commit(self, writes: Sequence[Write], jobs: Sequence[Callable[[Any], Any]]) -> list[Any]: ...

    def begin_anew(self) -> None:
        """Let go of a connection whose state nobody knows."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Batch:
    """Writes and jobs, and who waits for each: those of the writes first."""

    writes: list[Write]
    jobs: list[Callable[[Any], Any]]
    futures: list[asyncio.Future[Any]]
    leases: Set[str]


class _Answer(asyncio.Future[int]):
    """What became of a write. Who waits for it and is cancelled hears it all the same, and is cancelled then."""

    def cancel(self, msg: Any = None) -> bool:
        return False


class Writer:
    """Takes writes and jobs from one event loop, and answers when they are durably committed."""

    def __init__(self, batches: Batches, loop: asyncio.AbstractEventLoop) -> None:
        self._batches = batches
        self._loop = loop
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._writes: list[tuple[Write, asyncio.Future[Any]]] = []
        self._waiting: set[str] = set()  # the leases of the writes
        self._jobs: list[tuple[Callable[[Any], Any], asyncio.Future[Any]]] = []
        self._under_way: _Batch | None = None
        self._answered = 0
        self._lingering = False
        self._closing = False
        self._death: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="leasehold-writer", daemon=True)
        self._thread.start()

    @property
    def in_hand(self) -> int:
        """How many writes wait or are under way; more than anywhere, where it has ended."""
        if self._death is not None:
            return sys.maxsize
        return len(self._writes) + (0 if self._under_way is None else len(self._under_way.writes))

    @property
    def ended(self) -> bool:
        """Whether it takes nothing more."""
        return self._death is not None

    def has(self, lease_id: str) -> bool:
        """Whether a write of that lease waits or is under way."""
        return lease_id in self._waiting or (self._under_way is not None and lease_id in self._under_way.leases)

    def write(self, write: Write) -> asyncio.Future[int]:
        """Commit a write; the answer is the lease's epoch. Refusals and ``StoreError`` are raised."""
        future: asyncio.Future[int] = _Answer(loop=self._loop)
        self._writes.append((write, future))
        self._waiting.add(write.lease_id)
        self._offer()
        return future

    def job(self, job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Run a function with the writer's SQLAlchemy connection, inside its transaction."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.append((job, future))
        self._offer()
        return future

    async def close(self) -> None:
        """Commit what waits, then stop."""
        self._closing = True
        self._offer()
        await asyncio.to_thread(self._thread.join, 30)

    # --- in the event loop

    def _offer(self) -> None:
        """Hand over what waits, now or as soon as those who were just answered had their turn."""
        waiting = len(self._writes) + len(self._jobs)
        if self._death is not None:
            self._bury()
        elif self._under_way is not None or self._lingering:
            return
        elif waiting >= self._answered or self._closing:
            self._hand_over()
        else:
            self._lingering = True
            self._loop.call_soon(self._linger, waiting, _TURNS)

    def _linger(self, seen: int, turns: int) -> None:
        waiting = len(self._writes) + len(self._jobs)
        turns = _TURNS if waiting > seen else turns - 1
        if waiting < self._answered and turns and not self._closing:
            self._loop.call_soon(self._linger, waiting, turns)
        else:
            self._lingering = False
            self._hand_over()

    def _hand_over(self) -> None:
        """The next batch, with at most one write a lease; the end, where nothing waits and it was asked for."""
        if self._under_way is not None or self._death is not None:
            return
        if not self._writes and not self._jobs:
            if self._closing:
                self._death = StoreError("it was closed")
                self._queue.put(None)
            return
        taken: dict[str, tuple[Write, asyncio.Future[Any]]] = {}
        later: list[tuple[Write, asyncio.Future[Any]]] = []
        for item in self._writes:
            if item[0].lease_id in taken or len(taken) == _LARGEST:
                later.append(item)
            else:
                taken[item[0].lease_id] = item
        writes, jobs = [*taken.values()], self._jobs
        self._writes, self._jobs = later, []
        self._waiting = {write.lease_id for write, _ in later}
        futures = [future for _, future in writes] + [future for _, future in jobs]
        self._under_way = _Batch([write for write, _ in writes], [job for job, _ in jobs], futures, taken.keys())
        self._queue.put(self._under_way)

    def _answer(self, futures: list[asyncio.Future[Any]], answers: list[Any]) -> None:
        self._under_way, self._answered = None, len(futures)
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        if self._writes or self._jobs or self._closing:
            self._offer()

    def _die(self, error: BaseException) -> None:
        self._death = error
        self._bury()

    def _bury(self) -> None:
        """Nobody may wait for a writer that has ended."""
        batch = self._under_way
        left = [] if batch is None else batch.futures
        left += [future for _, future in (*self._writes, *self._jobs)]
        self._under_way, self._writes, self._jobs = None, [], []
        self._waiting.clear()
        for future in left:
            if not future.done():
                future.set_exception(StoreError(f"the store's writer has ended: {self._death}"))

    # --- in the thread

    def _run(self) -> None:
        try:
            while (batch := self._queue.get()) is not None:
                self._tell(self._answer, batch.futures, self._committed(batch))
        except BaseException as error:  # noqa: BLE001 - whatever ends this thread, nobody may wait for it
            self._tell(self._die, error)
        finally:
            self._batches.close()

    def _committed(self, batch: _Batch) -> list[Any]:
        """The answers. What nobody has foreseen fails this batch, and no later one."""
        try:
            return self._batches.commit(batch.writes, batch.jobs)
        except Exception as error:  # noqa: BLE001 - what became of the batch, its leases' rows say
            lost = StoreLost(f"the store did not say whether a commit holds: {type(error).__name__}: {error}")
            self._batches.begin_anew()
            return [lost] * len(batch.futures)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # the loop is closed: nobody waits any more, and what was committed stands
            return
