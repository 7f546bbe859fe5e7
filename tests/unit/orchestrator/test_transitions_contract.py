"""The private parts of transitions that the machine stands on; a new minor may move them."""

import inspect
from importlib.metadata import version

from transitions.core import Event, EventData, Machine, Transition
from transitions.extensions.asyncio import AsyncEvent, AsyncMachine, AsyncTransition


def test_the_minor_is_the_one_that_was_read() -> None:
    assert version("transitions").split(".")[:2] == ["0", "9"]


def test_a_transition_is_executed_with_its_event_data() -> None:
    assert list(inspect.signature(AsyncTransition.execute).parameters) == ["self", "event_data"]
    assert {"source", "dest", "conditions", "before"} <= set(vars(Transition("a", "b")))


def test_an_event_is_triggered_on_a_model_and_holds_its_transitions_by_source() -> None:
    assert list(inspect.signature(AsyncEvent.trigger).parameters) == ["self", "model", "args", "kwargs"]
    event = Event("go", Machine(model=None))
    event.add_transition(Transition("a", "b"))
    assert list(event.transitions) == ["a"]


def test_event_data_carries_what_the_callbacks_read() -> None:
    data = EventData(None, None, None, "model", ("step",), {})  # type: ignore[arg-type]  # nothing of it is used
    assert (data.model, data.args) == ("model", ("step",))


def test_the_machine_makes_events_and_transitions_of_the_named_classes() -> None:
    assert AsyncMachine.event_cls is AsyncEvent
    assert AsyncMachine.transition_cls is AsyncTransition
