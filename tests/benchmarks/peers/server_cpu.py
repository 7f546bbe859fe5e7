"""CPU seconds that a PostgreSQL server has used, by its postmaster's process id."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def server_cpu(postmaster: int) -> float:
    """Of the postmaster, its children that live, and those that have ended."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return (_ticks(postmaster, ended=True) + sum(_ticks(int(child)) for child in children)) / _TICK


def _ticks(pid: int, *, ended: bool = False) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0  # it has just ended, and its parent counts it
    return sum(map(int, fields[11:15] if ended else fields[11:13]))
