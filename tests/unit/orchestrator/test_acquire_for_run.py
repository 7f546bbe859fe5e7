"""The original's rules 1 to 3: resolve the environment, acquire a lease, log it, resolve the transport."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from leasehold.drivers.scripted import Fault, Provider, ScriptedDriver
from leasehold.orchestrator import (
    EnvironmentRunError,
    LeaseContext,
    Orchestrator,
    StoreError,
    WorkspaceMode,
    WrongUsage,
)
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, ErrorCode, LeaseState, Policy, Status
from platform_run import COMPANY, acquired, activities, box


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_lease_that_its_caller_never_gets_is_ended(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch, provider: Provider, *, cancelled: bool
) -> None:
    """It is cancelled, or the store fails, between the place and the answer."""
    place = await box(orchestrator)
    find, tasks = orchestrator.environments.find, list[asyncio.Task[object]]()

    async def fails(company_id: str, name: str | None) -> Any:
        if any(row.facts.state is LeaseState.LEASED for row in await orchestrator.ledger.of_run(COMPANY, "r")):
            if not cancelled:
                raise StoreError("the disk of the store is full")
            tasks[0].cancel()
            await asyncio.Event().wait()
        return await find(company_id, name)

    monkeypatch.setattr(orchestrator.environments, "find", fails)
    asked = orchestrator.acquire_for_run(
        company_id=COMPANY, selected_environment_id=place.id, adapter_type=None, run_id="r"
    )
    tasks.append(asyncio.ensure_future(asked))
    with pytest.raises(asyncio.CancelledError if cancelled else StoreError):
        await tasks[0]
    [row] = await orchestrator.ledger.of_run(COMPANY, "r")
    assert (row.facts.state, row.facts.error_code) == (LeaseState.FAILED, "lease_cancelled")
    assert provider.standing() == []


async def refused(orchestrator: Orchestrator, **question: Any) -> EnvironmentRunError:
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.resolve_environment(company_id=COMPANY, **question)
    return caught.value


# --- 1. resolve


async def test_the_selected_environment_is_taken_else_the_default(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    default = await orchestrator.resolve_environment(company_id=COMPANY)
    assert (default.name, default.driver) == ("local", "local")
    ids = {"selected_environment_id": place.id, "default_environment_id": default.id}
    assert (await orchestrator.resolve_environment(company_id=COMPANY, **ids)).id == place.id
    ids["selected_environment_id"] = ""
    assert (await orchestrator.resolve_environment(company_id=COMPANY, **ids)).id == default.id
    ids["selected_environment_id"] = default.id
    assert (await orchestrator.resolve_environment(company_id=COMPANY, **ids)).id == default.id


async def test_asking_for_the_default_makes_it_once(orchestrator: Orchestrator) -> None:
    asked = (orchestrator.resolve_environment(company_id="new") for _ in range(8))
    assert len({environment.id for environment in await asyncio.gather(*asked)}) == 1
    assert [environment.name for environment in await orchestrator.environments.listing("new")] == ["local"]


async def test_an_unknown_environment_is_not_found(orchestrator: Orchestrator) -> None:
    error = await refused(orchestrator, selected_environment_id="nowhere")
    assert (error.code, error.message) == (ErrorCode.ENVIRONMENT_NOT_FOUND, 'Environment "nowhere" not found.')
    assert (error.environment_id, error.driver, error.provider) == ("nowhere", None, None)


@pytest.mark.parametrize("by", ["id", "name"])
async def test_another_company_s_environment_does_not_exist(orchestrator: Orchestrator, by: str) -> None:
    """The original said that it belongs to another company; invariant 12 lets nobody know that."""
    theirs = await orchestrator.environments.add("other", "secret name", "scripted", {})
    error = await refused(orchestrator, selected_environment_id=getattr(theirs, by))
    assert error.code is ErrorCode.ENVIRONMENT_NOT_FOUND
    assert error.message == f'Environment "{getattr(theirs, by)}" not found.'
    assert (error.driver, error.provider) == (None, None)


async def test_an_archived_environment_is_not_active(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    await orchestrator.resolve_environment(company_id=COMPANY, selected_environment_id=place.id)
    await orchestrator.environments.archive(COMPANY, place.id)
    error = await refused(orchestrator, selected_environment_id=place.id)
    assert error.code is ErrorCode.ENVIRONMENT_INACTIVE
    assert error.message == 'Environment "box" is not active (status: archived).'
    assert (error.environment_id, error.driver, error.provider) == (place.id, "scripted", "scripted")


async def test_questions_write_nothing(orchestrator: Orchestrator, provider: Provider) -> None:
    place = await box(orchestrator)
    await orchestrator.resolve_environment(company_id=COMPANY, selected_environment_id=place.id)
    await refused(orchestrator, selected_environment_id="nowhere")
    await orchestrator.resolve_transport(company_id=COMPANY, adapter_type="claude_local", environment=place)
    assert await orchestrator.ledger.listing(COMPANY) == []
    assert provider.standing() == []
    assert await activities(orchestrator) == []


@pytest.mark.parametrize("archived", [False, True])
async def test_a_run_that_gets_no_environment_is_recorded(orchestrator: Orchestrator, *, archived: bool) -> None:
    place = await box(orchestrator)
    if archived:
        await orchestrator.environments.archive(COMPANY, place.id)
    selected = place.id if archived else "nowhere"
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire_for_run(
            company_id=COMPANY, selected_environment_id=selected, adapter_type="claude_local", run_id="run"
        )
    [row] = await orchestrator.ledger.of_run(COMPANY, "run")
    assert (row.terms.id, row.facts.error_code) == (caught.value.lease_id, caught.value.code)
    assert row.facts.error_message == caught.value.message
    assert row.facts.error_stage == "resolve"
    assert row.terms.environment_id == (place.id if archived else None)
    assert row.facts.cleanup is CleanupState.NOT_NEEDED
    assert await activities(orchestrator) == []


# --- 2. acquire


async def test_a_lease_is_held_before_its_tree_is_known(orchestrator: Orchestrator, provider: Provider) -> None:
    place = await box(orchestrator)
    held = await acquired(
        orchestrator, place, persisted_execution_workspace={"id": "ew-1", "mode": "isolated_workspace"}
    )
    assert held.environment == place
    assert held.lease.state is LeaseState.LEASED
    assert held.lease_context == LeaseContext("ew-1", "isolated_workspace")
    assert held.lease.metadata == {"driver": "scripted", "execution_workspace_mode": "isolated_workspace"}
    assert held.execution_transport is None
    assert [standing.place for standing in provider.standing()] == [held.lease.provider_lease_id]
    row = await orchestrator.ledger.find(COMPANY, held.lease.id)
    assert (row.facts.state, row.terms.request.run_id) == (LeaseState.LEASED, "run")
    assert row.terms.request.execution_workspace_id == "ew-1"
    assert held.lease.expires_at is not None


async def test_the_platform_s_ids_may_be_of_any_class(orchestrator: Orchestrator) -> None:
    kept = {"id": UUID(int=1), "mode": WorkspaceMode.ADAPTER_MANAGED}
    held = await acquired(orchestrator, persisted_execution_workspace=kept)
    assert held.lease_context == LeaseContext(str(UUID(int=1)), "adapter_managed")
    assert type(held.lease_context.execution_workspace_mode) is str


@pytest.mark.parametrize("environment", ["local", "nowhere"])
async def test_an_id_that_is_no_text_is_wrong_usage(orchestrator: Orchestrator, environment: str) -> None:
    with pytest.raises(WrongUsage, match="no text"):
        await orchestrator.acquire_for_run(
            company_id=COMPANY, selected_environment_id=environment, adapter_type="claude_local", run_id="\udcff"
        )


async def test_without_an_execution_workspace_the_context_is_empty(orchestrator: Orchestrator) -> None:
    held = await acquired(orchestrator, await box(orchestrator))
    assert held.lease_context == LeaseContext(None, None)


async def test_a_driver_that_gives_no_place_fails_the_lease(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator, Fault(verb="acquire", error="Refused", message="quota"))
    with pytest.raises(EnvironmentRunError) as caught:
        await acquired(orchestrator, place)
    error = caught.value
    assert error.code is ErrorCode.LEASE_ACQUIRE_FAILED
    assert error.message == 'Failed to acquire lease for environment "box" (scripted): quota'
    assert (error.environment_id, error.driver, error.provider) == (place.id, "scripted", "scripted")
    assert str(error.__cause__) == "quota"
    assert await activities(orchestrator) == []


async def test_a_driver_that_answers_nothing_fails_too_and_logs_nothing(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator, Fault(verb="acquire", what="none"))
    with pytest.raises(EnvironmentRunError) as caught:
        await acquired(orchestrator, place)
    assert caught.value.code is ErrorCode.LEASE_ACQUIRE_FAILED
    assert caught.value.message.startswith('Failed to acquire lease for environment "box" (scripted): ')
    assert await activities(orchestrator) == []


async def test_a_lease_alone_can_be_acquired(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    record = await orchestrator.acquire_lease(
        company_id=COMPANY,
        environment=place,
        issue_id=None,
        run_id="run",
        persisted_execution_workspace=None,
    )
    assert (record.environment, record.lease.state) == (place, LeaseState.LEASED)
    assert record.lease_context == LeaseContext(None, None)


async def test_an_adapter_that_cannot_work_there_keeps_its_code(orchestrator: Orchestrator) -> None:
    with pytest.raises(EnvironmentRunError) as caught:
        await acquired(orchestrator, await box(orchestrator), adapter_type="unheard_of")
    assert caught.value.code is ErrorCode.UNSUPPORTED_ADAPTER_ENVIRONMENT


@pytest.mark.parametrize("policy", [Policy.EPHEMERAL, Policy.REUSE_BY_EXECUTION_WORKSPACE])
async def test_the_environment_s_policy_is_the_lease_s(orchestrator: Orchestrator, policy: Policy) -> None:
    place = await orchestrator.environments.add(COMPANY, "box", "scripted", {}, policy=policy)
    assert (await acquired(orchestrator, place)).lease.lease_policy is policy


# --- 3. activity, then transport


async def test_the_acquisition_is_logged_with_the_original_s_details(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator)
    await acquired(orchestrator, place, persisted_execution_workspace={"id": "ew-1", "mode": "shared_workspace"})
    assert await activities(orchestrator) == [
        (
            "environment.lease_acquired",
            {
                "environment_id": place.id,
                "driver": "scripted",
                "lease_policy": "ephemeral",
                "provider": "scripted",
                "execution_workspace_id": "ew-1",
                "issue_id": "I-1",
            },
        )
    ]


async def test_over_ssh_the_transport_is_the_remote_spec(orchestrator: Orchestrator) -> None:
    held = await acquired(orchestrator, await box(orchestrator, transport="ssh"))
    assert set(held.execution_transport or {}) == {
        "host",
        "port",
        "username",
        "remote_workspace_path",
        "private_key",
        "known_hosts",
        "strict_host_key_checking",
        "remote_cwd",
    }


@pytest.mark.parametrize("transport", ["local", "sandbox"])
async def test_over_anything_else_there_is_none(orchestrator: Orchestrator, transport: str) -> None:
    held = await acquired(orchestrator, await box(orchestrator, transport=transport))
    assert held.execution_transport is None


async def test_a_transport_that_fails_fails_the_lease(orchestrator: Orchestrator, provider: Provider) -> None:
    place = await box(orchestrator, Fault(verb="remote_spec", message="no route"), transport="ssh")
    with pytest.raises(EnvironmentRunError) as caught:
        await acquired(orchestrator, place)
    error = caught.value
    assert error.code is ErrorCode.TRANSPORT_RESOLUTION_FAILED
    assert error.message == 'Failed to resolve execution transport for "box": no route'
    assert (error.environment_id, error.driver) == (place.id, "scripted")
    assert str(error.__cause__) == "no route"
    [row] = await orchestrator.ledger.of_run(COMPANY, "run")
    assert row.terms.id == error.lease_id
    assert (row.facts.error_code, row.facts.error_stage) == ("transport_resolution_failed", "transport")
    assert row.facts.error_message == error.message
    assert (row.facts.cleanup, row.status) == (CleanupState.SUCCEEDED, Status.FAILED)
    assert provider.standing() == []
    [acquire, release] = await activities(orchestrator)
    assert acquire[0] == "environment.lease_acquired"
    assert (release[1]["status"], release[1]["failure_reason"]) == ("failed", error.message)


async def test_the_transport_alone_can_fail_and_writes_nothing(orchestrator: Orchestrator) -> None:
    place = await box(orchestrator, Fault(verb="remote_spec", what="crash"), transport="ssh")
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.resolve_transport(
            company_id=COMPANY, adapter_type="claude_local", environment=place, lease_metadata=None
        )
    assert caught.value.message == 'Failed to resolve execution transport for "box": scripted'
    assert await orchestrator.ledger.listing(COMPANY) == []


async def test_a_config_that_is_wrong_fails_the_transport_without_its_values(orchestrator: Orchestrator) -> None:
    place = await orchestrator.environments.add(COMPANY, "box", "scripted", {"token": "s3cr3t"})
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.resolve_transport(company_id=COMPANY, adapter_type="claude_local", environment=place)
    assert caught.value.code is ErrorCode.TRANSPORT_RESOLUTION_FAILED
    assert "token" in caught.value.message
    assert "s3cr3t" not in caught.value.message


async def test_a_caller_cancelled_at_the_transport_leaves_no_lease(
    orchestrator: Orchestrator, driver: ScriptedDriver, provider: Provider
) -> None:
    place = await box(orchestrator, transport="ssh")
    reached = asyncio.Event()

    async def wait_there(_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    driver.at("remote_spec", "before", wait_there)
    caller = asyncio.ensure_future(acquired(orchestrator, place))
    await asyncio.wait_for(reached.wait(), 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    [row] = await orchestrator.ledger.of_run(COMPANY, "run")
    assert (row.facts.error_code, row.status) == (ErrorCode.LEASE_CANCELLED, Status.EXPIRED)
    assert provider.standing() == []
