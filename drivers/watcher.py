# ruff: noqa: PTH103, PTH105, PTH108, PTH113, PTH118, PTH120, PTH123
"""A watcher: the process that starts one command, holds its deadline and ends its whole tree.

The supervisor forks one for each command. It adopts the command's orphans, so the command's tree can be
told from those of the lease's other commands. It ends the tree at the deadline, when it is told to, when
its caller's end of the channel closes, and when the supervisor dies. When the command ends by itself, the
watcher goes, and what the command left behind comes to the supervisor.

The supervisor imports this file before it serves, so it imports little: not even pathlib.
"""

import errno
import os
import select
import time

from leasehold.drivers import frame
from leasehold.drivers.descendants import KILL_BOUND, Descendants, die_with_parent, send
from leasehold.drivers.wake import Wake, block_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from leasehold.drivers.frame import Report, Request
else:
    import _signal as signal  # the public module imports enum: a third of the supervisor's own start

_LOOK = 1.0
_LONGEST_POLL = 86400.0
_SCORE = "/proc/self/oom_score_adj"
_MORE, _MOST = 500, 1000  # of a score that is a thousandth of the memory


class Watcher:
    """One command, from its request to its report.

    ``supervisor`` is the process that forked this one, ``folder`` that of the lease, ``channel`` a
    stream socket to the caller, ``streams`` the command's standard input, output and error.
    """

    def __init__(self, supervisor: int, folder: str, channel: int, streams: tuple[int, ...]) -> None:
        self._supervisor = supervisor
        self._folder = folder
        self._channel = channel
        self._streams = streams
        self._wake = Wake()
        self._poll = select.poll()
        self._poll.register(self._wake.fd, select.POLLIN)
        self._poll.register(channel, select.POLLIN)
        self._descendants = Descendants()
        die_with_parent(signal.SIGTERM)

    def run(self) -> None:
        """Serve the one request of the channel. Says nothing where the supervisor died: nobody is sure then."""
        request: Request | None = frame.receive(self._channel)
        if request is None or os.getppid() != self._supervisor:
            return
        record = request["record"]
        begun = time.monotonic()
        failure = None if record is None else _forget(self._folder, record)
        if failure is not None:
            self._report("exited", None, (), begun, failure)
            return
        foreground = self._foreground(request)
        try:
            pid, failure_end = self._start(request)
        except OSError as error:
            self._report("exited", None, (), begun, ("start", error.errno or errno.EAGAIN))
            return
        timeout = request["timeout"]
        outcome = self._watch(pid, None if timeout is None else begun + timeout)
        if outcome == "exited":
            survivors = self._descendants.left()
        else:
            survivors = self._descendants.end(request["pause"], request["pause"] + KILL_BOUND, self._wake.doze)
        if foreground is not None:
            self._give_back_terminal(foreground)
        if outcome == "target_lost":
            return
        status = self._descendants.ended.get(pid)
        failure = _failure(failure_end)
        if record is not None and outcome == "exited" and status is not None:
            failure = _write_record(self._folder, record, _exit_code(status, failure)) or failure
        self._report(outcome, status, survivors, begun, failure)
        if not self._descendants.adopting:
            self._linger(request["pause"])

    def _report(
        self,
        outcome: str,
        status: int | None,
        survivors: "tuple[int, ...] | None",
        begun: float,
        failure: "tuple[str, int] | None",
    ) -> None:
        report: Report = {
            "outcome": outcome,
            "status": status,
            "survivors": survivors,
            "duration": time.monotonic() - begun,
            "failure": failure,
        }
        frame.send(self._channel, report)

    def _foreground(self, request: "Request") -> int | None:
        """The group to give the terminal back to: the caller's, where it has the terminal now."""
        stdin, group = self._streams[0], request["group"]
        return group if group is not None and os.isatty(stdin) and os.tcgetpgrp(stdin) == group else None

    def _give_back_terminal(self, group: int) -> None:
        try:
            os.tcsetpgrp(self._streams[0], group)
        except OSError:
            return  # the terminal was hung up

    def _start(self, request: "Request") -> tuple[int, int]:
        """Start the command: its process, and a pipe that says what failed, if anything, when it has ended."""
        failure, failure_write = os.pipe()
        os.set_blocking(failure, False)
        watcher = os.getpid()
        unblocked = block_signals()
        pid = os.fork()
        if pid == 0:
            _become(request, self._streams, watcher, failure_write)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        os.close(failure_write)
        if not self._descendants.adopting and request["group"] is None:
            self._descendants.group = pid
        for stream in self._streams[1:] if request["group"] is not None else self._streams:
            os.close(stream)
        return pid, failure

    def _watch(self, pid: int, deadline: float | None) -> str:
        """Wait until the command ends, or has to be ended: the outcome."""
        while True:
            ready = self._poll.poll(self._patience(deadline))
            self._descendants.reap()
            if pid in self._descendants.ended:
                return "exited"
            if os.getppid() != self._supervisor:
                return "target_lost"
            for fd, _ in ready:
                if fd == self._channel:
                    if _said(fd) != frame.LET_GO:
                        return "cancelled"
                    self._poll.unregister(fd)
                elif self._wake.terminated():
                    return "cancelled"
            if deadline is not None and time.monotonic() >= deadline:
                return "timed_out"

    def _patience(self, deadline: float | None) -> float | None:
        """Milliseconds to wait; where no signal tells of the supervisor's death, we look now and then."""
        waits = [] if self._descendants.adopting else [_LOOK]
        if deadline is not None:
            waits.append(min(_LONGEST_POLL, max(0.0, deadline - time.monotonic())))
        return min(waits) * 1000 if waits else None

    def _linger(self, pause: float) -> None:
        """Where nothing is adopted, stay by the command's group until the lease ends or the group has."""
        group = self._descendants.group
        while group is not None and os.getppid() == self._supervisor:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            self._wake.doze(_LOOK)
            if self._wake.terminated():
                break
        self._descendants.end(pause, pause + KILL_BOUND, self._wake.doze)


