"""The scripted driver does what its script says, and nothing else."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import (
    Absent,
    Command,
    Condition,
    Damaged,
    Driver,
    DriverError,
    Exclusive,
    Fencing,
    Found,
    Gone,
    Mode,
    Records,
    Refused,
    Registry,
    ReleaseMode,
    Resource,
    Stale,
    Stopped,
    SyncConflict,
    SyncsBack,
    TimedOut,
    Unavailable,
    Unknown,
)
from leasehold.drivers.scripted import (
    Call,
    Fault,
    Provider,
    ScriptedConfig,
    ScriptedDriver,
)
from pydantic import ValidationError
from scripted_life import KEY, REQUEST, WORKSPACE, acquired, context, realized, scripted, tags, target


async def owned(driver: ScriptedDriver, config: ScriptedConfig | None = None) -> list[Resource]:
    return [resource async for resource in driver.owned("ledger", context(config))]


def test_it_is_a_driver_with_every_ability() -> None:
    driver: Driver = Registry().get("scripted")
    assert isinstance(driver, ScriptedDriver)
    assert isinstance(driver, Exclusive)
    assert isinstance(driver, SyncsBack)
    assert isinstance(driver, Records)


async def test_an_empty_script_works_from_acquire_to_release() -> None:
    driver = ScriptedDriver()
    handle, realization = await realized(driver)
    result = await (await driver.target(handle, realization, context())).execute(Command(("true",)))
    assert (result.ok, result.stdout.data, result.survivors) == (True, b"", ())
    assert (await driver.probe(ScriptedConfig())).ok
    assert (await driver.inspect(handle, context())).condition is Condition.READY
    assert (await driver.release(handle, ReleaseMode.DESTROY, context())).was_there
    assert not (await driver.release(handle, ReleaseMode.DESTROY, context())).was_there
    assert await owned(driver) == []
    verbs = [call.verb for call in driver.calls]
    assert verbs[:4] == ["acquire", "realize", "target", "execute"]
    assert driver.calls[0] == Call("acquire", 1, KEY, 1)
    assert driver.calls[-2] == Call("release", 2, handle.place, 1)


async def test_a_second_driver_sees_what_stands_at_the_provider() -> None:
    provider = Provider()
    handle = await acquired(ScriptedDriver(provider))
    assert await ScriptedDriver(provider).recover(KEY, None, context()) == Found(handle)
    assert [standing.place for standing in provider.standing()] == [handle.place]


_DIES_AFTER_ACQUIRE = """
import asyncio, os, sys, time
from pathlib import Path
from leasehold.drivers import Context, Mode, PlaceRequest, Tags, Workspace
from leasehold.drivers.scripted import ScriptedConfig, ScriptedDriver

