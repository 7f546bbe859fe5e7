"""Watches: work that is cut off where it outlives its deadline, or where it is told to stop.

One timer serves them all: a timer of its own for each verb costs more than the step around it.
"""

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The work was told to stop."""


class Overdue(Exception):
    """The work has outlived its deadline."""


class Watch:
    """One piece of work, awaited by the task that made the watch."""

    __slots__ = ("_before", "_task", "deadline", "why")

    def __init__(self, deadline: float = math.inf) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self.deadline = deadline
        self.why: type[Exception] | None = None

    def cut(self, why: type[Exception] = Stopped) -> None:
        """Have the work end now. The first reason counts."""
        if self.why is None:
            self.why = why
            self._task.cancel()

    async def over(self, work: Awaitable[T]) -> T:
        """Await the work. Raises ``Stopped`` or ``Overdue`` where it was cut; a caller's own cancellation goes on."""
        try:
            return await work
        except asyncio.CancelledError as error:
            if self.why is None or self._task.cancelling() - 1 > self._before:
                raise
            raise self.why from error
        finally:
            if self.why is not None:
                self._task.uncancel()


class Watches:
    """The watches with a deadline (by ``time.monotonic()``) of one event loop."""

    def __init__(self) -> None:
        self._open: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    async def over(self, watch: Watch, work: Awaitable[T]) -> T:
        """Await the work under this watch, and cut it off at the deadline."""
        self._open.add(watch)
        if watch.deadline < self._rings_at:
            self._arm(watch.deadline)
        try:
            return await watch.over(work)
        finally:
            self._open.discard(watch)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        now = time.monotonic()
        for watch in tuple(self._open):
            if watch.deadline <= now:
                self._open.discard(watch)
                watch.cut(Overdue)
        if self._open:
            self._arm(min(watch.deadline for watch in self._open))
