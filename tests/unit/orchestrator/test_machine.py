"""The machine: callbacks in order, exceptions through, nothing held per lease."""

import asyncio
from typing import Any

import pytest
from leasehold.orchestrator.machine import TableMachine
from leasehold.states import LEASE_TABLE, Facts, IllegalTransition, LeaseEvent, LeaseState, transition


class Model:
    """What the machine needs of a lease."""

    id = "l1"

    def __init__(self) -> None:
        self.ahead = Facts()
        self.seen: list[str] = []

    @property
    def machine_state(self) -> str:
        return self.ahead.state.value


class Firing:
    """What the machine needs of a step."""

    closes = ""


def machine(**replaced: Any) -> TableMachine:
    async def claim(data: Any) -> None:
        data.model.seen.append("claim")

    async def record(data: Any) -> None:
        data.model.seen.append("record")
        data.model.ahead.state = LeaseState(data.transition.dest)

    def step(name: str) -> Any:
        async def work(data: Any) -> None:
            data.model.seen.append(name)
            await asyncio.sleep(0)

        return work

    callbacks = {row.callback: step(row.callback) for row in LEASE_TABLE if row.callback}
    callbacks |= {"claim": claim, "record": record, **replaced}
    return TableMachine(LEASE_TABLE, LeaseState, "machine_state", callbacks)


async def test_callbacks_run_in_the_order_of_the_row() -> None:
    model = Model()
    made = machine()
    for event in (LeaseEvent.RESOLVE, LeaseEvent.ACQUIRE):
        await made.events[event.value].trigger(model, Firing())
    assert model.seen == ["resolve", "record", "claim", "acquire", "record"]
    assert model.ahead.state is LeaseState.LEASED


@pytest.mark.parametrize("event", list(LeaseEvent))
@pytest.mark.parametrize("state", list(LeaseState))
async def test_an_event_leads_where_the_table_says_and_nowhere_else(event: LeaseEvent, state: LeaseState) -> None:
    model = Model()
    model.ahead.state = state
    row = transition(event)
    if state in row.sources:
        await machine().events[event.value].trigger(model, Firing())
        assert model.ahead.state is row.dest
    else:
        with pytest.raises(IllegalTransition) as caught:
            await machine().events[event.value].trigger(model, Firing())
        assert (caught.value.lease, caught.value.event, caught.value.state) == ("l1", event, state)
        assert (model.ahead.state, model.seen) == (state, [])


async def test_a_refused_guard_raises_and_says_why() -> None:
    model = Model()
    model.ahead.state = LeaseState.TARGETED
    model.ahead.pending_event = "sync_back"
    with pytest.raises(IllegalTransition, match="sync_back is under way"):
        await machine().events["release"].trigger(model, Firing())
    assert model.seen == []


async def test_exceptions_and_cancellations_come_through_and_the_state_stays() -> None:
    async def broken(_: Any) -> None:
        raise RuntimeError("driver")

    model = Model()
    with pytest.raises(RuntimeError, match="driver"):
        await machine(resolve=broken).events["resolve"].trigger(model, Firing())
    assert model.ahead.state is LeaseState.REQUESTED

    waiting = asyncio.Event()

    async def hang(_: Any) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(machine(resolve=hang).events["resolve"].trigger(model, Firing()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.seen == []


async def test_a_second_trigger_does_not_cancel_the_first() -> None:
    made = machine()
    first, second = Model(), Model()
    await asyncio.gather(
        made.events["resolve"].trigger(first, Firing()), made.events["resolve"].trigger(second, Firing())
    )
    assert first.seen == second.seen == ["resolve", "record"]


def test_a_callback_or_guard_that_does_not_exist_is_refused_when_the_machine_is_made() -> None:
    with pytest.raises(KeyError):
        TableMachine(LEASE_TABLE, LeaseState, "machine_state", {})


def test_nothing_is_held_per_lease() -> None:
    made = machine()
    assert made.models == []
    assert made.async_tasks == {}
