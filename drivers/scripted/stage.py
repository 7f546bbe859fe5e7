"""Where the script is played: what stands before a verb's effect, in its place, and after it."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from leasehold.drivers.context import Context
from leasehold.drivers.driver import Check, Health
from leasehold.drivers.place import Absent, Condition, Observed, Released, Unknown
from leasehold.drivers.scripted.config import Lie, ScriptedConfig, Verb, When, error_class
from leasehold.drivers.scripted.provider import Provider

T = TypeVar("T")
_LIES: dict[tuple[Verb, Lie], Any] = {
    ("probe", "sick"): Health((Check("scripted", ok=False, detail="sick on script", mend="mend the script"),)),
    ("recover", "absent"): Absent(),
    ("recover", "unknown"): Unknown("unknown on script"),
    ("inspect", "gone"): Observed(Condition.GONE),
    ("inspect", "unknown"): Observed(Condition.UNKNOWN, "unknown on script"),
    ("release", "gone"): Released(was_there=False),
    ("owned", "nothing"): (),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb. ``number`` counts the verb's calls at the provider; ``about`` is a key or place."""

    verb: Verb
    number: int
    about: str
    epoch: int


@dataclass(frozen=True, slots=True)
class _Hook:
    verb: Verb
    when: When
    call: int | None
    callback: Callable[[Call], Awaitable[None] | None]


class Stage:
    """Plays the script of whatever config a call comes with. ``calls`` are all of them, oldest first."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._hooks: list[_Hook] = []

    def at(
        self,
        verb: Verb,
        when: When,
        callback: Callable[[Call], Awaitable[None] | None],
        *,
        call: int | None = None,
    ) -> None:
        """Call back before or after the verb takes effect; what the callback raises, the verb raises."""
        self._hooks.append(_Hook(verb, when, call, callback))

    async def act(
        self,
        provider: Provider,
        verb: Verb,
        about: str,
        config: ScriptedConfig,
        context: Context | None,
        effect: Callable[[Provider, int], T],
    ) -> T:
        """One call: what the script has before it, the effect or a lie, what the script has after it."""
        check = _no_end if context is None else context.check
        async with provider.locked(check):
            call = Call(verb, provider.count(verb), about, context.epoch if context else 0)
        self.calls.append(call)
        check()
        await self._strike(call, "before", config, context)
        faults = [fault for fault in config.script if fault.strikes(verb, call.number)]
        looks = next((fault.looks for fault in faults if fault.what == "late"), 0)
        lie: Lie | None = next((fault.answer for fault in faults if fault.what == "lie"), None)
        answer: Any = None
        if lie is not None:
            answer = _LIES[verb, lie]
        elif not any(fault.what == "none" and fault.when == "before" for fault in faults):
            async with provider.locked(check):
                answer = effect(provider, looks)
        await self._strike(call, "after", config, context)
        return cast(T, None if any(fault.what == "none" for fault in faults) else answer)

    async def _strike(self, call: Call, when: When, config: ScriptedConfig, context: Context | None) -> None:
        for hook in self._hooks:
            if (hook.verb, hook.when) == (call.verb, when) and hook.call in (None, call.number):
                done = hook.callback(call)
                if inspect.isawaitable(done):
                    await done
        for fault in config.script:
            if not fault.strikes(call.verb, call.number):
                continue
            if fault.what == "late" and when == "after" and fault.error is not None:
                raise error_class(fault.error)(fault.message)
            if fault.when != when:
                continue
            if fault.what == "raise":
                raise error_class(fault.error or "Unavailable")(fault.message)
            if fault.what == "crash":
                raise RuntimeError(fault.message)
            if fault.what == "hang":
                await _hang(context)


def _no_end() -> None:
    """A probe has only its caller's."""


async def _hang(context: Context | None) -> None:
    """Wait to be stopped or for the deadline, and raise which it was; a probe has only its caller."""
    if context is None:
        await asyncio.Event().wait()
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(context.stop.wait(), context.remaining())
    context.check()