def _become(request: "Request", streams: tuple[int, ...], watcher: int, failure: int) -> "NoReturn":
    """Turn this process into the command; where that fails, say why and exit."""
    what, why = "start", errno.EINVAL
    try:
        if request["group"] is None:
            os.setsid()
        else:
            os.setpgid(0, request["group"])
            if request["group"] == 0 and os.isatty(streams[0]) and os.tcgetpgrp(streams[0]) == 0:
                os.tcsetpgrp(streams[0], os.getpid())
        die_with_parent(signal.SIGKILL)
        if os.getppid() != watcher:
            send(signal.SIGKILL, [os.getpid()])
        _reset_signals()
        _end_first()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        what = "cwd"
        os.chdir(request["cwd"])
        what = "start"
        what, why = _execute(request["argv"], request["env"])
    except OSError as error:
        why = error.errno or why
    finally:
        os.write(failure, f"{what} {why}".encode())
        os._exit(126)


def _end_first() -> None:
    """Where memory runs out, have the kernel end the command, and not what watches over it and says how it ended."""
    try:
        score = os.open(_SCORE, os.O_RDWR | os.O_CLOEXEC)
        os.write(score, str(min(int(os.read(score, 16)) + _MORE, _MOST)).encode())
        os.close(score)
    except OSError:
        return  # another system's kernel


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals():
        try:
            signal.signal(signum, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # SIGKILL, SIGSTOP, and what the C library keeps for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(argv: list[bytes], env: dict[bytes, bytes]) -> tuple[str, int]:
    """Execute a program, looked up as a shell does; returns only where that fails: what, and ``errno``."""
    program = argv[0]
    named = b"/" in program
    path = env.get(b"PATH", os.defpath.encode())
    found = 0
    for candidate in [program] if named else [os.path.join(part or b".", program) for part in path.split(b":")]:
        try:
            os.execve(candidate, argv, env)
        except OSError as error:
            absent = error.errno in (errno.ENOENT, errno.ENOTDIR)
            if os.path.isfile(candidate) or (named and not absent):
                found = found or error.errno or errno.EACCES
    return ("not_executable", found) if found else ("not_found", errno.ENOENT)


def _said(channel: int) -> bytes:
    try:
        return os.read(channel, 1)
    except ConnectionResetError:
        return b""


def _failure(end: int) -> "tuple[str, int] | None":
    try:
        said = os.read(end, 64).decode()
    except BlockingIOError:
        return None  # the command could not be ended, and has never come to its program
    if not said:
        return None
    what, _, why = said.partition(" ")
    return what, int(why)


def _exit_code(status: int, failure: "tuple[str, int] | None") -> int:
    """The exit status as a shell tells it: 128 and the signal's number, 127 where nothing was found."""
    if failure is not None:
        return 127 if failure[0] == "not_found" else 126
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _record_path(folder: str, record: str) -> str:
    return f"{folder}/commands/{record}.json"


def _forget(folder: str, record: str) -> "tuple[str, int] | None":
    """Remove the record of an earlier command of this name: what runs has not ended yet. What failed."""
    try:
        os.unlink(_record_path(folder, record))
    except FileNotFoundError:
        return None
    except OSError as error:
        return "record", error.errno or errno.EIO
    return None


def _write_record(folder: str, record: str, exit_code: int) -> "tuple[str, int] | None":
    """Write the record durably: beside it first, then renamed. What failed, if anything."""
    path = _record_path(folder, record)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        beside = f"{path}.{os.getpid()}"
        with open(beside, "wb", 0) as file:
            file.write(b'{"exit_code": %d}\n' % exit_code)
            os.fsync(file.fileno())
        os.replace(beside, path)
        parent = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        return "record", error.errno or errno.EIO
    return None
