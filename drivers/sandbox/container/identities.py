"""Which engine answers, asked once for many who want to know it at a time."""

import time

from leasehold.drivers.sandbox.container.engine import Engine


class Identities:
    """What engines said of themselves, by their addresses. An engine takes longer over it than over most calls."""

    def __init__(self) -> None:
        self._said: dict[str | None, tuple[float, str]] = {}

    def since(self, begun: float, engine: Engine) -> str:
        """The identity of an engine, as it was asked for after ``begun``, by whomever."""
        asked, identity = self._said.get(engine.host, (-1.0, ""))
        if asked < begun:
            asked, identity = time.monotonic(), engine.identity()
            self._said[engine.host] = asked, identity
        return identity
