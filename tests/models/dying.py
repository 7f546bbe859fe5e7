"""A scripted driver whose process dies at one of its verbs, before or after the verb's effect."""

from typing import Any

from leasehold.drivers.scripted import Provider, ScriptedDriver


class Died(BaseException):
    """The process ended here: nothing of ours catches it, so nothing more is written."""


class DyingDriver(ScriptedDriver):
    """``verb`` is where it dies; ``after`` its effect, or before. ``acted`` are all verbs that were begun."""

    def __init__(self, provider: Provider, verb: str = "", *, after: bool = False) -> None:
        super().__init__(provider)
        self._dies_at, self._dies_after = verb, after
        self.acted: list[str] = []

    async def _verb(self, verb: Any, about: str, context: Any, effect: Any) -> Any:
        self.acted.append(verb)
        if verb == self._dies_at and not self._dies_after:
            raise Died(verb)
        answer = await super()._verb(verb, about, context, effect)
        if verb == self._dies_at:
            raise Died(verb)
        return answer
