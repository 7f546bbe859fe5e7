"""The store's time on PostgreSQL: the server's clock, as this process can tell it between two answers."""

from leasehold.orchestrator.store.clock import Clock

NAME = "server"


class ServerClock(Clock):
    """This machine's clock since boot, shifted to the server's; its own wall clock plays no part.

    Each transaction asks the server for the time (``hear``). The shift moves only where an answer proves
    it wrong, so a slow answer does no harm; and time never goes back. It begins at the least that the
    first answer allows: no row bears a time that the server has not reached.
    """

    __slots__ = ("_last",)

    def __init__(self, server: int, received: int) -> None:
        super().__init__(server - received)
        self._last = 0

    def now(self) -> int:
        """Microseconds since 1970 UTC, in the store's time; never less than it said before."""
        self._last = max(self._last, super().now())
        return self._last

    def hear(self, server: int, sent: int, received: int) -> None:
        """The server said its time between ``sent`` and ``received``, both microseconds since boot."""
        self._offset = min(max(self._offset, server - received), server - sent)
