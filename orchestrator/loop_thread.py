"""An event loop in a thread of its own, for callers that do not await."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="leasehold-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine there. An interrupted caller cancels it, and waits until it has settled."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                done = threading.Event()
                self._loop.call_soon_threadsafe(self._when_idle, done)
                done.wait(30)
            raise

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _when_idle(self, done: threading.Event) -> None:
        """Set ``done`` once every task that is under way now has ended."""
        tasks = asyncio.all_tasks(self._loop)
        cancelled = [task for task in tasks if task.cancelling()]
        if cancelled:
            waiter = asyncio.ensure_future(asyncio.wait(cancelled))
            waiter.add_done_callback(lambda _: done.set())
        else:
            done.set()
