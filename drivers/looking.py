"""One look at something: a check of a probe, with the time that it took."""

import time
from collections.abc import Awaitable, Callable

from leasehold.drivers.driver import Check
from leasehold.drivers.errors import DriverError, TimedOut


class Sick(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.mend = mend


def bound(who: str, seconds: float, *, hint: str) -> Callable[[], None]:
    """A ``check`` that raises ``TimedOut`` from so many seconds on."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise TimedOut(f"{who} gave no answer within {seconds:.0f} s", hint=hint)

    return check


async def timed(name: str, ask: Callable[[], Awaitable[str]]) -> Check:
    """Ask for a line about what works; ``Sick`` and driver errors are what does not."""
    begun = time.monotonic()
    try:
        detail, mend, ok = await ask(), "", True
    except Sick as sick:
        detail, mend, ok = str(sick), sick.mend, False
    except DriverError as error:
        detail, mend, ok = str(error), error.hint, False
    except OSError as error:
        detail, mend, ok = str(error), "look at the folder, its permissions and the disk", False
    return Check(name, ok, detail, mend, time.monotonic() - begun)
