"""The original's rules 4 and 5: realize and provision."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import Context, Handle, PlaceRequest, Realization, Tags, Workspace
from leasehold.drivers.scripted import Fault, Provider, Reply, ScriptedDriver
from leasehold.orchestrator import (
    EnvironmentRunError,
    IllegalTransition,
    NoSuch,
    Orchestrator,
    RealizedWorkspace,
)
from leasehold.orchestrator.verify import verify
from leasehold.states import ErrorCode, Kind, LeaseState
from platform_run import ADAPTER, COMPANY, acquired, box, configured, realized


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


# --- 4. realize


async def test_on_local_the_tree_stands_in_place(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    result = await realized(orchestrator, held, tree)
    assert result.lease is held.lease
    assert result.lease.state is LeaseState.TARGETED
    assert result.workspace_realization["mode"] == "in_place"
    assert (await result.lease.exec("pwd")).stdout.text == f"{tree}\n"
    await result.lease.release()


async def test_elsewhere_it_is_copied(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    result = await realized(orchestrator, await acquired(orchestrator, await box(orchestrator)), tree)
    assert result.workspace_realization["mode"] == "copy"
    assert [standing.workspace for standing in provider.standing()] == [str(tree)]


async def test_mode_and_strategy_are_carried_and_not_interpreted(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    made = RealizedWorkspace(str(tree), source="task_session", strategy="git_worktree", branch_name="b")
    result = await realized(
        orchestrator, held, tree, execution_workspace=made, effective_execution_workspace_mode="cloud_sandbox"
    )
    record = result.workspace_realization
    assert record["mode"] == "in_place"
    assert record["rebuild"]["mode"] == "cloud_sandbox"
    assert (record["local"]["strategy"], record["local"]["branch_name"]) == ("git_worktree", "b")


async def test_a_tree_that_cannot_be_realized_fails_the_lease(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    place = await box(orchestrator, Fault(verb="realize", message="no room"))
    held = await acquired(orchestrator, place)
    with pytest.raises(EnvironmentRunError) as caught:
        await realized(orchestrator, held, tree)
    error = caught.value
    assert error.code is ErrorCode.WORKSPACE_REALIZATION_FAILED
    assert error.message == 'Failed to realize workspace for environment "box" (scripted): no room'
    assert (error.environment_id, error.driver, error.provider) == (place.id, "scripted", "scripted")
    assert str(error.__cause__) == "no room"
    assert (held.lease.state, held.lease.error_code) == (LeaseState.FAILED, error.code)
    assert provider.standing() == []


@pytest.mark.parametrize("cwd", ["", "  ", None, "/nowhere/at/all", "/a\0b", "/\udcff"])
async def test_a_tree_that_is_not_there_fails_the_lease(orchestrator: Orchestrator, cwd: str | None) -> None:
    held = await acquired(orchestrator)
    with pytest.raises(EnvironmentRunError) as caught:
        await realized(orchestrator, held, "", execution_workspace={"cwd": cwd})
    assert caught.value.code is ErrorCode.WORKSPACE_REALIZATION_FAILED
    assert caught.value.message.startswith('Failed to realize workspace for environment "local" (local): ')
    assert held.lease.state is LeaseState.FAILED


async def test_the_intent_names_the_tree(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    await realized(orchestrator, held, tree, persisted_execution_workspace=configured("make"))
    [begun] = [entry for entry in await held.lease.journal() if (entry.event, entry.kind) == ("realize", Kind.BEGUN)]
    assert begun.details["workspace"] == str(tree)
    assert begun.details["provision_command"] == "make"


async def test_two_runs_do_not_work_in_one_tree(orchestrator: Orchestrator, tree: Path) -> None:
    first = await acquired(orchestrator, run_id="first")
    await realized(orchestrator, first, tree)
    second = await acquired(orchestrator, run_id="second")
    with pytest.raises(EnvironmentRunError) as caught:
        await realized(orchestrator, second, tree)
    assert caught.value.code is ErrorCode.WORKSPACE_REALIZATION_FAILED
    assert f"{tree} is held by lease {first.lease.id} (run first, issue I-1)" in caught.value.message
    assert second.lease.cleanup_status == "success"
    await orchestrator.release_for_run(run_id="first", company_id=COMPANY)
    third = await acquired(orchestrator, run_id="third")
    assert (await realized(orchestrator, third, tree)).lease.state is LeaseState.TARGETED


async def test_unless_they_say_that_they_share_it(orchestrator: Orchestrator, tree: Path) -> None:
    for run_id in ("first", "second"):
        held = await acquired(orchestrator, run_id=run_id, share=True)
        assert (await realized(orchestrator, held, tree)).lease.state is LeaseState.TARGETED


async def test_a_dead_run_s_tree_is_freed_first(orchestrator: Orchestrator, open_orchestrator: Any, tree: Path) -> None:
    async with open_orchestrator() as other:
        await realized(other, await acquired(other, run_id="dead"), tree)
    result = await realized(orchestrator, await acquired(orchestrator, run_id="next"), tree)
    assert result.lease.state is LeaseState.TARGETED
    [dead] = await orchestrator.ledger.of_run(COMPANY, "dead")
    assert dead.facts.error_code == ErrorCode.LEASE_OWNER_LOST


async def test_a_lease_is_realized_once(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    await realized(orchestrator, held, tree)
    with pytest.raises(IllegalTransition, match="targeted"):
        await realized(orchestrator, held, tree)
    await held.lease.release()
    with pytest.raises(IllegalTransition, match="released"):
        await realized(orchestrator, held, tree)


async def test_a_failed_lease_says_its_first_error_again(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    await held.lease.fail("the platform gave up")
    with pytest.raises(EnvironmentRunError, match="the platform gave up") as caught:
        await realized(orchestrator, held, tree)
    assert caught.value.code is ErrorCode.RUN_FAILED


async def test_another_company_reaches_no_lease(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    with pytest.raises(NoSuch):
        await orchestrator.realize_for_run(
            environment=held.environment,
            lease=held.lease,
            adapter_type=ADAPTER,
            company_id="other",
            run_id="run",
            execution_workspace={"cwd": str(tree)},
        )
    assert held.lease.state is LeaseState.LEASED


async def test_a_cancelled_caller_tears_nothing(
    orchestrator: Orchestrator, driver: ScriptedDriver, provider: Provider, tree: Path
) -> None:
    held = await acquired(orchestrator, await box(orchestrator))
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait_there(_: object) -> None:
        reached.set()
        await go_on.wait()

    driver.at("realize", "before", wait_there)
    caller = asyncio.ensure_future(realized(orchestrator, held, tree))
    await asyncio.wait_for(reached.wait(), 10)
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert held.lease.error_code == ErrorCode.LEASE_CANCELLED
    assert provider.standing() == []


class Elsewhere(ScriptedDriver):
    """A driver whose place has a remote folder, and whose realization says ``cwd``."""

    def __init__(self, provider: Provider, cwd: str, remote_cwd: str | None) -> None:
        super().__init__(provider)
        self._cwd, self._remote_cwd = cwd, remote_cwd

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        handle = await super().acquire(key, request, tags, context)
        return replace(handle, data={**handle.data, "remote_cwd": self._remote_cwd})

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        return replace(await super().realize(handle, workspace, context), cwd=self._cwd)


@pytest.mark.parametrize(
    ("driver_says", "lease_says", "wanted"),
    [
        ("/srv/there", "/srv/lease", "/srv/there"),
        ("", "/srv/lease", "/srv/lease"),
        (" \t", "/srv/lease", "/srv/lease"),
        ("", "  ", "{tree}"),
        ("", None, "{tree}"),
    ],
)
async def test_the_realized_cwd_falls_back(
    open_orchestrator: Any,
    provider: Provider,
    tree: Path,
    driver_says: str,
    lease_says: str | None,
    wanted: str,
) -> None:
    """The driver's, else the lease's remote_cwd, else the local cwd; blank counts as none."""
    async with open_orchestrator(Elsewhere(provider, driver_says, lease_says)) as orchestrator:
        held = await acquired(orchestrator, await box(orchestrator))
        assert held.lease.metadata["remote_cwd"] == lease_says
        result = await realized(orchestrator, held, tree)
        cwd = wanted.format(tree=tree)
        assert result.lease.cwd == cwd
        assert result.execution_target is not None
        assert result.execution_target["remote_cwd"] == cwd
        await orchestrator.release_for_run(run_id="run", company_id=COMPANY)


# --- 5. provision


@pytest.mark.parametrize("command", [None, "", "  \n "])
async def test_no_command_is_no_provisioning(
    orchestrator: Orchestrator, driver: ScriptedDriver, tree: Path, command: str | None
) -> None:
    held = await acquired(orchestrator, await box(orchestrator))
    await realized(orchestrator, held, tree, persisted_execution_workspace=configured(command))
    [row] = [entry for entry in await held.lease.journal() if entry.event == "provision"]
    assert row.details == {"passed_over": "none"}
    assert [call.verb for call in driver.calls if call.verb == "execute"] == []


async def test_the_command_runs_trimmed_in_a_login_shell_in_the_realized_cwd(
    orchestrator: Orchestrator, driver: ScriptedDriver, tree: Path
) -> None:
    replies = [
        Reply(match="bash -lc make it", stdout="made").model_dump(),
        Reply(exit_code=9).model_dump(),
    ]
    held = await acquired(orchestrator, await box(orchestrator, results=replies))
    await realized(orchestrator, held, tree, persisted_execution_workspace=configured("  make it \n"))
    assert [call.verb for call in driver.calls].count("execute") == 1
    assert held.lease.terms.request.provision_timeout == 300.0


async def test_on_local_the_command_is_passed_over(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    await realized(orchestrator, held, tree, persisted_execution_workspace=configured("touch provisioned"))
    assert not (tree / "provisioned").exists()
    [row] = [entry for entry in await held.lease.journal() if entry.event == "provision"]
    assert row.details["passed_over"] == "a workspace that is used in place stands ready"


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (Reply(exit_code=3, stderr="\n  first \nsecond", stdout="out"), "exit code 3: first"),
        (Reply(exit_code=3, stdout=" \n out "), "exit code 3: out"),
        (Reply(exit_code=3), "exit code 3"),
        (Reply(signal=9), "exit code null (signal 9)"),
        (Reply(outcome="timed_out"), "provision command timed out"),  # type: ignore[arg-type]  # as a script says it
    ],
)
async def test_a_command_that_fails_fails_the_lease(
    orchestrator: Orchestrator, tree: Path, reply: Reply, detail: str
) -> None:
    held = await acquired(orchestrator, await box(orchestrator, results=[reply.model_dump()]))
    with pytest.raises(EnvironmentRunError) as caught:
        await realized(orchestrator, held, tree, persisted_execution_workspace=configured("make"))
    assert caught.value.code is ErrorCode.WORKSPACE_REALIZATION_FAILED
    assert caught.value.message == f'Failed to provision workspace for environment "box" (scripted): {detail}'
    assert held.lease.facts.error_stage == "provision"
