"""A sweep destroys what belongs to no lease in two looks, and touches nothing else."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.place import Tags
from leasehold.drivers.scripted import Fault, Provider, ScriptedDriver
from leasehold.orchestrator import Decision, Orchestrator, StoreBehind, Verdict
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, Policy

from .conftest import Opener


def plant(
    provider: Provider,
    orchestrator: Orchestrator,
    lease_id: str = "l0gone",
    *,
    ledger: str | None = None,
    epoch: int = 0,
) -> str:
    """A place that bears our tags, as a driver would have made it. Gives its id."""
    ledger = ledger or orchestrator.store.ledger
    return provider.make(Tags(ledger, lease_id, f"{ledger}-{lease_id}-1", epoch, 0), keyed=True, looks=0).place


async def environment(orchestrator: Orchestrator, *faults: Fault, **options: Any) -> str:
    written = {"script": [fault.model_dump() for fault in faults], **options.pop("config", {})}
    await orchestrator.environments.add("default", "place", "scripted", written, **options)
    return "place"


def by_place(decisions: list[Decision]) -> dict[str, Verdict]:
    return {decision.place: decision.verdict for decision in decisions}


@pytest.fixture
def standing(provider: Provider) -> Callable[[], set[str]]:
    """What stands at the provider, seen without the driver."""
    return lambda: {each.place for each in provider.standing()}


async def test_what_ended_leases_left_is_destroyed_and_nothing_else(
    orchestrator: Orchestrator, provider: Provider, tree: Path, standing: Callable[[], set[str]]
) -> None:
    name = await environment(orchestrator)
    ended = await orchestrator.acquire(environment=name, workspace=tree)
    await ended.release()
    live = await orchestrator.acquire(environment=name, workspace=tree)
    kept = await orchestrator.acquire(environment=name, workspace=tree, policy=Policy.RETAIN_ON_FAILURE)
    await kept.fail("to be looked at")
    parked = await orchestrator.acquire(environment=name, workspace=tree, policy=Policy.REUSE_BY_ENVIRONMENT)
    await parked.release()
    ours = standing()
    reappeared = plant(provider, orchestrator, ended.id)
    stranger = plant(provider, orchestrator)
    foreign = plant(provider, orchestrator, ledger="k0000000")

    first = by_place(await orchestrator.sweep())
    assert first == {
        **dict.fromkeys(ours, Verdict.BELONGS),
        reappeared: Verdict.SEEN,
        stranger: Verdict.UNKNOWN,
        foreign: Verdict.FOREIGN,
    }
    assert by_place(await orchestrator.sweep(grace=0))[reappeared] is Verdict.DESTROY
    assert standing() == {*ours, reappeared, stranger, foreign}, "a dry sweep destroys nothing"
    assert by_place(await orchestrator.sweep(apply=True))[reappeared] is Verdict.SEEN, "it is within its grace"

    assert by_place(await orchestrator.sweep(apply=True, grace=0))[reappeared] is Verdict.DESTROYED
    assert standing() == {*ours, stranger, foreign}
    assert by_place(await orchestrator.sweep(apply=True, grace=0, unknown=True))[stranger] is Verdict.DESTROYED
    assert standing() == {*ours, foreign}
    swept = by_place(await orchestrator.sweep(apply=True, grace=0, unknown=True, ledgers=["k0000000"]))
    assert swept == {**dict.fromkeys(ours, Verdict.BELONGS), foreign: Verdict.DESTROYED}
    assert standing() == ours
    assert (await live.exec("true")).ok
    await live.release()
    assert [finding async for finding in verify(orchestrator.store)] == []


async def test_a_place_that_is_being_acquired_belongs_to_its_lease(
    orchestrator: Orchestrator, provider: Provider, tree: Path, standing: Callable[[], set[str]]
) -> None:
    """The driver has made it, and its handle is not recorded yet: the key says whose it is."""
    name = await environment(orchestrator, Fault(verb="acquire", what="hang", when="after"))
    acquiring = asyncio.create_task(orchestrator.acquire(environment=name, workspace=tree))
    async with asyncio.timeout(30):
        while not standing():
            await asyncio.wait({acquiring}, timeout=0.01)
    [decision] = await orchestrator.sweep(apply=True, grace=0)
    assert decision.verdict is Verdict.BELONGS
    assert len(standing()) == 1
    acquiring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    assert standing() == set()


async def test_a_sick_driver_is_told_and_left_alone(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator, Fault(verb="probe", what="lie", answer="sick"))
    await orchestrator.environments.add("default", "gone", "plugin", {"plugin": "nowhere"})
    planted = plant(provider, orchestrator)
    decisions = await orchestrator.sweep(apply=True, grace=0, unknown=True)
    assert {decision.driver: decision.verdict for decision in decisions} == {
        "scripted": Verdict.LEFT,
        "nowhere": Verdict.LEFT,
    }
    assert "it is not well" in next(decision.why for decision in decisions if decision.driver == "scripted")
    assert "driver nowhere is not installed" in next(each.why for each in decisions if each.driver == "nowhere")
    assert standing() == {planted}


async def test_two_sweeps_that_see_the_same_places_first_both_go_on(
    open_orchestrator: Opener, provider: Provider
) -> None:
    async with open_orchestrator() as one, open_orchestrator() as two:
        await environment(one)
        for turn in range(5):
            planted = {plant(provider, one, f"l0gone{turn}{number:02}") for number in range(20)}
            both = await asyncio.gather(*(each.sweep(unknown=True) for each in (one, two)))
            for decisions in both:
                assert {by_place(decisions).get(place) for place in planted} == {Verdict.SEEN}
            first, second = ({each.place: each.why for each in decisions} for decisions in both)
            assert first == second, "both know the same first sight"


async def test_two_looks_are_one_visibility_delay_apart(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator, config={"visibility_delay": 3600})
    planted = plant(provider, orchestrator)
    for _ in range(3):
        [decision] = await orchestrator.sweep(apply=True, grace=0, unknown=True)
        assert decision.verdict is Verdict.SEEN
        assert "destroyed by a sweep after" in decision.why
    assert standing() == {planted}


async def test_a_second_look_that_is_soon_due_is_waited_for_whoever_had_the_first(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator, config={"visibility_delay": 0.5})
    stray = plant(provider, orchestrator)
    seen = by_place(await orchestrator.sweep(grace=0, unknown=True))
    assert seen == {stray: Verdict.SEEN}
    swept = by_place(await orchestrator.sweep(apply=True, grace=0, unknown=True))
    assert swept == {stray: Verdict.DESTROYED}
    assert standing() == set()


async def test_what_cannot_be_destroyed_is_said_and_tried_again(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator, Fault(verb="destroy", call=1, message="it does not let go"))
    plant(provider, orchestrator)
    [decision] = await orchestrator.sweep(apply=True, grace=0, unknown=True)
    assert decision.verdict is Verdict.LEFT
    assert "it could not be destroyed: it does not let go" in decision.why
    [decision] = await orchestrator.sweep(apply=True, grace=0, unknown=True)
    assert decision.verdict is Verdict.DESTROYED
    assert standing() == set()


async def test_a_hand_over_that_won_leaves_the_sweep_nothing_to_do(
    open_orchestrator: Opener, provider: Provider, tree: Path, standing: Callable[[], set[str]]
) -> None:
    """Listed as nobody's, and a lease's by the time that the decision is committed."""

    class Racing(ScriptedDriver):
        """Between the sweep's look and its decision, a lease comes to owe the place."""

        async def destroy(self, resource: Any, context: Any) -> None:
            raise AssertionError("the decision was committed though a lease has the place")

    async with open_orchestrator(Racing(provider)) as orchestrator:
        name = await environment(orchestrator)
        lease = await orchestrator.acquire(environment=name, workspace=tree)
        [resource] = [each async for each in orchestrator.registry.get("scripted").owned(None, _context(orchestrator))]
        sweep = orchestrator._sweep  # pyright: ignore[reportPrivateUsage]
        listed = [each async for each, _ in sweep._listed([])]  # pyright: ignore[reportPrivateUsage]
        [source] = [each for each in listed if each.driver.name == "scripted"]
        from leasehold.orchestrator.sightings import Sighting, Whose

        late = Sighting(resource, Whose.NOBODY, "seen before the hand-over", 0)
        decision = await sweep._destroy(source, late)  # pyright: ignore[reportPrivateUsage]
        assert decision.verdict is Verdict.BELONGS
        assert len(standing()) == 1
        await lease.release()


