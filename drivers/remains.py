"""What may still run of a place whose caller is gone: found, asked, and ended."""

import asyncio
import fcntl
import os
import signal
import time
from pathlib import Path

from leasehold.drivers.descendants import KILL_BOUND, below, parent, processes, runs, send, started
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.supervisor import LOCK

MARKER = "LEASEHOLD_PLACE"
"""The variable that every command of a place bears, with the place's marker as its value."""

_LOOK = 0.02
_SLACK = 1.0
_PATIENCE = 0.7


async def end_remains(folder: Path, marker: str, deadline: float, *, pause: float = 2.0) -> tuple[int, ...] | None:
    """End what supervisors of ``folder`` still run, then whatever bears ``marker``; from any process.

    Supervisors are asked by SIGTERM, and killed where they do not answer. What a killed one left is found
    by the marker in ``/proc/*/environ``, with everything below it. This process and those above it are
    never signalled. ``deadline`` is by ``time.monotonic()``, ``pause`` the seconds between SIGTERM and
    SIGKILL. Returns what still runs: empty only if seen empty, ``None`` where nobody can say.
    """
    begun = time.monotonic()
    patience = min(begun + pause + KILL_BOUND + _SLACK, begun + _PATIENCE * (deadline - begun))
    asked: set[int] = set()
    while await asyncio.to_thread(_held, folder):
        living = await asyncio.to_thread(_supervisors, folder)
        send(signal.SIGTERM, [pid for pid in living if pid not in asked])
        asked.update(living)
        if time.monotonic() >= patience:
            send(signal.SIGKILL, living)
            break
        await asyncio.sleep(_LOOK)
    return await _end_marked(folder, marker, deadline, pause)


def demand_ended(survivors: tuple[int, ...] | None, *, end: str = "end them") -> tuple[str, ...]:
    """Raise ``Unavailable`` where something still runs; a note, where nobody can say."""
    if survivors:
        pids = " ".join(map(str, survivors))
        raise Unavailable(f"processes of the run still run: {pids}", hint=f"{end}: kill -KILL {pids}")
    return () if survivors == () else ("nobody could see whether processes of the run still run",)


async def _end_marked(folder: Path, marker: str, deadline: float, pause: float) -> tuple[int, ...] | None:
    begun = time.monotonic()
    kill_at = min(begun + pause, (begun + deadline) / 2)
    asked: set[int] = set()
    known: dict[int, str] = {}
    spared = _lineage()
    if not spared:
        return None
    while True:
        held = await asyncio.to_thread(_held, folder)
        marked = await asyncio.to_thread(_marked, marker, known)
        if not marked and not held:
            return ()
        now = time.monotonic()
        if now >= deadline:
            return tuple(marked) or None
        theirs = [pid for pid in marked if pid not in spared]
        if now >= kill_at:
            send(signal.SIGKILL, theirs)
        else:
            send(signal.SIGTERM, [pid for pid in theirs if pid not in asked])
            asked.update(theirs)
        await asyncio.sleep(_LOOK)


def _held(folder: Path) -> bool:
    """Whether a supervisor of the folder lives, or a watcher that it forked."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _supervisors(folder: Path) -> list[int]:
    """The supervisors that wrote their names into the lock, and still are the processes that did."""
    living: list[int] = []
    for line in (folder / LOCK).read_text().splitlines():
        pid, _, since = line.partition(" ")
        if pid.isdigit() and started(int(pid)) == since:
            living.append(int(pid))
    return living


def _marked(marker: str, known: dict[int, str]) -> list[int]:
    """All living processes that bear the marker, all below them, and those of them that an earlier call
    saw: where one ended, what was below it is not found by the marker any more. ``known`` is what was seen.
    """
    bears = f"{MARKER}={marker}".encode()
    found = [pid for pid, since in known.items() if started(pid) == since]
    for pid in processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue  # gone, or another user's
        if bears in environment.split(b"\0"):
            found.append(pid)
    tree = dict.fromkeys(process for pid in found for process in (pid, *below(pid)))
    living = [pid for pid in tree if runs(pid)]
    known.clear()
    known.update((pid, since) for pid in living if (since := started(pid)) is not None)
    return living


def _lineage() -> set[int]:
    """This process and all above it; empty where there is no ``/proc``."""
    lineage: set[int] = set()
    pid = os.getpid()
    while pid and (above := parent(pid)) is not None:
        lineage.add(pid)
        pid = above
    return lineage
