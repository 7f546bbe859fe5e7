# ruff: noqa: PTH110, PTH112, PTH123, PTH208
"""The processes below this one: who they are, and their end.

On Linux a process that adopts orphans keeps every descendant below itself, however it hides (``setsid``,
a double fork, ``env -i``): when ``waitpid`` knows no child, none is left. Elsewhere a walk over parents and
one process group have to do, and nobody can say that none is left.

The supervisor imports this file before it serves, so it imports little: not even pathlib.
"""

import ctypes
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
else:
    import _signal as signal  # the public module imports enum: a third of the supervisor's own start

KILL_BOUND = 5.0
"""Seconds that SIGKILL is given before what still runs is reported as a survivor."""

_PASS = 0.05
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_MOST_CHILDREN = 4096


def adopt_orphans() -> bool:
    """Make this process the parent of all orphans below it; whether the machine can."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> bool:
    """Have this process sent a signal when its parent dies; whether the machine can."""
    return _prctl(_PR_SET_PDEATHSIG, signum)


def hide() -> bool:
    """Keep other processes of this user from looking into this one and its forks; whether the machine can."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid``; empty where it is gone."""
    if sys.platform == "darwin":
        found = (ctypes.c_int * _MOST_CHILDREN)()
        ctypes.CDLL(None).proc_listchildpids(pid, found, ctypes.sizeof(found))
        return [child for child in found if child]
    if not os.path.exists("/proc/thread-self/children"):
        return [child for child in processes() if parent(child) == pid]
    lists: list[bytes] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", 0) as file:
                lists.append(file.read())
    except OSError:
        pass  # the process, or one of its threads, ended while we looked
    return [int(child) for child in b" ".join(lists).split()]


def below(pid: int, shielded: "frozenset[int]" = frozenset()) -> list[int]:
    """All processes below ``pid``, nearest first. What is below a shielded one is left out."""
    found = children(pid)
    for process in found:
        if process not in shielded:
            found.extend(child for child in children(process) if child not in found)
    return found


def processes() -> "Iterator[int]":
    """All processes that this machine shows."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def parent(pid: int) -> int | None:
    """The parent of a process, where ``/proc`` shows it."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def started(pid: int) -> str | None:
    """When a process was started, in the kernel's own words: with its id this names it for good.

    Where there is no ``/proc``, an empty string for every process that exists.
    """
    if os.path.isdir("/proc/1"):
        fields = _stat(pid)
        return fields[19].decode() if fields else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def runs(pid: int) -> bool:
    """Whether a process still runs: a zombie does not, unless other threads of it do."""
    fields = _stat(pid)
    if fields is None:
        return False
    try:
        return fields[0] not in (b"Z", b"X") or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def send(signum: int, pids: "list[int]") -> None:
    """Signal processes; those that are gone or not ours to signal are passed over."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue


class Descendants:
    """The processes below this one, as its own ``waitpid`` sees them.

    Attributes:
        adopting: whether orphans below come to this process, so that nothing below can be lost.
        ended: children that ended and were reaped, with their wait status.
        group: where nothing is adopted, a process group that counts as below, too.
    """

    def __init__(self) -> None:
        self.adopting = adopt_orphans()
        self.ended: dict[int, int] = {}
        self.group: int | None = None

    def reap(self) -> bool:
        """Take the status of each child that has ended; whether none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            self.ended[pid] = status

    def left(self) -> tuple[int, ...] | None:
        """What runs below now; ``None`` where nobody can say."""
        if not self.adopting:
            return None
        return () if self.reap() else tuple(pid for pid in below(os.getpid()) if runs(pid))

    def end(
        self,
        pause: float,
        bound: float,
        doze: "Callable[[float], object]",
        shielded: "frozenset[int]" = frozenset(),
    ) -> tuple[int, ...] | None:
        """End everything below: SIGTERM, after ``pause`` seconds SIGKILL, until no child is left.

        Gives up ``bound`` seconds after it began. ``doze`` waits for some seconds or until a child has
        ended. Shielded children end what is below them by themselves, until it comes to SIGKILL.
        Returns what still runs.
        """
        begun = time.monotonic()
        self._signal_term(shielded)
        while not self._none_left():
            passed = time.monotonic() - begun
            if passed >= bound:
                break
            if passed < pause:
                doze(min(pause, bound) - passed)
            else:
                self.kill(below(os.getpid()))
                doze(_PASS)
        return self.left()

    def kill(self, pids: list[int]) -> None:
        """SIGKILL processes below, each with its whole group where the session is not our own.

        The kernel kills a group as one: what forks faster than we read cannot run away from that.
        """
        ours = os.getsid(0)
        for pid in pids:
            try:
                if os.getsid(pid) != ours:
                    os.killpg(os.getpgid(pid), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        send(signal.SIGKILL, pids)
        self._signal_group(signal.SIGKILL)

    def _signal_term(self, shielded: "frozenset[int]") -> None:
        send(signal.SIGTERM, below(os.getpid(), shielded))
        self._signal_group(signal.SIGTERM)

    def _signal_group(self, signum: int) -> bool:
        if self.group is None:
            return False
        try:
            os.killpg(self.group, signum)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _none_left(self) -> bool:
        return self.reap() and not self._signal_group(0)


def _prctl(option: int, value: int) -> bool:
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _stat(pid: int) -> "list[bytes] | None":
    """The fields of ``/proc/PID/stat`` from the state on."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None
