"""The same library without ``await``: an event loop of its own runs in a thread.

with Orchestrator.open() as orchestrator:
    with orchestrator.lease(workspace=".", mode="git_worktree") as lease:
        result = lease.exec("pytest", "-q")
"""

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack

from leasehold.orchestrator.arguments import LeaseArguments
from leasehold.orchestrator.environments import Environment
from leasehold.orchestrator.environments import Environments as AsyncEnvironments
from leasehold.orchestrator.execution_target import Runner as AsyncRunner
from leasehold.orchestrator.execution_workspaces import ExecutionWorkspaces as AsyncExecutionWorkspaces
from leasehold.orchestrator.lease import Lease as AsyncLease
from leasehold.orchestrator.loop_thread import LoopThread
from leasehold.orchestrator.orchestrator import Orchestrator as AsyncOrchestrator
from leasehold.orchestrator.request import SweepBy
from leasehold.orchestrator.results import (
    AcquisitionResult,
    Executed,
    LeaseRecord,
    RealizationResult,
    ReleaseResult,
    WorkspaceRealized,
)
from leasehold.orchestrator.run_ending import RunEnding
from leasehold.orchestrator.runtime import Runtime as AsyncRuntime
from leasehold.orchestrator.step import Failure
from leasehold.orchestrator.worker import Worker
from leasehold.states import ErrorCode

__all__ = ["Environments", "ExecutionWorkspaces", "Lease", "Orchestrator", "Runner", "Runtime"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The method of the asynchronous twin, run to its end."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(method(self.twin, *args, **kwargs))  # type: ignore[no-any-return]  # a LoopThread's run

    return call


def _recording(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, LeaseRecord[AsyncLease]]],
) -> "Callable[Concatenate[Any, P], LeaseRecord[Lease]]":
    """The same, with the lease's synchronous face in its record."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> "LeaseRecord[Lease]":
        return _face(self.loop, self.loop.run(method(self.twin, *args, **kwargs)))

    return call


def _acquiring(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, AcquisitionResult[AsyncLease]]],
) -> "Callable[Concatenate[Any, P], AcquisitionResult[Lease]]":
    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> "AcquisitionResult[Lease]":
        held = self.loop.run(method(self.twin, *args, **kwargs))
        lease = Lease(self.loop, held.lease)
        return AcquisitionResult(held.environment, lease, held.lease_context, held.execution_transport)

    return call


def _releasing(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, ReleaseResult[AsyncLease]]],
) -> "Callable[Concatenate[Any, P], ReleaseResult[Lease]]":
    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> "ReleaseResult[Lease]":
        ended = self.loop.run(method(self.twin, *args, **kwargs))
        return ReleaseResult([_face(self.loop, record) for record in ended.released], ended.errors)

    return call


def _face(loop: LoopThread, record: LeaseRecord[AsyncLease]) -> "LeaseRecord[Lease]":
    return LeaseRecord(record.environment, Lease(loop, record.lease), record.lease_context)


class _Face(Generic[T]):
    """What runs the coroutines of its ``twin`` on the event loop of another thread, and waits for them."""

    def __init__(self, loop: LoopThread, twin: T) -> None:
        self.loop = loop
        self.twin = twin


class Lease(_Face[AsyncLease]):
    """One run's hold on one environment; see ``leasehold.orchestrator.Lease``, its ``twin``."""

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
    company_id = property(lambda self: self.twin.company_id)
    run_id = property(lambda self: self.twin.run_id)
    issue_id = property(lambda self: self.twin.issue_id)
    environment_id = property(lambda self: self.twin.environment_id)
    execution_workspace_id = property(lambda self: self.twin.execution_workspace_id)
    lease_policy = property(lambda self: self.twin.lease_policy)
    provider = property(lambda self: self.twin.provider)
    provider_lease_id = property(lambda self: self.twin.provider_lease_id)
    acquired_at = property(lambda self: self.twin.acquired_at)
    expires_at = property(lambda self: self.twin.expires_at)
    released_at = property(lambda self: self.twin.released_at)
    failure_reason = property(lambda self: self.twin.failure_reason)
    cleanup_status = property(lambda self: self.twin.cleanup_status)
    metadata = property(lambda self: self.twin.metadata)