driver, config = ScriptedDriver(), ScriptedConfig(root=Path(sys.argv[1]))
driver.at("acquire", "after", lambda _: os._exit(9))
request = PlaceRequest("company", "lease", "run", Workspace(Path("/work/tree"), Mode.COPY))
context = Context(config, time.monotonic() + 10, 1, "ledger", "lease", Path("/nowhere"))
asyncio.run(driver.acquire(sys.argv[2], request, Tags("ledger", "lease", sys.argv[2], 1, 0), context))
"""


async def test_with_a_root_another_process_sees_the_place_of_a_dead_one(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _DIES_AFTER_ACQUIRE, tmp_path, KEY)
    assert await child.wait() == 9
    config, driver = ScriptedConfig(root=tmp_path), ScriptedDriver()
    answer = await driver.recover(KEY, None, context(config, epoch=2))
    assert isinstance(answer, Found)
    await driver.release(answer.handle, ReleaseMode.DESTROY, context(config, epoch=2))
    assert await driver.recover(KEY, None, context(config, epoch=2)) == Absent()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_error_before_the_effect_leaves_nothing_and_after_it_a_place(when: Any) -> None:
    driver = ScriptedDriver()
    config = scripted(Fault(verb="acquire", when=when, error="Refused", message="quota"))
    with pytest.raises(Refused, match="quota"):
        await acquired(driver, config)
    assert len(driver.provider.standing()) == (1 if when == "after" else 0)


async def test_a_fault_strikes_at_its_call_only() -> None:
    driver = ScriptedDriver()
    config = scripted(Fault(verb="acquire", call=2))
    await acquired(driver, config)
    with pytest.raises(Unavailable):
        await acquired(driver, config)
    await acquired(driver, config)


async def test_a_fault_without_a_call_strikes_at_every_one() -> None:
    driver = ScriptedDriver()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await acquired(driver, scripted(Fault(verb="acquire")))


@pytest.mark.parametrize(
    "verb", ["acquire", "recover", "inspect", "realize", "target", "release", "sync_back", "recorded"]
)
async def test_each_verb_of_a_place_can_fail(verb: Any) -> None:
    driver = ScriptedDriver()
    handle, realization = await realized(driver)
    bad = context(scripted(Fault(verb=verb, error="SyncConflict", message="no")))
    acts = {
        "acquire": lambda: driver.acquire(KEY, REQUEST, tags(), bad),
        "recover": lambda: driver.recover(KEY, handle, bad),
        "inspect": lambda: driver.inspect(handle, bad),
        "realize": lambda: driver.realize(handle, WORKSPACE, bad),
        "target": lambda: driver.target(handle, realization, bad),
        "release": lambda: driver.release(handle, ReleaseMode.DESTROY, bad),
        "sync_back": lambda: driver.sync_back(handle, realization, bad),
        "recorded": lambda: driver.recorded(handle, "provision", bad),
    }
    with pytest.raises(SyncConflict, match="no"):
        await acts[verb]()
    assert (await driver.inspect(handle, context())).condition is Condition.READY


async def test_owned_destroy_and_probe_can_fail_too() -> None:
    driver = ScriptedDriver()
    await acquired(driver)
    (resource,) = await owned(driver)
    with pytest.raises(Unavailable):
        await owned(driver, scripted(Fault(verb="owned")))
    with pytest.raises(Unavailable):
        await driver.destroy(resource, context(scripted(Fault(verb="destroy"))))
    with pytest.raises(Unavailable):
        await driver.probe(scripted(Fault(verb="probe")))
    assert await owned(driver) == [resource]


async def test_a_hanging_verb_ends_when_it_is_stopped() -> None:
    driver = ScriptedDriver()
    begun = asyncio.Event()
    driver.at("acquire", "before", lambda _: begun.set())
    here = context(scripted(Fault(verb="acquire", what="hang")), seconds=60)
    verb = asyncio.create_task(driver.acquire(KEY, REQUEST, tags(), here))
    await begun.wait()
    here.stop.set()
    with pytest.raises(Stopped):
        await verb


async def test_a_hanging_verb_ends_at_its_deadline() -> None:
    driver = ScriptedDriver()
    here = context(scripted(Fault(verb="acquire", what="hang", when="after")), seconds=0.05)
    with pytest.raises(TimedOut):
        await driver.acquire(KEY, REQUEST, tags(), here)
    assert len(driver.provider.standing()) == 1


async def test_a_hanging_probe_ends_with_its_caller() -> None:
    driver = ScriptedDriver()
    probe = asyncio.create_task(driver.probe(scripted(Fault(verb="probe", what="hang"))))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(probe, 0.05)


async def test_a_verb_waits_for_whom_the_test_says() -> None:
    driver = ScriptedDriver()
    arrived, go = asyncio.Event(), asyncio.Event()
    seen: list[Call] = []

    async def hold(call: Call) -> None:
        seen.append(call)
        arrived.set()
        await go.wait()

    driver.at("acquire", "after", hold, call=1)
    verb = asyncio.create_task(acquired(driver))
    await arrived.wait()
    assert len(driver.provider.standing()) == 1
    go.set()
    await verb
    await acquired(driver)
    assert [call.number for call in seen] == [1]


async def test_a_late_place_is_unknown_until_it_shows() -> None:
    driver = ScriptedDriver()
    config = scripted(Fault(verb="acquire", what="late", looks=2, error="TimedOut"))
    with pytest.raises(TimedOut):
        await acquired(driver, config)
    assert isinstance(await driver.recover(KEY, None, context()), Unknown)
    assert await owned(driver) == []
    assert isinstance(await driver.recover(KEY, None, context()), Found)


async def test_a_late_release_is_seen_standing_until_it_is_gone() -> None:
    driver = ScriptedDriver()
    handle = await acquired(driver)
    here = context(scripted(Fault(verb="release", what="late", looks=1)))
    await driver.release(handle, ReleaseMode.DESTROY, here)
    assert (await driver.inspect(handle, context())).condition is Condition.READY
    assert (await driver.inspect(handle, context())).condition is Condition.GONE


@pytest.mark.parametrize(("lie", "told"), [("absent", Absent), ("unknown", Unknown)])
async def test_recover_can_lie(lie: Any, told: type) -> None:
    driver = ScriptedDriver()
    await acquired(driver)
    here = context(scripted(Fault(verb="recover", what="lie", answer=lie)))
    assert isinstance(await driver.recover(KEY, None, here), told)
    assert isinstance(await driver.recover(KEY, None, context()), Found)


async def test_release_probe_inspect_and_owned_can_lie() -> None:
    driver = ScriptedDriver()
    handle = await acquired(driver)
    lies = scripted(
        Fault(verb="release", what="lie", answer="gone"),
        Fault(verb="probe", what="lie", answer="sick"),
        Fault(verb="inspect", what="lie", answer="gone"),
        Fault(verb="owned", what="lie", answer="nothing"),
    )
    assert not (await driver.release(handle, ReleaseMode.DESTROY, context(lies))).was_there
    assert not (await driver.probe(lies)).ok
    assert (await driver.inspect(handle, context(lies))).condition is Condition.GONE
    assert await owned(driver, lies) == []
    assert len(driver.provider.standing()) == 1


@pytest.mark.parametrize(("when", "places"), [("before", 0), ("after", 1)])
async def test_a_nuisance_answers_none_or_raises_what_it_should_not(when: Any, places: int) -> None:
    driver = ScriptedDriver()
    assert await acquired(driver, scripted(Fault(verb="acquire", what="none", when=when))) is None
    assert len(driver.provider.standing()) == places
    with pytest.raises(RuntimeError) as raised:
        await acquired(driver, scripted(Fault(verb="acquire", what="crash", when=when)))
    assert not isinstance(raised.value, DriverError)


async def test_a_fenced_place_refuses_an_older_epoch() -> None:
    driver = ScriptedDriver()
    handle = await acquired(driver)
    await driver.recover(KEY, handle, context(epoch=2))
    with pytest.raises(Stale):
        await driver.release(handle, ReleaseMode.DESTROY, context(epoch=1))
    with pytest.raises(Stale):
        await acquired(driver)


async def test_an_advisory_fence_refuses_nobody() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(fencing=Fencing.ADVISORY)
    handle = await acquired(driver, config)
    await driver.recover(KEY, handle, context(config, epoch=2))
    assert await acquired(driver, config) == handle


async def test_a_running_target_is_shut_out_too() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig()
    old = await target(driver, config)
    await driver.recover(KEY, None, context(epoch=2))
    with pytest.raises(Stale):
        await old.execute(Command(("true",)))


async def test_without_keys_a_hidden_place_is_doubled_and_recover_destroys_the_extra() -> None:
    driver = ScriptedDriver()
    config = scripted(Fault(verb="acquire", what="late", call=1), keyed=False)
    first, second = await acquired(driver, config), await acquired(driver, config)
    assert first.place != second.place
    assert len(await owned(driver, config)) == 1
    assert isinstance(await driver.recover(KEY, None, context(config)), Found)
    assert len(await owned(driver, config)) == 1


async def test_without_keys_absence_is_believed_only_after_the_delay() -> None:
    driver = ScriptedDriver()
    slow = ScriptedConfig(keyed=False, visibility_delay=3600)
    assert isinstance(await driver.recover(KEY, None, context(slow)), Unknown)
    assert isinstance(await driver.recover(KEY, None, context(slow)), Unknown)
    assert await driver.recover(KEY, None, context(ScriptedConfig(keyed=False))) == Absent()


async def test_a_place_without_tags_is_never_listed() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(tagged=False)
    await acquired(driver, config)
    assert await owned(driver, config) == []


async def test_destroy_checks_the_tags_again() -> None:
    driver = ScriptedDriver()
    await acquired(driver)
    (resource,) = await owned(driver)
    with pytest.raises(Damaged):
        await driver.destroy(replace(resource, tags=tags(epoch=9)), context())
    await driver.destroy(resource, context())
    await driver.destroy(resource, context())
    assert driver.provider.standing() == []


@pytest.mark.parametrize("mode", [ReleaseMode.KEEP, ReleaseMode.PARK])
async def test_a_kept_place_stands_and_wakes_when_it_is_realized(mode: ReleaseMode) -> None:
    driver = ScriptedDriver()
    handle = await acquired(driver)
    released = await driver.release(handle, mode, context())
    assert (released.open_with is not None) == (mode is ReleaseMode.KEEP)
    assert (await driver.inspect(handle, context())).condition is Condition.STOPPED
    await driver.realize(handle, WORKSPACE, context())
    assert (await driver.inspect(handle, context())).condition is Condition.READY


async def test_a_verb_on_a_place_that_is_gone_says_so() -> None:
    driver = ScriptedDriver()
    handle, realization = await realized(driver)
    await driver.release(handle, ReleaseMode.DESTROY, context())
    with pytest.raises(Gone):
        await driver.realize(handle, WORKSPACE, context())
    with pytest.raises(Gone):
        await driver.target(handle, realization, context())


def test_a_mode_that_is_not_offered_is_a_problem_and_a_shared_one_holds_nothing() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(modes=(Mode.IN_PLACE,))
    assert [problem.about for problem in driver.validate(REQUEST, config)] == ["request"]
    mine = replace(REQUEST, workspace=replace(WORKSPACE, mode=Mode.IN_PLACE))
    assert driver.validate(mine, config) == []
    assert driver.subjects(mine, config) == ("scripted:memory:/work/tree",)
    assert driver.subjects(replace(mine, share=True), config) == ()
    assert driver.subjects(REQUEST, config) == ()


def test_capabilities_are_what_the_config_says() -> None:
    config = ScriptedConfig(fencing=Fencing.ADVISORY, keyed=False, parks=False, syncs_back=True)
    can = ScriptedDriver().capabilities(config)
    assert (can.fencing, can.keyed, can.parks, can.keeps, can.syncs_back) == (
        Fencing.ADVISORY,
        False,
        False,
        True,
        True,
    )


async def test_sync_back_brings_nothing_unless_the_script_says() -> None:
    driver = ScriptedDriver()
    handle, realization = await realized(driver)
    await driver.baseline(handle, realization, context())
    assert (await driver.sync_back(handle, realization, context())).applied == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "acquire", "error": "ValueError"},
        {"verb": "acquire", "error": "Secret"},
        {"verb": "probe", "what": "late"},
        {"verb": "acquire", "what": "lie", "answer": "gone"},
        {"verb": "recover", "what": "lie"},
        {"verb": "acquire", "call": 0},
        {"verb": "acquire", "colour": "red"},
    ],
)
def test_a_script_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate(wrong)
