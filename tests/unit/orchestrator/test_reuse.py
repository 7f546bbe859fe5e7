"""A parked place serves the next lease that fits it; what does not fit is ended on its own lease."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import Resource
from leasehold.drivers.scripted import Fault, Provider
from leasehold.orchestrator import EnvironmentRunError, Orchestrator
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, Entry, Policy

from .conftest import Opener

BY_ENVIRONMENT, BY_WORKSPACE = Policy.REUSE_BY_ENVIRONMENT, Policy.REUSE_BY_EXECUTION_WORKSPACE


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def environment(
    orchestrator: Orchestrator, *faults: Fault, policy: Policy = BY_ENVIRONMENT, **config: Any
) -> None:
    config = {"transport": "sandbox", **config, "script": [fault.model_dump() for fault in faults]}
    await orchestrator.environments.add("default", "place", "scripted", config, policy=policy)


async def parked(orchestrator: Orchestrator, tree: Path, **request: Any) -> Lease:
    lease = await orchestrator.acquire(environment="place", workspace=tree, **request)
    await lease.release()
    assert lease.cleanup is CleanupState.PARKED
    return lease


async def acquired(orchestrator: Orchestrator, lease: Lease) -> Entry:
    """The journal row with which a lease's acquire was done."""
    rows = await orchestrator.journal(lease.id, company_id=lease.terms.request.company_id)
    return next(row for row in rows if row.event == "acquire" and row.kind.value == "done")


async def cleanup(orchestrator: Orchestrator, lease: Lease) -> CleanupState:
    return (await orchestrator.ledger.find("default", lease.id)).facts.cleanup


async def test_the_next_lease_takes_the_place_over(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree)
    [place] = provider.standing()
    second = await orchestrator.acquire(environment="place", workspace=tree)
    assert [standing.place for standing in provider.standing()] == [place.place]
    assert second.facts.handle == first.facts.handle
    assert await cleanup(orchestrator, first) is CleanupState.HANDED_OVER
    assert (await acquired(orchestrator, second)).details["resumed"] == f"the place of lease {first.id}"
    last = (await orchestrator.journal(first.id))[-1]
    assert (last.event, last.details) == ("hand_over", {"to": second.id})
    await second.fail("not trusted any more")
    assert provider.standing() == []


async def test_one_place_serves_one_of_two(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree)
    both = await asyncio.gather(*(orchestrator.acquire(environment="place", workspace=tree) for _ in range(2)))
    assert len({lease.facts.resource_key for lease in both}) == 2
    told = [(await acquired(orchestrator, lease)).details for lease in both]
    assert sorted("resumed" in details for details in told) == [False, True]
    assert await cleanup(orchestrator, first) is CleanupState.HANDED_OVER
    assert len(provider.standing()) == 2


