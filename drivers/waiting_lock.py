"""Locks of files and folders that are waited for, within a verb's time."""

import fcntl
import time
from collections.abc import Callable

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.1


def taken(descriptor: int) -> bool:
    """Lock what a descriptor is open on, as ``lock``, unless another has it: whether that was done."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(descriptor: int, check: Callable[[], None]) -> None:
    """Lock what a descriptor is open on, for it alone (``flock``); it is let go when the last copy closes.

    ``check`` is called while it waits, and may raise to end that.
    """
    pause = _FIRST_PAUSE
    check()
    while not taken(descriptor):
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        check()
