"""The store's time on one machine: the clock since boot, anchored once a boot.

Setting the wall clock changes nothing: every process of this boot adds the same offset, which the
store keeps by boot id. The first process of a boot sets it, never below a time that was seen before.
"""

import time
import uuid
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_id() -> str:
    """An id of this machine's running boot."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # macOS has no such file: the boot time in whole minutes, with the host's own id, stands for it
        minute = round((time.time() - since_boot() / 1e6) / 60)
        return f"{uuid.getnode():x}-{minute:x}"


def since_boot() -> int:
    """Microseconds since boot, counting sleep where the system can tell."""
    return time.clock_gettime_ns(_CLOCK) // 1000


def wall() -> int:
    """Microseconds since 1970 UTC by the wall clock: used once a boot, to anchor."""
    return time.time_ns() // 1000


class Clock:
    """The store's time as this process knows it.

    ``back_since`` is when the store last came back from an outage, as far as it can tell: owners could not
    renew themselves while it was away. No SQLite store is ever away (docs/design/003).
    """

    __slots__ = ("_offset", "back_since")

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self.back_since = 0

    def now(self) -> int:
        """Microseconds since 1970 UTC, in the store's time."""
        return time.clock_gettime_ns(_CLOCK) // 1000 + self._offset
