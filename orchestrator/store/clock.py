"""The store's time on one machine: the clock since boot, anchored once a boot.

Setting the wall clock changes nothing: every process of this boot adds the same offset, which the
store keeps by boot id. The first process of a boot sets it, never below a time that was seen before.
"""

import subprocess
import time
from pathlib import Path

from leasehold.orchestrator.store.errors import StoreError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYSCTL = "/usr/sbin/sysctl"  # on macOS, which has no such file
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_id() -> str:
    """An id of this machine's running boot."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return _macos_boot()


def _macos_boot() -> str:
    command = [_SYSCTL, "-n", "kern.bootsessionuuid"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError(f"this system does not tell one of its boots from the next: {error}") from error
    return told.stdout.strip()


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
