"""The one writer of a store: a thread that commits many leases' steps together."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.write import Write

_LARGEST = 512


class Batches(Protocol):
    """Commits one batch: one answer an item, writes first; an exception is the answer of its item."""

    def commit(self, writes: Sequence[Write], jobs: Sequence[Callable[[Any], Any]]) -> list[Any]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Item:
    work: Write | Callable[[Any], Any]
    future: asyncio.Future[Any]


class Writer:
    """Takes writes and jobs from one event loop, and answers when they are durably committed."""

    def __init__(self, batches: Batches, loop: asyncio.AbstractEventLoop) -> None:
        self._batches = batches
        self._loop = loop
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._death: BaseException | None = None
        self._ending = False
        self._later: list[_Item] = []
        self._unanswered: list[_Item] = []
        self._thread = threading.Thread(target=self._run, name="leasehold-writer", daemon=True)
        self._thread.start()

    def write(self, write: Write) -> asyncio.Future[int]:
        """Commit a write; the answer is the lease's epoch. Refusals and ``StoreError`` are raised."""
        return self._put(write)

    def job(self, job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Run a function with the writer's SQLAlchemy connection, inside its transaction."""
        return self._put(job)

    async def close(self) -> None:
        """Commit what is queued, then stop."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, 30)

    def _put(self, work: Write | Callable[[Any], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._death is not None:
            future.set_exception(StoreError(f"the store's writer has ended: {self._death}"))
        else:
            self._queue.put(_Item(work, future))
        return future

    def _run(self) -> None:
        try:
            while batch := self._next():
                self._deliver(self._commit(batch))
                self._unanswered = []
        except BaseException as error:  # noqa: BLE001 - whatever ends this thread, nobody may wait for it
            self._death = error
        else:
            self._death = StoreError("it was closed")
        finally:
            self._bury()
            self._batches.close()

    def _next(self) -> list[_Item]:
        """The next batch, with at most one write a lease; empty when the end was asked for."""
        batch: list[_Item] = []
        later: list[_Item] = []
        leases: set[str] = set()
        waiting = iter(self._later)
        while len(batch) < _LARGEST:
            item = next(waiting, None) or self._pull(block=not batch and not later)
            if item is None:
                break
            if isinstance(item.work, Write):
                if item.work.lease_id in leases:
                    later.append(item)
                    continue
                leases.add(item.work.lease_id)
            batch.append(item)
        self._later = [*waiting, *later]
        self._unanswered = batch
        return batch

    def _pull(self, *, block: bool) -> _Item | None:
        if self._ending:
            return None
        try:
            item = self._queue.get(block)
        except Empty:
            return None
        self._ending = item is None
        return item

    def _commit(self, batch: list[_Item]) -> list[tuple[_Item, Any]]:
        writes = [(item, item.work) for item in batch if isinstance(item.work, Write)]
        jobs = [(item, item.work) for item in batch if not isinstance(item.work, Write)]
        answers = self._batches.commit([write for _, write in writes], [job for _, job in jobs])
        return list(zip([item for item, _ in (*writes, *jobs)], answers, strict=True))

    def _deliver(self, answers: list[tuple[_Item, Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_answer, answers)
        except RuntimeError:
            # the loop is closed: nobody waits any more, and what was committed stands
            return

    def _bury(self) -> None:
        """Nobody may wait for a writer that has ended."""
        left = [*self._unanswered, *self._later]
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is not None:
                left.append(item)
        if left:
            error = StoreError(f"the store's writer has ended: {self._death}")
            self._deliver([(item, error) for item in left])


def _answer(answers: list[tuple[_Item, Any]]) -> None:
    for item, answer in answers:
        future = item.future
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
