"""One trigger with four async callbacks: our machine's CPU beside that of stock ``AsyncMachine``."""

import gc
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

from leasehold.orchestrator.machine import TableMachine
from transitions.core import EventData
from transitions.extensions.asyncio import AsyncMachine

_BEFORE = 3
_FIRING = SimpleNamespace(closes="")


class _Model:
    """What either machine moves: the state is set by the last callback for ours, by itself for stock."""

    __slots__ = ("__dict__", "id", "machine_state", "state")

    def __init__(self) -> None:
        self.id = "model"
        self.machine_state = "a"
        self.ahead = SimpleNamespace(pending_event=None)


async def _nothing(_: EventData) -> None:
    return


async def _move(data: EventData) -> None:
    transition: Any = data.transition
    model: Any = data.model
    model.machine_state = transition.dest


def _ours() -> TableMachine:
    machine = TableMachine([], ["a", "b"], "machine_state", {})
    callbacks: Any = [_nothing] * _BEFORE + [_move]
    machine.add_transition("there", "a", "b", before=callbacks)
    machine.add_transition("back", "b", "a", before=callbacks)
    return machine


async def trigger_ratio(triggers: int) -> float:
    """Our CPU for each trigger, in parts of stock's."""
    machine, model = _ours(), _Model()
    stock: Any = _Model()
    callbacks: Any = [_nothing] * (_BEFORE + 1)
    stocks = AsyncMachine(stock, states=["a", "b"], initial="a", send_event=True, auto_transitions=False)
    stocks.add_transition("there", "a", "b", before=callbacks)
    stocks.add_transition("back", "b", "a", before=callbacks)
    began = time.thread_time()
    for _ in range(triggers // 2):
        await machine.events["there"].trigger(model, _FIRING)
        await machine.events["back"].trigger(model, _FIRING)
    ours = time.thread_time() - began
    began = time.thread_time()
    for _ in range(triggers // 2):
        await stock.there(_FIRING)
        await stock.back(_FIRING)
    return ours / (time.thread_time() - began)


async def machine_growth(leases: int) -> float:
    """Bytes that the machine holds, a lease, after each of so many leases has gone through it and still lives."""
    machine = _ours()
    await machine.events["there"].trigger(_Model(), _FIRING)
    models = [_Model() for _ in range(leases)]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for model in models:
            await machine.events["there"].trigger(model, _FIRING)
        gc.collect()
        return max(0.0, (tracemalloc.get_traced_memory()[0] - before) / leases)
    finally:
        tracemalloc.stop()
