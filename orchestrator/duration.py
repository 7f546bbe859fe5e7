"""Durations as people write them: ``90``, ``90s``, ``5m``, ``2h``, ``7d``."""

import re

from leasehold.orchestrator.errors import WrongUsage

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 3650 * 86400.0
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")


def seconds(value: str | float, *, none: bool = False) -> float:
    """A duration in seconds; 0 only where ``none`` may be meant.

    Raises ``WrongUsage`` for what is no duration, not above 0, or beyond ten years.
    """
    if isinstance(value, str):
        match = _PATTERN.fullmatch(value.strip().lower())
        if match is None:
            raise WrongUsage(f"not a duration: {value!r}", hint="write 90, 90s, 5m, 2h or 7d")
        number = float(match[1]) * _UNITS[match[2]]
    else:
        number = float(value)
    if not 0 < number <= _LONGEST and not (none and number == 0):
        raise WrongUsage(f"a duration is more than nothing and at most 3650d, not {value!r}")
    return number


def spoken(value: float) -> str:
    """A duration in seconds, for a person."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h"