class Runner(_Face[AsyncRunner]):
    """Executes in a lease's place; see ``leasehold.orchestrator.execution_target.Runner``, its ``twin``."""

    execute = _blocking(AsyncRunner.execute)


class Environments(_Face[AsyncEnvironments]):
    """The environments of a store; see ``leasehold.orchestrator.Environments``, its ``twin``."""

    find = _blocking(AsyncEnvironments.find)
    get = _blocking(AsyncEnvironments.get)
    local_default = _blocking(AsyncEnvironments.local_default)
    add = _blocking(AsyncEnvironments.add)
    archive = _blocking(AsyncEnvironments.archive)
    listing = _blocking(AsyncEnvironments.listing)


class ExecutionWorkspaces(_Face[AsyncExecutionWorkspaces]):
    """A platform's records of its trees; see ``leasehold.orchestrator.ExecutionWorkspaces``, its ``twin``."""

    add = _blocking(AsyncExecutionWorkspaces.add)
    get = _blocking(AsyncExecutionWorkspaces.get)
    update_metadata = _blocking(AsyncExecutionWorkspaces.update_metadata)
    remove = _blocking(AsyncExecutionWorkspaces.remove)


class Runtime(_Face[AsyncRuntime]):
    """The original's runtime; see ``leasehold.orchestrator.Runtime``, its ``twin``."""

    acquire_run_lease = _recording(AsyncRuntime.acquire_run_lease)

    def realize_workspace(
        self, *, environment: Environment, lease: Lease, workspace: Mapping[str, Any]
    ) -> WorkspaceRealized:
        """Put a tree into a lease at ``leased``."""
        realizing = self.twin.realize_workspace(environment=environment, lease=lease.twin, workspace=workspace)
        return self.loop.run(realizing)

    def execute(
        self,
        *,
        environment: Environment,
        lease: Lease,
        command: str,
        args: Sequence[str] = (),
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout_ms: int | None = None,
    ) -> Executed:
        """Run a command in a lease's place, to its end."""
        return self.loop.run(
            self.twin.execute(
                environment=environment,
                lease=lease.twin,
                command=command,
                args=args,
                cwd=cwd,
                env=env,
                stdin=stdin,
                timeout_ms=timeout_ms,
            )
        )

    def release_run_leases(
        self, run_id: str, status: str = RunEnding.RELEASED, *, company_id: str | None = None
    ) -> list[LeaseRecord[Lease]]:
        """End all that a run holds; the first error is raised once every lease was tried."""
        records = self.loop.run(self.twin.release_run_leases(run_id, status, company_id=company_id))
        return [_face(self.loop, record) for record in records]