async def test_a_place_that_has_seen_more_than_the_store_stops_everything(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator)
    drawn = await orchestrator.store.drawn()
    planted = {plant(provider, orchestrator, f"l0gone{number}", epoch=drawn + number) for number in (0, 7)}
    with pytest.raises(StoreBehind, match="store_behind") as raised:
        await orchestrator.sweep(apply=True, grace=0, unknown=True)
    assert "leasehold db restored" in raised.value.hint
    assert standing() == planted


async def test_a_named_ledger_whose_epochs_are_newer_stops_everything_until_ours_are(
    orchestrator: Orchestrator, provider: Provider, standing: Callable[[], set[str]]
) -> None:
    await environment(orchestrator)
    planted = {plant(provider, orchestrator, ledger="0ther000", epoch=await orchestrator.store.drawn() + 60)}
    [foreign] = [each for each in await orchestrator.sweep(apply=True, grace=0) if each.place]
    assert foreign.verdict is Verdict.FOREIGN
    with pytest.raises(StoreBehind, match="store_behind"):
        await orchestrator.sweep(apply=True, grace=0, ledgers=["0ther000"])
    assert standing() == planted
    await orchestrator.restored(apply=True)
    await orchestrator.sweep(apply=True, grace=0, ledgers=["0ther000"])
    assert standing() == set()


async def test_a_driver_that_cannot_tag_is_never_swept(orchestrator: Orchestrator, provider: Provider) -> None:
    await environment(orchestrator, config={"tagged": False})
    plant(provider, orchestrator)
    assert await orchestrator.sweep(apply=True, grace=0, unknown=True) == []


async def test_a_forgotten_place_that_reappears_is_swept(
    orchestrator: Orchestrator, provider: Provider, tree: Path, standing: Callable[[], set[str]]
) -> None:
    name = await environment(orchestrator, Fault(verb="release", error="Unavailable"))
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    await lease.release()
    assert lease.cleanup is CleanupState.FAILED
    await orchestrator.forget(lease.id, "its host was sold", who="me")
    [decision] = await orchestrator.sweep(apply=True, grace=0)
    assert decision.verdict is Verdict.DESTROYED
    assert "its cleanup forgotten" in decision.why
    assert standing() == set()


def _context(orchestrator: Orchestrator) -> Any:
    sweep = orchestrator._sweep  # pyright: ignore[reportPrivateUsage]
    driver = orchestrator.registry.get("scripted")
    config = driver.Config.model_validate({})
    from leasehold.orchestrator.sweep import _Source  # pyright: ignore[reportPrivateUsage]

    return replace(sweep._context(_Source(driver, config, 0.0), 1))  # pyright: ignore[reportPrivateUsage]
