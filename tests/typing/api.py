"""The public API as a typed caller uses it: mypy and pyright read this file, nothing runs it."""

from typing import Any, assert_type

from leasehold.drivers import Result
from leasehold.orchestrator import (
    AcquisitionResult,
    Environment,
    EnvironmentRunError,
    Executed,
    Lease,
    LeaseContext,
    LeaseRecord,
    Orchestrator,
    RealizationResult,
    RealizedWorkspace,
    ReleaseFailure,
    ReleaseResult,
    Runtime,
    Settings,
    select_environment,
    sync,
)
from leasehold.orchestrator.selection import Selection
from leasehold.states import CleanupState, Entry, ErrorCode, LeaseState, Status


async def asynchronous() -> None:
    async with Orchestrator.open("sqlite:////tmp/l.db", settings=Settings()) as orchestrator:
        assert_type(orchestrator, Orchestrator)
        async with orchestrator.lease(environment="local", workspace=".", mode="git_worktree", ttl="30m") as lease:
            assert_type(lease, Lease)
            assert_type(await lease.exec("pytest", "-q", timeout=300), Result)
            assert_type(lease.state, LeaseState)
            assert_type(lease.cleanup, CleanupState)
            assert_type(lease.status, Status)
            assert_type(await lease.journal(), list[Entry])
            assert_type(await lease.read("file"), bytes)
        try:
            held = await orchestrator.acquire(workspace=".", policy="retain_on_failure", env={"A": "b"})
            await held.detach()
            assert_type(await orchestrator.release(held.id), Lease | None)
        except EnvironmentRunError as error:
            assert_type(error.code, ErrorCode)
            assert_type(error.message, str)
    assert_type(select_environment({"agent": "gpu"}), Selection)


async def platform() -> None:
    async with Orchestrator.open(workspaces=None) as orchestrator:
        environment = await orchestrator.resolve_environment(company_id="c", selected_environment_id="e")
        assert_type(environment, Environment)
        record = await orchestrator.acquire_lease(company_id="c", environment=environment, run_id="r")
        assert_type(record, LeaseRecord[Lease])
        spec = await orchestrator.resolve_transport(company_id="c", adapter_type="a", environment=environment)
        assert_type(spec, dict[str, Any] | None)
        acquired = await orchestrator.acquire_for_run(company_id="c", adapter_type="a", run_id="r")
        assert_type(acquired, AcquisitionResult[Lease])
        assert_type(acquired.lease_context, LeaseContext)
        realized = await orchestrator.realize_for_run(
            environment=environment,
            lease=acquired.lease,
            adapter_type="a",
            company_id="c",
            run_id="r",
            execution_workspace=RealizedWorkspace("/srv/tree"),
        )
        assert_type(realized, RealizationResult[Lease])
        assert_type(realized.execution_target, dict[str, Any] | None)
        assert_type(orchestrator.runtime, Runtime)
        done = await orchestrator.runtime.execute(environment=environment, lease=realized.lease, command="true")
        assert_type(done, Executed)
        ended = await orchestrator.release_for_run(run_id="r", company_id="c", status="failed")
        assert_type(ended, ReleaseResult[Lease])
        assert_type(ended.errors, list[ReleaseFailure])
        assert_type(realized.lease.cleanup_status, str)
        assert_type(realized.lease.metadata, dict[str, Any])


def synchronous() -> None:
    with sync.Orchestrator.open() as orchestrator, orchestrator.lease(workspace=".") as lease:
        assert_type(lease, sync.Lease)
        assert_type(lease.exec("true"), Result)
        assert_type(lease.journal(), list[Entry])
        environment = orchestrator.resolve_environment(company_id="c")
        acquired = orchestrator.acquire_for_run(company_id="c", adapter_type="a", run_id="r")
        assert_type(acquired, AcquisitionResult[sync.Lease])
        realized = orchestrator.realize_for_run(
            environment=environment,
            lease=acquired.lease,
            adapter_type="a",
            company_id="c",
            run_id="r",
            execution_workspace={"cwd": "/srv/tree"},
        )
        assert_type(realized, RealizationResult[sync.Lease])
        assert_type(orchestrator.release_for_run(run_id="r", company_id="c"), ReleaseResult[sync.Lease])
