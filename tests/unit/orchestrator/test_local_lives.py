"""Lives of the local driver's real places, on both stores.

The conformance suite drives a driver, and knows no store; the tests beside this one drive the scripted driver
on both stores. What a driver and a store must do together is here, and in ``tests/acceptance``, on both too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from bench import print_of, repository, sh
from leasehold.drivers import Mode
from leasehold.orchestrator import EnvironmentRunError, LeaseLost, Orchestrator, Settings
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, Kind, LeaseState

MODES = [*Mode]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


@pytest.mark.parametrize("mode", MODES, ids=[mode.value for mode in MODES])
async def test_a_whole_life_leaves_the_workspace_as_it_was(
    store_url: str, state_folder: Path, workspace: Path, mode: Mode
) -> None:
    before = print_of(workspace)
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        lease = await orchestrator.acquire(workspace=workspace, mode=mode, provision="echo made > provisioned")
        assert (await lease.exec("cat", "a")).stdout.text == "one\ntwo\nthree\n"
        assert (await lease.exec("test", "-e", "provisioned")).ok == (mode is not Mode.IN_PLACE)
        await lease.release()
        assert (lease.state, lease.cleanup) == (LeaseState.RELEASED, CleanupState.SUCCEEDED)
        assert [finding async for finding in verify(orchestrator.store)] == []
    assert print_of(workspace) == before
    assert not [*(state_folder / "places").glob("[!.]*")]


async def test_a_place_is_let_go_taken_up_kept_and_ended_by_further_processes(
    store_url: str, state_folder: Path, workspace: Path
) -> None:
    settings = Settings(state_folder=state_folder)
    async with Orchestrator.open(store_url, settings=settings) as first:
        lease = await first.acquire(workspace=workspace, mode="git_worktree", policy="retain_on_failure")
        await lease.exec("sh", "-c", "echo more > more", timeout=30)
        await lease.detach()
    async with Orchestrator.open(store_url, settings=settings) as second:
        attached = await second.attach(lease.id)
        assert (await attached.exec("cat", "more")).stdout.text == "more\n"
        await attached.fail("not good enough")
        assert attached.cleanup is CleanupState.RETAINED
    async with Orchestrator.open(store_url, settings=settings) as third:
        ended = await third.release(lease.id)
        assert ended is not None
        assert ended.cleanup is CleanupState.SUCCEEDED
        assert [finding async for finding in verify(third.store)] == []
    assert sh(workspace, f"git show refs/leasehold/{lease.id}:more") == "more"


async def test_lives_side_by_side_keep_their_trees_apart(store_url: str, state_folder: Path, workspace: Path) -> None:
    async def life(orchestrator: Orchestrator, number: int) -> Lease:
        async with orchestrator.lease(workspace=workspace, mode=Mode.GIT_WORKTREE, run_id=f"run-{number}") as lease:
            assert (await lease.exec("sh", "-c", f"echo {number} >> a; tail -n 1 a")).stdout.text == f"{number}\n"
        return lease

    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        leases = await asyncio.gather(*(life(orchestrator, number) for number in range(4)))
        ends = [(await lease.journal())[-1] for lease in leases]
        assert {lease.cleanup for lease in leases} == {CleanupState.SUCCEEDED}, [end.details for end in ends]
        assert [finding async for finding in verify(orchestrator.store)] == []


async def test_of_a_failed_provision_the_journal_keeps_the_last_of_what_it_said(
    store_url: str, state_folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_TOKEN", "hunter2hunter2")
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        variables = {"SECRET": "env:HOST_TOKEN"}
        await orchestrator.environments.add("default", "place", "local", {"variables": variables})
        command = "echo first >&2; seq 2000 >&2; echo $TOKEN and $SECRET are no good >&2; exit 9"
        with pytest.raises(EnvironmentRunError, match=r"exit code 9: first$") as caught:
            await orchestrator.acquire(
                environment="place", workspace=workspace, mode=Mode.COPY, provision=command, env={"TOKEN": "swordfish"}
            )
        [failed] = [row for row in await orchestrator.journal(caught.value.lease_id or "") if row.kind is Kind.FAILED]
        said = failed.details["stderr"]
        assert said.endswith("1999\n2000\n[redacted] and [redacted] are no good\n")
        assert len(said) == 4096


async def test_an_orchestrator_that_is_closed_ends_what_it_runs_in_leases_it_holds(
    store_url: str, state_folder: Path, workspace: Path, eventually: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    def children() -> set[str]:
        lists = Path("/proc/self/task").glob("*/children")
        return {pid for children in lists for pid in children.read_text().split()}

    before = children()
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        lease = await orchestrator.acquire(workspace=workspace, mode=Mode.COPY)
        assert (await lease.exec("true")).ok
        running = asyncio.ensure_future(lease.exec("sleep", "300"))
        await eventually(lambda: not children() <= before)
    with pytest.raises(LeaseLost, match="its orchestrator was closed"):
        await running
    assert children() <= before
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        await orchestrator.fail(lease.id, "its platform ended")
        row = await orchestrator.ledger.find("default", lease.id)
        assert (row.facts.error_code, row.facts.cleanup) == ("lease_owner_lost", CleanupState.SUCCEEDED)
