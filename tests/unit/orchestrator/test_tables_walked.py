"""Every row of the tables of DESIGN sections 3 and 6 is walked, and every code of them produced."""
# ruff: noqa: E501  # the table of failures reads as a table

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Fault, Provider, Reply, ScriptedDriver
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, Settings
from leasehold.orchestrator.verify import verify
from leasehold.states import (
    CLEANUP_TABLE,
    LEASE_TABLE,
    CleanupState,
    ErrorCode,
    Kind,
    LeaseEvent,
    LeaseState,
    Policy,
)

pytestmark = pytest.mark.filterwarnings("error")


@dataclass(frozen=True)
class Case:
    """A failing lease: what is scripted and asked, and what must stand afterwards."""

    code: ErrorCode
    event: LeaseEvent
    source: LeaseState
    cleanup: CleanupState
    faults: tuple[Fault, ...] = ()
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    message: str = ""


E, S, C = LeaseEvent, LeaseState, CleanupState
FAILURES = (
    #    code                                       event        from           cleanup       how
    Case(ErrorCode.ENVIRONMENT_NOT_FOUND,           E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"environment": "nowhere"}, message='Environment "nowhere" not found.'),
    Case(ErrorCode.ENVIRONMENT_INACTIVE,            E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"environment": "archived"}, message='Environment "archived" is not active (status: archived).'),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"environment": "driverless"}, message="driver nonesuch is not installed"),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"environment": "misspelt"}, message='config of environment "misspelt": colour: Extra inputs are not permitted'),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, config={"modes": ["copy"]}, request={"mode": "in_place"}, message="does not offer mode in_place"),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, config={"keeps": False}, request={"policy": "retain_on_failure"}, message="cannot keep a place"),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, config={"parks": False}, request={"policy": "reuse_by_environment"}, message="cannot park a place"),
    Case(ErrorCode.UNSUPPORTED_ENVIRONMENT,         E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"sync_back": "always"}, message="cannot bring changes back"),
    Case(ErrorCode.UNSUPPORTED_ADAPTER_ENVIRONMENT, E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"adapter_type": "abacus"}, message='adapter "abacus" is not registered'),
    Case(ErrorCode.UNSUPPORTED_ADAPTER_ENVIRONMENT, E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, config={"transport": "plugin"}, request={"adapter_type": "cursor"}, message="not over plugin"),
    Case(ErrorCode.WORKSPACE_REALIZATION_FAILED,    E.RESOLVE,   S.REQUESTED,   C.NOT_NEEDED, request={"environment": "local", "workspace": "/nowhere/at/all"}, message="/nowhere/at/all"),
    Case(ErrorCode.PROBE_FAILED,                    E.ACQUIRE,   S.RESOLVED,    C.NOT_NEEDED, (Fault(verb="probe", what="lie", answer="sick"),), {"probe": True}),
    Case(ErrorCode.LEASE_ACQUIRE_FAILED,            E.ACQUIRE,   S.RESOLVED,    C.NOT_NEEDED, (Fault(verb="acquire", error="Refused", message="quota"),), message='Failed to acquire lease for environment "place" (scripted): quota'),
    Case(ErrorCode.LEASE_ACQUIRE_FAILED,            E.ACQUIRE,   S.RESOLVED,    C.SUCCEEDED,  (Fault(verb="acquire", when="after", what="none"),), message="answered without a place"),
    Case(ErrorCode.LEASE_ACQUIRE_FAILED,            E.ACQUIRE,   S.RESOLVED,    C.NOT_NEEDED, (Fault(verb="acquire", what="crash"),)),
    Case(ErrorCode.LEASE_CONFLICT,                  E.ACQUIRE,   S.RESOLVED,    C.NOT_NEEDED, (Fault(verb="acquire", error="Conflict"),)),
    Case(ErrorCode.WORKSPACE_REALIZATION_FAILED,    E.REALIZE,   S.LEASED,      C.SUCCEEDED,  (Fault(verb="realize", error="Unusable", message="no room"),), message='Failed to realize workspace for environment "place" (scripted): no room'),
    Case(ErrorCode.WORKSPACE_REALIZATION_FAILED,    E.PROVISION, S.REALIZED,    C.SUCCEEDED,  config={"results": [{"match": "make", "exit_code": 2, "stderr": "\n  no rule\n"}]}, request={"provision": "make"}, message='Failed to provision workspace for environment "place" (scripted): exit code 2: no rule'),
    Case(ErrorCode.WORKSPACE_REALIZATION_FAILED,    E.PROVISION, S.REALIZED,    C.SUCCEEDED,  config={"results": [{"match": "make", "outcome": "timed_out"}]}, request={"provision": "make"}, message="provision command timed out"),
    Case(ErrorCode.TRANSPORT_RESOLUTION_FAILED,     E.TARGET,    S.PROVISIONED, C.SUCCEEDED,  (Fault(verb="target", message="no way in"),), message='Failed to resolve execution target for "place": no way in'),
)  # fmt: skip


