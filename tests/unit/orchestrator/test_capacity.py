"""An environment has room for so many leases; who comes later waits in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Fault, Provider
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, OwnerLost, WrongUsage
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.step import News
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, ErrorCode, LeaseState, Policy

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def environment(
    orchestrator: Orchestrator, room: int, policy: Policy = Policy.EPHEMERAL, *faults: Fault, **config: Any
) -> None:
    config["script"] = [fault.model_dump() for fault in faults]
    await orchestrator.environments.add("default", "place", "scripted", config, policy=policy, max_leases=room)


class Waiting:
    """A lease that is asked for in a task of its own; ``waits`` is set once it stands in line."""

    def __init__(self, orchestrator: Orchestrator, tree: Path, **request: Any) -> None:
        self.waits = asyncio.Event()
        self.task: asyncio.Task[Lease] = asyncio.create_task(
            orchestrator.acquire(environment="place", workspace=tree, wait="60s", listener=self._heard, **request)
        )

    def _heard(self, news: News) -> None:
        if news.text.startswith("waits for a place"):
            self.waits.set()


async def test_a_full_environment_refuses_and_names_who_is_there(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 2)
    held = [await orchestrator.acquire(environment="place", workspace=tree, run_id=f"r{n}") for n in range(2)]
    with pytest.raises(EnvironmentRunError, match=r"no place within .*; 2 held by lease \w+ \(run r1\)") as refused:
        await orchestrator.acquire(environment="place", workspace=tree, wait=0.01)
    assert refused.value.code is ErrorCode.LEASE_CONFLICT
    with pytest.raises(EnvironmentRunError, match=r"no place is free; 2 held by lease"):
        await orchestrator.acquire(environment="place", workspace=tree)
    await held[0].release()
    await (await orchestrator.acquire(environment="place", workspace=tree)).release()


async def test_who_waits_is_served_in_turn(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 1)
    first = await orchestrator.acquire(environment="place", workspace=tree)
    waiting: list[Waiting] = []
    for number in range(3):
        waiting.append(Waiting(orchestrator, tree, run_id=f"r{number}"))
        await waiting[-1].waits.wait()
    rows = await orchestrator.ledger.listing("default", state=LeaseState.RESOLVED)
    assert [row.terms.request.run_id for row in rows] == ["r2", "r1", "r0"]
    assert all(row.stuck is None for row in rows)
    await first.release()
    for each in waiting:
        lease = await each.task
        assert [other.task.done() for other in waiting[waiting.index(each) + 1 :]].count(True) == 0
        await lease.release()


async def test_a_waiting_lease_can_be_cancelled(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 1)
    async with orchestrator.lease(environment="place", workspace=tree):
        waiting = Waiting(orchestrator, tree, run_id="waits")
        await waiting.waits.wait()
        waiting.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting.task
        [row] = await orchestrator.ledger.of_run("default", "waits")
        assert (row.facts.state, row.facts.error_code) == (LeaseState.FAILED, "lease_cancelled")
        assert row.facts.cleanup is CleanupState.NOT_NEEDED


async def test_a_place_that_is_only_parked_makes_room(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 1, Policy.REUSE_BY_ENVIRONMENT)
    parked = await orchestrator.acquire(environment="place", workspace=tree, agent_id="a")
    await parked.release()
    async with orchestrator.lease(environment="place", workspace=tree, agent_id="b"):
        row = await orchestrator.ledger.find("default", parked.id)
        assert row.facts.cleanup is CleanupState.SUCCEEDED


async def test_a_place_that_changes_hands_keeps_its_slot(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 1, Policy.REUSE_BY_ENVIRONMENT)
    for _ in range(3):
        lease = await orchestrator.acquire(environment="place", workspace=tree)
        await lease.release()
        assert lease.cleanup is CleanupState.PARKED


async def test_what_a_lost_owner_held_makes_room(
    orchestrator: Orchestrator, tree: Path, open_orchestrator: Any
) -> None:
    await environment(orchestrator, 1)
    async with open_orchestrator() as other:
        lost = await other.acquire(environment="place", workspace=tree)
    async with orchestrator.lease(environment="place", workspace=tree):
        row = await orchestrator.ledger.find("default", lost.id)
        assert row.facts.error_code == "lease_owner_lost"


@pytest.mark.parametrize("room", [1, None], ids=["slot", "subject"])
async def test_a_lease_that_waits_for_attach_is_not_ended_for_another(
    orchestrator: Orchestrator, tree: Path, open_orchestrator: Any, room: int | None
) -> None:
    config = {"exclusive_modes": ["in_place"]} if room is None else {}
    await orchestrator.environments.add("default", "place", "scripted", config, max_leases=room)
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "copy" if room else "in_place"}
    async with open_orchestrator() as other:
        waits = await other.acquire(**request, owner_lost=OwnerLost.WAIT)
    with pytest.raises(EnvironmentRunError, match=f"held by .*{waits.id}"):
        await orchestrator.acquire(**request)
    assert (await orchestrator.attach(waits.id)).state is LeaseState.TARGETED
    await orchestrator.release(waits.id, force=True)


async def test_a_place_that_is_kept_is_left_alone_until_its_time_is_over(
    orchestrator: Orchestrator, tree: Path
) -> None:
    await environment(orchestrator, 1, Policy.RETAIN_ON_FAILURE)
    kept = await orchestrator.acquire(environment="place", workspace=tree, keep_for=4)
    await kept.fail("to be looked at")
    version = kept.facts.version
    with pytest.raises(EnvironmentRunError, match="no place within"):
        await orchestrator.acquire(environment="place", workspace=tree, wait=0.3)
    assert (await orchestrator.ledger.find("default", kept.id)).facts.version == version
    await (await orchestrator.acquire(environment="place", workspace=tree, wait=30)).release()


async def test_a_cleanup_that_failed_is_tried_for_who_waits_when_its_time_has_come(
    orchestrator: Orchestrator, tree: Path
) -> None:
    await environment(orchestrator, 1, Policy.EPHEMERAL, Fault(verb="release", call=1))
    held = await orchestrator.acquire(environment="place", workspace=tree)
    await held.release()
    with pytest.raises(EnvironmentRunError, match="no place within"):
        await orchestrator.acquire(environment="place", workspace=tree, wait=0.3)
    assert (await orchestrator.ledger.find("default", held.id)).facts.cleanup_tries == 1
    await (await orchestrator.acquire(environment="place", workspace=tree, wait=30)).release()


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_place_whose_end_hangs_is_waited_for_no_longer_than_was_asked(
    tree: Path, open_orchestrator: Any, provider: Provider, eventually: Eventually, *, cancelled: bool
) -> None:
    """What three lost owners left: each cleanup hangs, and goes on when who waited for it has gone."""
    async with open_orchestrator(cleanup_seconds=2) as orchestrator:
        hangs = [Fault(verb="release", what="hang", call=call) for call in (1, 2, 3)]
        await environment(orchestrator, 3, Policy.EPHEMERAL, *hangs)
        async with open_orchestrator() as other:
            lost = [await other.acquire(environment="place", workspace=tree) for _ in range(3)]
        clock = asyncio.get_running_loop().time
        began = clock()
        asked = asyncio.create_task(orchestrator.acquire(environment="place", workspace=tree, wait=1))
        await eventually(lambda: provider.shelf.get("counts/release") == b"1")
        if cancelled:
            began = clock()
            asked.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else EnvironmentRunError):
            await asked
        assert clock() - began < (1.0 if cancelled else 3.5)
        rows = [await orchestrator.ledger.find("default", lease.id) for lease in lost]
        if cancelled:
            assert [row.facts.pending_event for row in rows].count("clean") == 1
            assert [row.held for row in rows].count(True) == 1, "it goes on, in its owner's hands"


async def test_archiving_ends_the_wait(orchestrator: Orchestrator, tree: Path) -> None:
    await environment(orchestrator, 1)
    async with orchestrator.lease(environment="place", workspace=tree):
        waiting = Waiting(orchestrator, tree)
        await waiting.waits.wait()
        await orchestrator.environments.archive("default", "place")
        with pytest.raises(EnvironmentRunError, match="was archived while"):
            await waiting.task


@pytest.mark.parametrize("room", [0, -1, 10_001])
async def test_room_is_for_one_at_least(orchestrator: Orchestrator, room: int) -> None:
    with pytest.raises(WrongUsage, match="room for 1 to"):
        await environment(orchestrator, room)
