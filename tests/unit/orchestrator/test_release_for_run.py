"""The original's rules 8 and 9: all of a run's leases end, whatever one of them does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Fault, Provider, ScriptedDriver
from leasehold.orchestrator import EnvironmentRunError, Lease, LeaseContext, Orchestrator, StillHeld, WrongUsage
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, ErrorCode, LeaseState, Policy, Status
from platform_run import COMPANY, acquired, activities, box, realized


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def ended(orchestrator: Orchestrator, run_id: str = "run", **more: Any) -> tuple[list[Lease], dict[str, Any]]:
    """The leases that ended, and the errors by lease."""
    result = await orchestrator.release_for_run(run_id=run_id, company_id=COMPANY, agent_id="A-1", **more)
    return [record.lease for record in result.released], {each.lease_id: each.error for each in result.errors}


@pytest.mark.parametrize(
    ("status", "state", "code", "word"),
    [
        ("released", LeaseState.RELEASED, None, Status.RELEASED),
        (None, LeaseState.RELEASED, None, Status.RELEASED),
        ("failed", LeaseState.FAILED, ErrorCode.RUN_FAILED, Status.FAILED),
        ("expired", LeaseState.FAILED, ErrorCode.LEASE_CANCELLED, Status.EXPIRED),
    ],
)
async def test_how_the_run_ended_is_how_its_leases_end(
    orchestrator: Orchestrator, tree: Path, status: str | None, state: LeaseState, code: ErrorCode | None, word: Status
) -> None:
    held = await acquired(orchestrator)
    await realized(orchestrator, held, tree)
    [lease], errors = await ended(orchestrator, status=status)
    assert errors == {}
    assert lease is held.lease
    assert (lease.state, lease.error_code, lease.status) == (state, code, word)
    assert (lease.cleanup, lease.cleanup_status) == (CleanupState.SUCCEEDED, "success")
    assert (await asyncio.to_thread(tree.is_dir)) is True


async def test_a_second_call_does_nothing(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    await realized(orchestrator, held, tree)
    await ended(orchestrator)
    journal = await held.lease.journal()
    assert await ended(orchestrator, status="failed") == ([], {})
    assert await held.lease.journal() == journal
    assert await ended(orchestrator, run_id="never heard of") == ([], {})


async def test_another_status_is_wrong_usage(orchestrator: Orchestrator) -> None:
    with pytest.raises(WrongUsage, match="retained"):
        await ended(orchestrator, status="retained")


async def test_a_lease_that_was_never_realized_ends_too(orchestrator: Orchestrator, provider: Provider) -> None:
    held = await acquired(orchestrator, await box(orchestrator))
    [lease], _ = await ended(orchestrator)
    assert (lease, lease.state) == (held.lease, LeaseState.RELEASED)
    assert provider.standing() == []


async def test_the_record_names_environment_and_execution_workspace(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    await acquired(orchestrator, place, persisted_execution_workspace={"id": "ew", "mode": "operator_branch"})
    result = await orchestrator.release_for_run(run_id="run", company_id=COMPANY)
    [record] = result.released
    assert record.environment == place
    assert record.lease_context == LeaseContext("ew", "operator_branch")


async def test_one_failing_release_stops_no_other(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    bad = await box(orchestrator, Fault(verb="release", call=1, message="not now"), name="bad")
    held = [await acquired(orchestrator, place) for place in (bad, await box(orchestrator), None)]
    released, errors = await ended(orchestrator)
    assert released == [held[1].lease, held[2].lease]
    assert set(errors) == {held[0].lease.id}
    error = errors[held[0].lease.id]
    assert isinstance(error, EnvironmentRunError)
    assert (error.code, error.message) == (ErrorCode.LEASE_RELEASE_FAILED, "not now")
    assert (error.environment_id, error.lease_id) == (bad.id, held[0].lease.id)
    assert (held[0].lease.state, held[0].lease.cleanup_status) == (LeaseState.RELEASED, "failed")
    assert held[0].lease.status is Status.PENDING_CLEANUP
    assert await ended(orchestrator) == ([], {})
    await orchestrator.release(held[0].lease.id)
    assert provider.standing() == []


async def test_a_sync_back_that_fails_is_kept_with_its_lease(orchestrator: Orchestrator, tree: Path) -> None:
    place = await box(orchestrator, Fault(verb="sync_back", message="both changed a.txt"), syncs_back=True)
    held = await acquired(orchestrator, place)
    await realized(orchestrator, held, tree)
    other = await acquired(orchestrator)
    released, errors = await ended(orchestrator)
    assert released == [other.lease]
    assert errors[held.lease.id].code is ErrorCode.WORKSPACE_SYNC_FAILED
    assert held.lease.cleanup is CleanupState.RETAINED


async def test_where_the_leases_cannot_be_listed_the_error_is_nobody_s(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await acquired(orchestrator)
    with monkeypatch.context() as broken:
        broken.setattr(orchestrator.store.engine, "connect", _no_connection)
        released, errors = await ended(orchestrator)
    assert released == []
    assert [(name, str(error)) for name, error in errors.items()] == [("*", "the network is away")]
    assert held.lease.state is LeaseState.LEASED
    assert (await ended(orchestrator))[0] == [held.lease]


def _no_connection() -> None:
    raise ConnectionError("the network is away")


async def test_the_run_s_own_failure_is_never_hidden(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator, Fault(verb="release", message="not now"))
    held = await acquired(orchestrator, place)
    _, errors = await ended(orchestrator, status="failed", failure_reason="exit code 1: tests fail")
    assert errors[held.lease.id].code is ErrorCode.LEASE_RELEASE_FAILED
    assert held.lease.error_code == ErrorCode.RUN_FAILED
    assert held.lease.failure_reason == "exit code 1: tests fail"


async def test_a_failure_of_the_set_up_stays_the_first(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator, await box(orchestrator, Fault(verb="realize", message="no room")))
    with pytest.raises(EnvironmentRunError):
        await realized(orchestrator, held, tree)
    assert await ended(orchestrator, status="failed", failure_reason="set-up failed") == ([], {})
    assert held.lease.error_code == ErrorCode.WORKSPACE_REALIZATION_FAILED


async def test_the_release_is_logged_with_the_original_s_details(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    await acquired(orchestrator, place, persisted_execution_workspace={"id": "ew-1", "mode": "shared_workspace"})
    await ended(orchestrator, status="failed", failure_reason="boom")
    [_, (action, details)] = await activities(orchestrator)
    assert action == "environment.lease_released"
    assert details == {
        "environment_id": place.id,
        "driver": "scripted",
        "lease_policy": "ephemeral",
        "provider": "scripted",
        "execution_workspace_id": "ew-1",
        "issue_id": "I-1",
        "status": "failed",
        "cleanup_status": "success",
        "failure_reason": "boom",
    }


@pytest.mark.parametrize(
    ("faults", "policy", "cleanup_status"),
    [
        ((), Policy.EPHEMERAL, "success"),
        ((Fault(verb="release"),), Policy.EPHEMERAL, "failed"),
        ((), Policy.RETAIN_ON_FAILURE, "success"),
        ((), Policy.REUSE_BY_ENVIRONMENT, "success"),
    ],
)
async def test_cleanup_reads_as_the_original_s_callers_know_it(
    orchestrator: Orchestrator, faults: tuple[Fault, ...], policy: Policy, cleanup_status: str
) -> None:
    config = {"script": [fault.model_dump() for fault in faults]}
    place = await orchestrator.environments.add(COMPANY, "box", "scripted", config, policy=policy)
    held = await acquired(orchestrator, place)
    assert held.lease.cleanup_status == "pending"
    await ended(orchestrator, status="failed")
    assert held.lease.cleanup_status == cleanup_status
    [_, (_, details)] = await activities(orchestrator)
    assert details["cleanup_status"] == cleanup_status


async def test_a_cancelled_run_s_step_ends_early(
    orchestrator: Orchestrator, driver: ScriptedDriver, provider: Provider, tree: Path
) -> None:
    held = await acquired(orchestrator, await box(orchestrator, Fault(verb="realize", what="hang")))
    reached = asyncio.Event()
    driver.at("realize", "before", lambda _: reached.set())
    setting_up = asyncio.ensure_future(realized(orchestrator, held, tree))
    await asyncio.wait_for(reached.wait(), 10)
    assert await ended(orchestrator, status="expired") == ([held.lease], {})
    with pytest.raises(EnvironmentRunError) as caught:
        await setting_up
    assert caught.value.code is ErrorCode.LEASE_CANCELLED
    assert held.lease.error_code == ErrorCode.LEASE_CANCELLED
    assert provider.standing() == []


async def test_a_dead_process_s_leases_end_with_their_run(
    orchestrator: Orchestrator, open_orchestrator: Any, provider: Provider, tree: Path
) -> None:
    place = await box(orchestrator)
    async with open_orchestrator() as other:
        held = await acquired(other, place)
    [lease], errors = await ended(orchestrator, status="failed", failure_reason="the worker died")
    assert errors == {}
    assert (lease.id, lease.error_code) == (held.lease.id, ErrorCode.RUN_FAILED)
    assert provider.standing() == []


async def test_a_living_process_is_asked(
    orchestrator: Orchestrator, open_orchestrator: Any, provider: Provider, tree: Path
) -> None:
    place, there, gone = await box(orchestrator), ScriptedDriver(provider), asyncio.Event()
    there.at("release", "after", lambda _: gone.set())
    async with open_orchestrator(there, claim_seconds=0.3) as other:
        held = await acquired(other, place)
        _, errors = await ended(orchestrator, status="expired")
        assert isinstance(errors[held.lease.id], StillHeld)
        await asyncio.wait_for(gone.wait(), 20)
        async with held.lease.lock:  # whoever ends it lets go once that is committed
            assert held.lease.error_code == ErrorCode.LEASE_CANCELLED


async def test_another_company_s_run_is_not_touched(orchestrator: Orchestrator) -> None:
    held = await acquired(orchestrator)
    result = await orchestrator.release_for_run(run_id="run", company_id="other")
    assert (result.released, result.errors) == ([], [])
    assert held.lease.state is LeaseState.LEASED


@pytest.mark.parametrize(("execution_workspace", "same"), [("ew-1", True), ("ew-2", False)])
async def test_a_parked_place_serves_the_next_run_of_its_execution_workspace(
    orchestrator: Orchestrator, provider: Provider, tree: Path, execution_workspace: str, same: bool
) -> None:
    policy = Policy.REUSE_BY_EXECUTION_WORKSPACE
    place = await orchestrator.environments.add(COMPANY, "box", "scripted", {}, policy=policy)
    places: list[str | None] = []
    for run_id, workspace_id in (("first", "ew-1"), ("second", execution_workspace)):
        kept = {"id": workspace_id, "mode": "isolated_workspace"}
        held = await acquired(orchestrator, place, run_id, persisted_execution_workspace=kept)
        places.append(held.lease.provider_lease_id)
        await realized(orchestrator, held, tree)
        [lease], errors = await ended(orchestrator, run_id)
        assert errors == {}
        assert (lease.cleanup, lease.cleanup_status) == (CleanupState.PARKED, "success")
    assert (places[0] == places[1]) is same
    assert len(provider.standing()) == (1 if same else 2)


async def test_a_full_environment_is_a_conflict(orchestrator: Orchestrator) -> None:
    place = await orchestrator.environments.add(COMPANY, "box", "scripted", {}, max_leases=1)
    await acquired(orchestrator, place, "first")
    with pytest.raises(EnvironmentRunError) as caught:
        await acquired(orchestrator, place, "second")
    assert caught.value.code is ErrorCode.LEASE_CONFLICT
    await ended(orchestrator, "first")
    assert (await acquired(orchestrator, place, "third")).lease.state is LeaseState.LEASED
