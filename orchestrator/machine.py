"""The state machines, made from the tables, on ``transitions``.

``AsyncMachine`` runs the callbacks of one transition side by side, swallows cancellations and lets a
second trigger cancel the first. This subclass awaits them in order, in the caller's task, and lets
every exception through. Models are never added to it, so it holds nothing per lease; the engine
fires ``machine.events[event].trigger(lease, step)`` under the lease's lock (docs/design/001).
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, cast

from leasehold.states import GUARDS, CleanupTransition, IllegalTransition, Transition
from transitions.core import EventData
from transitions.extensions.asyncio import AsyncEvent, AsyncMachine, AsyncTransition

Row = Transition | CleanupTransition


class _Ordered(AsyncTransition):
    """One row. Its guards answer with a reason; its callbacks are awaited one after the other."""

    async def execute(self, event_data: Any) -> bool:  # type: ignore[override]  # the base's stub is the synchronous one
        lease, event = event_data.model, event_data.event.name
        ahead = lease.ahead
        # a step that is open passed its guards when it was claimed, and this firing closes it
        if ahead.pending_event != event_data.args[0].closes:
            for condition in self.conditions:
                guard: Any = condition.func
                why = guard(ahead)
                if why is not None:
                    raise IllegalTransition(lease.id, event, str(self.source), why)
        for callback in self.before:
            ordered: Any = callback
            await ordered(event_data)
        if getattr(lease, event_data.machine.model_attribute) != self.dest:
            raise AssertionError(f"{event} of lease {lease.id} recorded no way to {self.dest}")
        return True


class _Event(AsyncEvent):
    """One event of the table; an illegal one says where the lease stands."""

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, bool]:  # type: ignore[override]  # as above
        machine: Any = self.machine
        state = getattr(model, machine.model_attribute)
        rows: Any = self.transitions.get(state)
        if not rows:
            sources = ", ".join(sorted(self.transitions))
            raise IllegalTransition(model.id, self.name, state, f"it leads from: {sources}")
        data = EventData(machine.states[state], self, machine, model, args, kwargs)
        data.transition = rows[0]
        execution: Coroutine[Any, Any, bool] = rows[0].execute(data)
        return execution


class TableMachine(AsyncMachine):
    """A machine made from one table. ``callbacks`` names every function that a row may call.

    Raises ``LookupError`` when it is made, for a callback or guard that does not exist.
    """

    transition_cls = _Ordered
    event_cls = _Event

    def __init__(
        self,
        table: Iterable[Row],
        states: Iterable[str],
        attribute: str,
        callbacks: Mapping[str, Callable[[EventData], Any]],
    ) -> None:
        names = [str(state) for state in states]
        super().__init__(
            model=None,
            states=names,
            initial=names[0],
            auto_transitions=False,
            send_event=True,
            model_attribute=attribute,
        )
        for row in table:
            steps = ["claim"] if row.intent else []
            steps += [row.callback] if row.callback else []
            self.add_transition(
                row.event.value,
                [source.value for source in row.sources],
                row.dest.value,
                conditions=cast(Any, [GUARDS[name] for name in row.guards]),
                before=[callbacks[name] for name in [*steps, "record"]],
            )
