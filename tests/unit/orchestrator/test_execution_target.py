"""The original's rule 7: where and how the adapter executes."""

from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Fault, Reply
from leasehold.orchestrator import EnvironmentRunError, Orchestrator
from leasehold.orchestrator.execution_target import Runner
from leasehold.orchestrator.verify import verify
from leasehold.states import ErrorCode, LeaseState
from platform_run import acquired, box, realized, sandbox_target


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def test_the_local_target(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    result = await realized(orchestrator, held, tree)
    assert result.execution_target == {
        "kind": "local",
        "environment_id": held.environment.id,
        "lease_id": held.lease.id,
    }
    assert result.remote_execution is None


async def test_the_ssh_target(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator, await box(orchestrator, transport="ssh"))
    result = await realized(orchestrator, held, tree)
    target = result.execution_target
    assert target is not None
    assert (target["kind"], target["transport"], target["remote_cwd"]) == ("remote", "ssh", held.lease.cwd)
    assert result.remote_execution == target["spec"]
    assert target["spec"]["remote_cwd"] == held.lease.cwd
    assert set(target["spec"]) == set(held.execution_transport or {})


async def test_the_sandbox_target_has_a_runner(orchestrator: Orchestrator, tree: Path) -> None:
    replies = [Reply(match="echo hi", stdout="hi\n", stderr="oh\n", exit_code=3).model_dump()]
    held = await acquired(orchestrator, await box(orchestrator, results=replies))
    result = await realized(orchestrator, held, tree)
    target = dict(result.execution_target or {})
    runner = target.pop("runner")
    assert target == sandbox_target(held, provider="scripted", shell=None)
    assert result.remote_execution is None
    assert isinstance(runner, Runner)
    done = await runner.execute(command="echo", args=["hi"], timeout_ms=5_000)
    assert (done.exit_code, done.signal, done.timed_out) == (3, None, False)
    assert (done.stdout, done.stderr) == ("hi\n", "oh\n")


async def test_over_a_plugin_s_own_transport_there_is_no_target(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator, await box(orchestrator, transport="plugin"), adapter_type="shell")
    result = await realized(orchestrator, held, tree)
    assert (result.execution_target, result.remote_execution) == (None, None)
    assert result.workspace_realization["transport"] == "plugin"


async def test_a_target_that_fails_fails_the_lease(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator, await box(orchestrator, Fault(verb="target", message="no shell")))
    with pytest.raises(EnvironmentRunError) as caught:
        await realized(orchestrator, held, tree)
    assert caught.value.code is ErrorCode.TRANSPORT_RESOLUTION_FAILED
    assert caught.value.message == 'Failed to resolve execution target for "box": no shell'
    assert held.lease.state is LeaseState.FAILED
    assert "workspace_realization" in held.lease.metadata