@pytest.fixture
async def full(store_url: str, state_folder: Path, provider: Provider) -> Any:
    settings = Settings(state_folder=state_folder)
    driver = ScriptedDriver(provider)
    async with Orchestrator.open(store_url, drivers=[driver], settings=settings) as orchestrator:
        yield orchestrator


async def content(orchestrator: Orchestrator) -> None:
    assert [finding async for finding in verify(orchestrator.store)] == []


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: f"{case.event}-{case.code}")
async def test_a_failing_step_has_its_code_and_its_cleanup(
    full: Orchestrator, provider: Provider, tree: Path, case: Case
) -> None:
    environments = full.environments
    config = {**case.config, "script": [fault.model_dump() for fault in case.faults]}
    await environments.add("default", "place", "scripted", config)
    await environments.add("default", "misspelt", "scripted", {"colour": "red"})
    await environments.add("default", "driverless", "nonesuch", {})
    await environments.add("default", "archived", "scripted", {})
    await environments.archive("default", "archived")

    asked: dict[str, Any] = {"environment": "place", "workspace": tree, **case.request}
    with pytest.raises(EnvironmentRunError) as caught:
        await full.acquire(**asked)

    assert caught.value.code is case.code
    assert case.message in caught.value.message
    row = await full.ledger.find("default", caught.value.lease_id or "")
    assert (row.facts.state, row.facts.error_code) == (S.FAILED, case.code)
    assert (row.facts.error_stage, row.facts.cleanup) == (case.event.value, case.cleanup)
    assert row.facts.error_message == caught.value.message
    journal = await full.journal(row.terms.id)
    failed = [(entry.event, entry.source, entry.dest) for entry in journal if entry.kind is Kind.FAILED]
    assert failed == [(case.event.value, case.source.value, "failed")]
    assert provider.standing() == []
    await content(full)


async def run_failed(orchestrator: Orchestrator, tree: Path) -> str:
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    await lease.fail("exit code 1")
    return lease.id


async def lease_expired(orchestrator: Orchestrator, tree: Path) -> str:
    lease = await orchestrator.acquire(environment="place", workspace=tree, ttl=0.2)
    with pytest.raises(EnvironmentRunError):
        await lease.exec("forever")
    async with asyncio.timeout(10):
        while lease.cleanup.open:
            async with lease.lock:  # the owner holds it while the lease ends
                await asyncio.sleep(0)
    return lease.id


async def lease_cancelled(orchestrator: Orchestrator, tree: Path) -> str:
    begun = asyncio.Event()
    ids: list[str] = []

    async def block() -> None:
        async with orchestrator.lease(environment="place", workspace=tree) as lease:
            ids.append(lease.id)
            begun.set()
            await lease.exec("forever")

    task = asyncio.ensure_future(block())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return ids[0]


async def sync_failed(orchestrator: Orchestrator, tree: Path) -> str:
    lease = await orchestrator.acquire(environment="place", workspace=tree, sync_back="always", mode="copy")
    with pytest.raises(EnvironmentRunError):
        await lease.release()
    return lease.id