async def test_as_many_as_are_parked_are_served_at_once(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    """Whoever loses a place to another takes the next: there is one for each."""
    await environment(orchestrator)
    held = [await orchestrator.acquire(environment="place", workspace=tree) for _ in range(10)]
    for lease in held:
        await lease.release()
    again = await asyncio.gather(*(orchestrator.acquire(environment="place", workspace=tree) for _ in range(12)))
    told = [(await acquired(orchestrator, lease)).details for lease in again]
    assert sorted("resumed" in details for details in told) == [False] * 2 + [True] * 10
    assert len(provider.standing()) == 12


async def test_places_that_do_not_fit_cost_the_next_lease_one_end(
    tree: Path,
    provider: Provider,
    open_orchestrator: Opener,
    eventually: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    """All of them would hang; the lease is cancelled meanwhile, and does not wait for it."""
    async with open_orchestrator(cleanup_seconds=2) as orchestrator:
        await environment(orchestrator, *(Fault(verb="release", what="hang", call=call) for call in range(4, 10)))
        held = [await orchestrator.acquire(environment="place", workspace=tree, excludes=["a"]) for _ in range(3)]
        for lease in held:
            await lease.release()
        asked = asyncio.create_task(orchestrator.acquire(environment="place", workspace=tree, excludes=["b"]))
        await eventually(lambda: int(provider.shelf.get("counts/release") or 0) == 4)
        asked.cancel()
        began = asyncio.get_running_loop().time()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert asyncio.get_running_loop().time() - began < 1
        other = await orchestrator.acquire(environment="place", workspace=tree, excludes=["b"])
        assert "was replaced" in (await acquired(orchestrator, other)).details["created"]
        ended = [await cleanup(orchestrator, lease) for lease in held]
        assert ended == [CleanupState.FAILED, CleanupState.FAILED, CleanupState.PARKED], "each paid for one"


@pytest.mark.parametrize(
    "other",
    [{"agent_id": "b"}, {"adapter_type": "codex_local"}, {"company_id": "other"}],
    ids=["agent", "adapter", "company"],
)
async def test_the_place_of_another_is_left_alone(
    orchestrator: Orchestrator, tree: Path, provider: Provider, other: dict[str, Any]
) -> None:
    await environment(orchestrator)
    config = {"transport": "sandbox"}
    await orchestrator.environments.add("other", "place", "scripted", config, policy=BY_ENVIRONMENT)
    first = await parked(orchestrator, tree)
    lease = await orchestrator.acquire(environment="place", workspace=tree, **other)
    assert (await acquired(orchestrator, lease)).details["created"] == "no place is parked for it"
    assert await cleanup(orchestrator, first) is CleanupState.PARKED
    assert len(provider.standing()) == 2


@pytest.mark.parametrize(("policy", "resumed"), [(BY_ENVIRONMENT, True), (BY_WORKSPACE, False)])
async def test_the_workspace_counts_where_the_policy_says_so(
    orchestrator: Orchestrator, tree: Path, tmp_path: Path, policy: Policy, *, resumed: bool
) -> None:
    await environment(orchestrator, policy=policy)
    await parked(orchestrator, tree)
    another = tmp_path / "another"
    another.mkdir()
    lease = await orchestrator.acquire(environment="place", workspace=another)
    assert ("resumed" in (await acquired(orchestrator, lease)).details) is resumed


async def test_what_does_not_fit_is_replaced(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree)
    lease = await orchestrator.acquire(environment="place", workspace=tree, mode="copy", branch="b")
    why = f"the place of lease {first.id} was replaced: its config, driver, secrets or way of use differ"
    assert (await acquired(orchestrator, lease)).details["created"] == why
    assert await cleanup(orchestrator, first) is CleanupState.SUCCEEDED
    assert len(provider.standing()) == 1


async def test_a_place_whose_time_is_over_is_replaced(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree, keep_for=0.000001)
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    assert "its time was over" in (await acquired(orchestrator, lease)).details["created"]
    assert await cleanup(orchestrator, first) is CleanupState.SUCCEEDED


async def test_a_parked_place_that_is_gone_is_made_anew(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree)
    [place] = provider.standing()
    resource = Resource("scripted", place.place, place.tags, first.facts.handle)
    provider.destroy(resource.place, resource.tags, 0)
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    assert (await acquired(orchestrator, lease)).details["replaced"] == f"the place of lease {first.id} is gone"
    assert len(provider.standing()) == 1
    await lease.fail("done")
    assert provider.standing() == []


async def test_a_failed_resume_leaves_the_place_to_the_new_lease(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    await environment(orchestrator, Fault(verb="recover", error="Unavailable", message="no answer"))
    first = await parked(orchestrator, tree)
    with pytest.raises(EnvironmentRunError, match="no answer"):
        await orchestrator.acquire(environment="place", workspace=tree, run_id="second")
    [second] = await orchestrator.ledger.of_run("default", "second")
    assert second.facts.cleanup is CleanupState.SUCCEEDED
    assert await cleanup(orchestrator, first) is CleanupState.HANDED_OVER
    assert provider.standing() == []


async def test_a_hold_goes_over_with_the_place(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, exclusive_modes=["in_place"])
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "in_place"}
    first = await orchestrator.acquire(**request)
    await first.release()
    second = await orchestrator.acquire(**request)
    assert (await acquired(orchestrator, second)).details["resumed"]
    with pytest.raises(EnvironmentRunError, match=f"held by lease {second.id}"):
        await orchestrator.acquire(**request)


async def test_a_parked_place_in_the_way_is_ended(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, exclusive_modes=["in_place"])
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "in_place"}
    first = await orchestrator.acquire(**request)
    await first.release()
    async with orchestrator.lease(**request, policy="ephemeral"):
        assert await cleanup(orchestrator, first) is CleanupState.SUCCEEDED


async def test_a_secret_that_changed_replaces(
    orchestrator: Orchestrator, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("one")
    config = {"root": str(tmp_path / "places"), "variables": {"TOKEN": f"file:{tmp_path / 'token'}"}}
    await orchestrator.environments.add("default", "place", "local", config, policy=BY_ENVIRONMENT)
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "copy"}
    first = await orchestrator.acquire(**request)
    await first.release()
    (tmp_path / "token").write_text("two")
    second = await orchestrator.acquire(**request)
    assert "was replaced" in (await acquired(orchestrator, second)).details["created"]
    await second.release()
    third = await orchestrator.acquire(**request)
    assert (await acquired(orchestrator, third)).details["resumed"]
    assert third.terms.fingerprint is not None
    await third.fail("done")


async def test_a_workspace_is_provisioned_once_each_time_it_is_realized(
    orchestrator: Orchestrator, tree: Path, tmp_path: Path
) -> None:
    """Pain: provisioning runs again on every reuse, before the files are there, or never."""
    (tree / "source").write_text("one\n")
    log = tmp_path / "log"
    config = {"root": str(tmp_path / "places")}
    await orchestrator.environments.add("default", "place", "local", config, policy=BY_ENVIRONMENT)
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "copy"}
    request["provision"] = f"cat source >> {log} && cp source made"
    first = await orchestrator.acquire(**request)
    assert (await first.exec("cat", "made")).stdout.text == "one\n"
    await first.release()
    (tree / "source").write_text("two\n")
    second = await orchestrator.acquire(**request)
    assert (await acquired(orchestrator, second)).details["resumed"]
    assert (await second.exec("cat", "made")).stdout.text == "two\n"
    await second.detach()
    third = await orchestrator.attach(second.id)
    assert (await third.exec("cat", "made")).stdout.text == "two\n"
    assert log.read_text() == "one\ntwo\n"
    await third.fail("done")


async def test_archiving_ends_what_is_parked(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    await environment(orchestrator)
    first = await parked(orchestrator, tree)
    await orchestrator.archive("place")
    assert await cleanup(orchestrator, first) is CleanupState.SUCCEEDED
    assert provider.standing() == []


async def test_a_lease_that_ends_after_its_environment_was_archived_keeps_its_place_for_nobody(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    await environment(orchestrator)
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    await orchestrator.archive("place")
    await lease.release()
    assert [(deed.lease_id, deed.duty, deed.done) for deed in await orchestrator.duties()] == [
        (lease.id, "keep_over", True)
    ]
    assert provider.standing() == []