class Orchestrator(_Face[AsyncOrchestrator]):
    """Leases environments of one store; see ``leasehold.orchestrator.Orchestrator``, its ``twin``."""

    @classmethod
    @contextmanager
    def open(cls, store_url: str | None = None, **options: Any) -> "Generator[Orchestrator]":
        """Open the store; the arguments are those of the asynchronous ``open``."""
        loop = LoopThread()
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
            failure = Failure(ErrorCode.LEASE_CANCELLED, "its caller was interrupted", "caller")
            self.loop.run(self.twin._runs.end_unused(lease.twin, failure))  # pyright: ignore[reportPrivateUsage]  # its own twin
            raise
        except BaseException as error:
            failure = Failure(ErrorCode.RUN_FAILED, f"{error.__class__.__name__}: {error}", "run")
            self.loop.run(self.twin._runs.end_unused(lease.twin, failure))  # pyright: ignore[reportPrivateUsage]  # its own twin
            raise
        else:
            lease.release()

    def acquire(self, **request: Unpack[LeaseArguments]) -> Lease:
        """A lease at ``targeted``."""
        return Lease(self.loop, self.loop.run(self.twin.acquire(**request)))

    def attach(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease:
        """Take a lease that nobody holds, to use or end it."""
        return Lease(self.loop, self.loop.run(self.twin.attach(lease_id, company_id=company_id, force=force)))

    resolve_environment = _blocking(AsyncOrchestrator.resolve_environment)
    acquire_lease = _recording(AsyncOrchestrator.acquire_lease)
    resolve_transport = _blocking(AsyncOrchestrator.resolve_transport)
    acquire_for_run = _acquiring(AsyncOrchestrator.acquire_for_run)
    release_for_run = _releasing(AsyncOrchestrator.release_for_run)

    def realize_for_run(
        self,
        *,
        environment: Environment,
        lease: Lease,
        adapter_type: str | None,
        company_id: str,
        issue_id: str | None = None,
        run_id: str,
        execution_workspace: object,
        effective_execution_workspace_mode: str | None = None,
        persisted_execution_workspace: object = None,
    ) -> RealizationResult[Lease]:
        """Put the platform's tree into a lease at ``leased``, provision it, and resolve the target."""
        realized = self.loop.run(
            self.twin.realize_for_run(
                environment=environment,
                lease=lease.twin,
                adapter_type=adapter_type,
                company_id=company_id,
                issue_id=issue_id,
                run_id=run_id,
                execution_workspace=execution_workspace,
                effective_execution_workspace_mode=effective_execution_workspace_mode,
                persisted_execution_workspace=persisted_execution_workspace,
            )
        )
        target = realized.execution_target
        if target is not None and "runner" in target:
            target = {**target, "runner": Runner(self.loop, target["runner"])}
        return RealizationResult(
            lease,
            realized.workspace_realization,
            target,
            realized.remote_execution,
            realized.persisted_execution_workspace,
        )

    @property
    def environments(self) -> Environments:
        """The environments of the store."""
        return Environments(self.loop, self.twin.environments)

    @property
    def execution_workspaces(self) -> ExecutionWorkspaces:
        """The execution workspaces of the store."""
        return ExecutionWorkspaces(self.loop, self.twin.execution_workspaces)

    @property
    def runtime(self) -> Runtime:
        """One verb at a time."""
        return Runtime(self.loop, self.twin.runtime)

    @contextmanager
    def worker(
        self,
        *,
        told: Callable[[str], None] | None = None,
        sweeps: str | SweepBy = SweepBy.APPLY,
        health: Path | None = None,
    ) -> Generator[Worker]:
        """Do the duties of the whole ledger beside a block, on the event loop's thread."""
        running = self.twin.worker(told=told, sweeps=sweeps, health=health)
        worker = self.loop.run(_entered(running))
        try:
            yield worker
        finally:
            self.loop.run(_left(running))

    release = _blocking(AsyncOrchestrator.release)
    fail = _blocking(AsyncOrchestrator.fail)
    extend = _blocking(AsyncOrchestrator.extend)
    forget = _blocking(AsyncOrchestrator.forget)
    journal = _blocking(AsyncOrchestrator.journal)
    archive = _blocking(AsyncOrchestrator.archive)
    replay = _blocking(AsyncOrchestrator.replay)
    replay_stuck = _blocking(AsyncOrchestrator.replay_stuck)
    duties = _blocking(AsyncOrchestrator.duties)
    sweep = _blocking(AsyncOrchestrator.sweep)
    restored = _blocking(AsyncOrchestrator.restored)
    prune = _blocking(AsyncOrchestrator.prune)
    drop_company = _blocking(AsyncOrchestrator.drop_company)


async def _entered(opening: AbstractAsyncContextManager[T]) -> T:
    return await opening.__aenter__()


async def _left(opening: AbstractAsyncContextManager[Any]) -> None:
    await opening.__aexit__(None, None, None)