ENDS = (
    # code                           policy             cleanup       how
    (ErrorCode.RUN_FAILED, Policy.EPHEMERAL, C.SUCCEEDED, run_failed),
    (ErrorCode.RUN_FAILED, Policy.RETAIN_ON_FAILURE, C.RETAINED, run_failed),
    (ErrorCode.RUN_FAILED, Policy.REUSE_BY_ENVIRONMENT, C.SUCCEEDED, run_failed),
    (ErrorCode.LEASE_EXPIRED, Policy.EPHEMERAL, C.SUCCEEDED, lease_expired),
    (ErrorCode.LEASE_CANCELLED, Policy.EPHEMERAL, C.SUCCEEDED, lease_cancelled),
    (ErrorCode.WORKSPACE_SYNC_FAILED, Policy.EPHEMERAL, C.RETAINED, sync_failed),
)


@pytest.mark.parametrize(
    ("code", "policy", "cleanup", "how"), ENDS, ids=[f"{code}-{policy}" for code, policy, _, _ in ENDS]
)
async def test_a_live_lease_fails_with_its_code_and_its_policy_s_cleanup(
    full: Orchestrator,
    tree: Path,
    code: ErrorCode,
    policy: Policy,
    cleanup: CleanupState,
    how: Callable[[Orchestrator, Path], Any],
) -> None:
    config = {
        "syncs_back": True,
        "results": [Reply(match="forever", hang=True).model_dump()],
        "script": [Fault(verb="sync_back", error="SyncConflict", message="both sides changed a").model_dump()],
    }
    await full.environments.add("default", "place", "scripted", config, policy=policy)
    lease_id = await how(full, tree)
    row = await full.ledger.find("default", lease_id)
    assert (row.facts.error_code, row.facts.cleanup) == (code, cleanup)
    await content(full)


async def walked(orchestrator: Orchestrator) -> set[tuple[str, str]]:
    """(event, kind) of every journal row of the store."""
    rows = await orchestrator.ledger.listing("default")
    return {(entry.event, entry.kind.value) for row in rows for entry in await orchestrator.journal(row.terms.id)}


async def test_every_row_of_both_tables_is_walked(full: Orchestrator, tree: Path) -> None:
    script = [Fault(verb="release", call=3, message="not now").model_dump()]
    await full.environments.add("default", "place", "scripted", {"syncs_back": True, "script": script})
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "copy", "provision": "make"}

    released = await full.acquire(**request, sync_back="always")  # every row of a good life
    await released.release()
    parked = await full.acquire(**request, policy="reuse_by_environment")
    await parked.release()
    assert parked.cleanup is C.PARKED
    await full.release(parked.id)  # reclaim; and its first try to clean fails
    row = await full.ledger.find("default", parked.id)
    assert (row.facts.cleanup, row.facts.cleanup_error_code) == (C.FAILED, "lease_release_failed")
    await full.release(parked.id)
    for _ in range(2):  # hand_over: the second takes the first one's place
        await (await full.acquire(**request, policy="reuse_by_environment")).release()
    kept = await full.acquire(**request, policy="retain_on_failure")
    await kept.fail("look at it")
    await full.forget(kept.id, "looked at", who="ops")
    await full.environments.add(
        "default", "refusing", "scripted", {"script": [Fault(verb="acquire", error="Refused").model_dump()]}
    )
    with pytest.raises(EnvironmentRunError):
        await full.acquire(environment="refusing", workspace=tree)  # absolve

    done = {event for event, kind in await walked(full) if kind == "done"}
    assert done >= {row.event.value for row in LEASE_TABLE}
    assert done >= {row.event.value for row in CLEANUP_TABLE}
    assert ("clean", "failed") in await walked(full)
    await content(full)


def test_no_code_is_left_out() -> None:
    produced = {case.code for case in FAILURES} | {code for code, _, _, _ in ENDS}
    elsewhere = {
        ErrorCode.LEASE_OWNER_LOST,  # test_life: a lost owner is taken over
        ErrorCode.LEASE_RELEASE_FAILED,  # above, and test_life: a failing cleanup
        ErrorCode.LEASE_CLEANUP_FAILED,  # test_life: a failing cleanup
    }
    assert produced | elsewhere == set(ErrorCode)
