"""The original's runtime: each verb takes a lease and fires the machine."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Fault, Provider, Reply
from leasehold.orchestrator import EnvironmentRunError, Executed, IllegalTransition, LeaseRecord, Orchestrator
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import ErrorCode, LeaseState
from platform_run import COMPANY, acquired, box


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def held(orchestrator: Orchestrator, *faults: Fault, **config: Any) -> LeaseRecord[Lease]:
    place = await box(orchestrator, *faults, **config)
    return await orchestrator.runtime.acquire_run_lease(
        company_id=COMPANY,
        environment=place,
        issue_id=None,
        run_id="run",
        persisted_execution_workspace={"id": "ew", "mode": "shared_workspace"},
    )


async def put(orchestrator: Orchestrator, record: LeaseRecord[Lease], tree: Path) -> dict[str, Any]:
    done = await orchestrator.runtime.realize_workspace(
        environment=record.environment,
        lease=record.lease,
        workspace={"local_path": str(tree), "mode": "shared_workspace"},
    )
    assert done.cwd == record.lease.cwd
    return done.metadata["workspace_realization"]


async def test_a_life_verb_by_verb(orchestrator: Orchestrator, provider: Provider, tree: Path) -> None:
    runtime = orchestrator.runtime
    record = await held(orchestrator, results=[Reply(match="ls -l", stdout="a\n", exit_code=2).model_dump()])
    assert record.lease.state is LeaseState.LEASED
    realization = await put(orchestrator, record, tree)
    assert record.lease.state is LeaseState.REALIZED
    assert (realization["version"], realization["local"]["path"]) == (1, str(tree))
    assert realization["rebuild"]["execution_workspace_id"] == "ew"
    done = await runtime.execute(
        environment=record.environment, lease=record.lease, command="ls", args=["-l"], timeout_ms=5_000
    )
    assert done == Executed(exit_code=2, signal=None, timed_out=False, stdout="a\n", stderr="")
    assert record.lease.state is LeaseState.TARGETED
    [ended] = await runtime.release_run_leases("run", company_id=COMPANY)
    assert ended.lease is record.lease
    assert record.lease.state is LeaseState.RELEASED
    assert provider.standing() == []
    assert await runtime.release_run_leases("run", company_id=COMPANY) == []


async def test_a_real_command_reads_stdin_and_its_environment(orchestrator: Orchestrator, tree: Path) -> None:
    runtime, record = orchestrator.runtime, await acquired(orchestrator)
    place: Any = {"environment": record.environment, "lease": record.lease}
    await runtime.realize_workspace(**place, workspace={"local_path": str(tree)})
    done = await runtime.execute(
        **place, command="sh", args=["-c", "cat; pwd; echo $WHO; kill -KILL $$"], stdin="in\n", env={"WHO": "me"}
    )
    assert done == Executed(None, "SIGKILL", False, f"in\n{tree}\nme\n", "")
    late = await runtime.execute(**place, command="sh", args=["-c", "read x < /dev/zero"], timeout_ms=200)
    assert late.timed_out
    await runtime.release_run_leases("run", "failed", company_id=COMPANY)
    assert record.lease.error_code == ErrorCode.RUN_FAILED


async def test_nothing_runs_before_the_tree_is_there(orchestrator: Orchestrator) -> None:
    record = await held(orchestrator)
    with pytest.raises(IllegalTransition, match="it has to be realized"):
        await orchestrator.runtime.execute(environment=record.environment, lease=record.lease, command="true")
    assert record.lease.state is LeaseState.LEASED


async def test_a_verb_that_fails_fails_the_lease(orchestrator: Orchestrator, tree: Path) -> None:
    record = await held(orchestrator, Fault(verb="realize", message="no room"))
    with pytest.raises(EnvironmentRunError, match="no room"):
        await put(orchestrator, record, tree)
    assert record.lease.error_code == ErrorCode.WORKSPACE_REALIZATION_FAILED


async def test_all_leases_are_tried_before_the_first_error_is_raised(
    orchestrator: Orchestrator, provider: Provider
) -> None:
    bad = await box(orchestrator, Fault(verb="release", call=1, message="not now"), name="bad")
    good = await box(orchestrator)
    leases = [(await acquired(orchestrator, place)).lease for place in (bad, good)]
    with pytest.raises(EnvironmentRunError, match="not now") as caught:
        await orchestrator.runtime.release_run_leases("run", company_id=COMPANY)
    assert caught.value.lease_id == leases[0].id
    assert [lease.state for lease in leases] == [LeaseState.RELEASED] * 2
    assert [lease.cleanup_status for lease in leases] == ["failed", "success"]


async def test_a_cancelled_caller_of_execute_ends_its_command(orchestrator: Orchestrator, tree: Path) -> None:
    record = await held(orchestrator, results=[Reply(match="forever", hang=True).model_dump()])
    await put(orchestrator, record, tree)
    place: Any = {"environment": record.environment, "lease": record.lease}
    await orchestrator.runtime.execute(**place, command="true")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await orchestrator.runtime.execute(**place, command="forever")
    assert record.lease.state is LeaseState.TARGETED
