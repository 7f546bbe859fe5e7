"""Watches: work that is cut off where it outlives its deadline, or where it is told to stop.

One timer serves all deadlines: one for each verb costs more than the step around it.
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

    __slots__ = ("_before", "_over", "_task", "deadline", "why")

    def __init__(self, deadline: float = math.inf) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self._over = False
        self.deadline = deadline
        self.why: type[Exception] | None = None

    def cut(self, why: type[Exception] = Stopped) -> None:
        """Have the work end now, where it has not. The first reason counts."""
        if self.why is None and not self._over:
            self.why = why
            self._task.cancel()

    def reason(self) -> type[Exception] | None:
        """Why the task's cancellation is this watch's doing alone; none where its caller cancelled it as well."""
        return None if self._task.cancelling() - 1 > self._before else self.why

    def settle(self) -> None:
        """The work has ended: a cut is no longer a cancellation of the task, whatever that awaits now."""
        self._over = True
        if self.why is not None:
            self._task.uncancel()


class Watches:
    """The watches of one event loop. Deadlines are by ``time.monotonic()``."""

    def __init__(self) -> None:
        self._open: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    async def over(self, watch: Watch, work: Awaitable[T]) -> T:
        """Await the work, and cut it off at the watch's deadline.

        Raises ``Overdue``, or ``Stopped`` where it was cut before; a caller's own cancellation goes on.
        """
        self._open.add(watch)
        if watch.deadline < self._rings_at:
            self._arm(watch.deadline)
        try:
            return await work
        except asyncio.CancelledError as error:
            why = watch.reason()
            if why is None:
                raise
            raise why from error
        finally:
            self._open.discard(watch)
            watch.settle()

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
        next_at = min((watch.deadline for watch in self._open), default=math.inf)
        if next_at < math.inf:
            self._arm(next_at)
