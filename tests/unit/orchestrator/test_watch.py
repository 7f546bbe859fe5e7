"""Watches: what outlives its deadline is cut off, and nothing else is."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from leasehold.drivers import Context, Handle, PlaceRequest, Tags
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, verbs
from leasehold.orchestrator.watch import Overdue, Stopped, Watch, Watches
from leasehold.states import ErrorCode, LeaseState


async def never() -> None:
    await asyncio.get_running_loop().create_future()


async def test_what_outlives_its_deadline_is_cut_off() -> None:
    began = time.monotonic()
    with pytest.raises(Overdue):
        await Watches().over(Watch(began + 0.05), never())
    assert 0.05 <= time.monotonic() - began < 5
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_earliest_deadline_rings_first_whatever_the_order_of_the_watches() -> None:
    watches = Watches()
    cut: list[str] = []

    async def watched(name: str, seconds: float) -> None:
        try:
            await watches.over(Watch(time.monotonic() + seconds), never())
        except Overdue:
            cut.append(name)

    async with asyncio.timeout(10):
        await asyncio.gather(watched("last", 0.15), watched("first", 0.02), watched("second", 0.08))
    assert cut == ["first", "second", "last"]


async def test_work_that_ends_in_time_is_left_alone() -> None:
    watches = Watches()
    soon = Watch(time.monotonic() + 0.02)
    assert await watches.over(soon, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(Overdue):
        await watches.over(Watch(time.monotonic() + 0.05), never())
    assert soon.why is None


async def test_a_cut_that_comes_after_the_work_ends_nothing_else_of_its_task() -> None:
    watch = Watch()
    await Watches().over(watch, asyncio.sleep(0))
    asyncio.get_running_loop().call_soon(watch.cut)  # while the task looks why the work failed
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_told_to_stop_ends_with_that_reason() -> None:
    begun = asyncio.Event()
    made: list[Watch] = []

    async def watched() -> None:
        made.append(Watch())
        begun.set()
        await Watches().over(made[0], never())

    task = asyncio.create_task(watched())
    await begun.wait()
    made[0].cut()
    with pytest.raises(Stopped):
        await task


async def test_a_cancellation_of_the_caller_goes_on_also_where_the_watch_was_cut() -> None:
    begun = asyncio.Event()
    made: list[Watch] = []

    async def watched() -> None:
        made.append(Watch())
        begun.set()
        await Watches().over(made[0], never())

    task = asyncio.create_task(watched())
    await begun.wait()
    made[0].cut()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Deaf(ScriptedDriver):
    """Its ``acquire`` knows neither deadline nor stop."""

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        await never()
        raise AssertionError


async def test_a_driver_that_heeds_no_deadline_is_cut_off(
    open_orchestrator: Callable[..., AbstractAsyncContextManager[Orchestrator]],
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    tree: Path,
) -> None:
    monkeypatch.setattr(verbs, "_GRACE", 0.05)
    async with asyncio.timeout(20), open_orchestrator(Deaf(provider), acquire_seconds=0.05) as orchestrator:
        await orchestrator.environments.add("default", "deaf", "scripted", {})
        with pytest.raises(EnvironmentRunError, match=r"acquire did not end within 0\.05 s") as failed:
            await orchestrator.acquire(environment="deaf", workspace=tree)
        row = await orchestrator.ledger.find("default", failed.value.lease_id or "")
    assert failed.value.code is ErrorCode.LEASE_ACQUIRE_FAILED
    assert row.facts.state is LeaseState.FAILED
    assert row.facts.pending_event is None
