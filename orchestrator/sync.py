"""The same library without ``await``: an event loop of its own runs in a thread.

with Orchestrator.open() as orchestrator:
    with orchestrator.lease(workspace=".", mode="git_worktree") as lease:
        result = lease.exec("pytest", "-q")
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack

from leasehold.orchestrator.arguments import LeaseArguments
from leasehold.orchestrator.lease import Lease as AsyncLease
from leasehold.orchestrator.orchestrator import Orchestrator as AsyncOrchestrator
from leasehold.states import ErrorCode

__all__ = ["Lease", "Orchestrator"]

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
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


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The method of the asynchronous twin, run to its end."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(method(self.twin, *args, **kwargs))  # type: ignore[no-any-return]  # a _Loop's run

    return call


class Lease:
    """One run's hold on one environment; see ``leasehold.orchestrator.Lease``, its ``twin``."""

    def __init__(self, loop: _Loop, twin: AsyncLease) -> None:
        self.loop = loop
        self.twin = twin

    exec = _blocking(AsyncLease.exec)
    put = _blocking(AsyncLease.put)
    get = _blocking(AsyncLease.get)
    read = _blocking(AsyncLease.read)
    write = _blocking(AsyncLease.write)
    release = _blocking(AsyncLease.release)
    fail = _blocking(AsyncLease.fail)
    extend = _blocking(AsyncLease.extend)
    detach = _blocking(AsyncLease.detach)
    journal = _blocking(AsyncLease.journal)

    id = property(lambda self: self.twin.id)
    state = property(lambda self: self.twin.state)
    cleanup = property(lambda self: self.twin.cleanup)
    status = property(lambda self: self.twin.status)
    error_code = property(lambda self: self.twin.error_code)
    cleanup_error_code = property(lambda self: self.twin.cleanup_error_code)
    realization = property(lambda self: self.twin.realization)
    execution_target = property(lambda self: self.twin.execution_target)
    cwd = property(lambda self: self.twin.cwd)


class Orchestrator:
    """Leases environments of one store; see ``leasehold.orchestrator.Orchestrator``, its ``twin``."""

    def __init__(self, loop: _Loop, twin: AsyncOrchestrator) -> None:
        self.loop = loop
        self.twin = twin

    @classmethod
    @contextmanager
    def open(cls, store_url: str | None = None, **options: Any) -> "Generator[Orchestrator]":
        """Open the store; the arguments are those of the asynchronous ``open``."""
        loop = _Loop()
        try:
            opening = AsyncOrchestrator.open(store_url, **options)
            twin = loop.run(_entered(opening))
            try:
                yield cls(loop, twin)
            finally:
                loop.run(_left(opening))
        finally:
            loop.close()

    @contextmanager
    def lease(self, **request: Unpack[LeaseArguments]) -> Generator[Lease]:
        """A lease for the length of a block; an exception in it fails the lease."""
        lease = self.acquire(**request)
        try:
            yield lease
        except KeyboardInterrupt:
            lease.fail("its caller was interrupted", code=ErrorCode.LEASE_CANCELLED)
            raise
        except BaseException as error:
            lease.fail(self.twin.redaction.clean(f"{error.__class__.__name__}: {error}"))
            raise
        else:
            lease.release()

    def acquire(self, **request: Unpack[LeaseArguments]) -> Lease:
        """A lease at ``targeted``."""
        return Lease(self.loop, self.loop.run(self.twin.acquire(**request)))

    def attach(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease:
        """Take a lease that nobody holds, to use or end it."""
        return Lease(self.loop, self.loop.run(self.twin.attach(lease_id, company_id=company_id, force=force)))

    release = _blocking(AsyncOrchestrator.release)
    fail = _blocking(AsyncOrchestrator.fail)
    extend = _blocking(AsyncOrchestrator.extend)
    forget = _blocking(AsyncOrchestrator.forget)
    journal = _blocking(AsyncOrchestrator.journal)


async def _entered(opening: Any) -> AsyncOrchestrator:
    twin: AsyncOrchestrator = await opening.__aenter__()
    return twin


async def _left(opening: Any) -> None:
    await opening.__aexit__(None, None, None)
