"""The supervisor: the process below which all commands of one lease run.

It adopts orphans, so that nothing of its lease can get away from it. Each request is one byte on the
control socket to its caller, with file descriptors beside it:

- ``x``: a channel and the three streams of a command, which a watcher of its own then serves;
- ``p``: the reading end of a pipe that a command left behind still writes to: it is emptied from now on;
- ``e``: a channel that says within how many seconds everything is to be ended, and gets the survivors;
- ``d``: a channel that gets whether the supervisor lives on without its caller.

It ends everything when its caller goes, and on SIGTERM. All its life it holds a shared lock on
``FOLDER/supervisor.lock``, into which it writes its process id and start time.

It starts with this file, which therefore imports little.
"""

import errno
import fcntl
import os
import select
import sys
import time

from leasehold.drivers import frame
from leasehold.drivers.descendants import KILL_BOUND, Descendants, below, children, hide, runs, started
from leasehold.drivers.wake import Wake, block_signals
from leasehold.drivers.watcher import Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
else:
    import _signal as signal  # the public modules import enum: a third of the supervisor's own start
    import _socket as socket

READY = b"r"
"""What the supervisor says on the control socket when it serves."""

EXECUTE, EMPTY, END, DETACH = b"x", b"p", b"e", b"d"
"""The requests."""

LOCK = "supervisor.lock"
"""The file in a lease's folder on which its supervisors hold a shared lock."""

_NEEDS = {EXECUTE: 4, EMPTY: 1, END: 1, DETACH: 1}
_WATCHERS_LEAD = 0.5
_LOST_BOUND = 1.0
_PASS = 0.05
_CHUNK = 65536


class Supervisor:
    """Serves one lease until its caller, a signal or the caller's word ends it."""

    def __init__(self, control: int, folder: str, pause: float, caller: int | None) -> None:
        self._folder = folder
        self._pause = pause
        self._lock = _register(folder)
        self._wake = Wake()
        self._control = socket.socket(fileno=control)
        self._caller = _watch_caller() if caller is None else caller
        self._channels: dict[int, int] = {}
        self._left_behind: set[int] = set()
        self._pipes: set[int] = set()
        self._serving = True
        self._detached = False
        self._descendants = Descendants()
        self._poll = select.poll()
        for fd in (control, self._wake.fd, self._caller):
            if fd is not None:
                self._poll.register(fd, select.POLLIN)

    def serve(self) -> None:
        """Serve requests until everything is ended."""
        self._control.send(READY)
        while self._serving:
            for fd, _ in self._poll.poll():
                if not self._serving:
                    break
                if fd == self._control.fileno():
                    self._serve_request()
                elif fd == self._caller:
                    self._end(self._pause + KILL_BOUND)
                elif fd in self._pipes:
                    self._empty(fd)
            self._look()
            if self._serving and self._wake.terminated():
                self._end(self._pause + KILL_BOUND)
        self._look()

    def _serve_request(self) -> None:
        request, fds = self._receive()
        if request in _NEEDS and len(fds) < _NEEDS[request]:
            self._refuse(request, fds)
        elif request == EXECUTE:
            self._fork_watcher(fds[0], tuple(fds[1:]))
        elif request == EMPTY:
            self._pipes.add(fds[0])
            self._poll.register(fds[0], select.POLLIN)
        elif request == END:
            within = frame.receive(fds[0])
            survivors = self._end(self._pause + KILL_BOUND if within is None else within)
            frame.send(fds[0], {"survivors": survivors})
        elif request == DETACH:
            self._detach(fds[0])
        else:
            self._end(self._pause + KILL_BOUND)

    def _receive(self) -> tuple[bytes, list[int]]:
        """One request and its descriptors. A byte at a time: so no two requests' descriptors are mixed."""
        try:
            data, ancillary, _, _ = self._control.recvmsg(1, socket.CMSG_SPACE(max(_NEEDS.values()) * 4))
        except ConnectionResetError:
            return b"", []
        fds: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.extend(int.from_bytes(content[at : at + 4], sys.byteorder) for at in range(0, len(content), 4))
        for fd in fds:
            os.set_inheritable(fd, False)
        return data, fds

    def _refuse(self, request: bytes, fds: list[int]) -> None:
        """We have no room for all the descriptors of a request: it is the only one that fails."""
        if request == EXECUTE and fds:
            _report_failure(fds.pop(0), "exited", (), ("start", errno.EMFILE))
        for fd in fds:
            os.close(fd)

    def _fork_watcher(self, channel: int, streams: tuple[int, ...]) -> None:
        supervisor = os.getpid()
        unblocked = block_signals()
        try:
            pid = os.fork()
        except OSError as error:
            _report_failure(channel, "exited", (), ("start", error.errno or errno.EAGAIN))
        else:
            if pid == 0:
                self._become_watcher(supervisor, channel, streams, unblocked)
            self._channels[pid] = channel
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        for fd in streams:
            os.close(fd)

    def _become_watcher(self, supervisor: int, channel: int, streams: tuple[int, ...], unblocked: "set[int]") -> None:
        """Go on as a watcher. It keeps the lock: what it ends is not ended before it goes."""
        status = 1
        try:
            self._wake.close()
            self._control.close()
            for fd in (*self._channels.values(), *self._pipes, self._caller):
                if fd is not None:
                    os.close(fd)
            watcher = Watcher(supervisor, self._folder, channel, streams)
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            watcher.run()
            status = 0
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            raise
        finally:
            os._exit(status)

    def _empty(self, pipe: int) -> None:
        """Take what a command left behind has written, for nobody, so that it can go on."""
        if not os.read(pipe, _CHUNK):
            self._poll.unregister(pipe)
            self._pipes.discard(pipe)
            os.close(pipe)

    def _detach(self, channel: int) -> None:
        """Live on without the caller while something of the lease runs."""
        self._detached = True
        self._poll.unregister(self._control.fileno())
        self._control.close()
        if self._caller is not None:
            self._poll.unregister(self._caller)
            os.close(self._caller)
            self._caller = None
        if not self._descendants.reap():
            self._wake.doze(_PASS)  # a watcher that has reported may be about to end
        frame.send(channel, {"goes_on": not self._descendants.reap()})
        os.close(channel)

    def _look(self) -> None:
        """See which children have ended, and end what lost its watcher."""
        none_left = self._descendants.reap()
        while self._descendants.ended:
            lost: list[int] = []
            for pid, status in self._descendants.ended.items():
                channel = self._channels.pop(pid, None)
                if channel is not None and status != 0:
                    lost.append(channel)
                elif channel is not None:
                    os.close(channel)
            self._descendants.ended.clear()
            if lost:
                self._end_lost(lost)
                none_left = self._descendants.reap()
        self._left_behind = set() if none_left else set(children(os.getpid())) - self._channels.keys()
        if self._detached and none_left:
            self._serving = False

    def _end_lost(self, channels: list[int]) -> None:
        """Kill what has come to us with the death of watchers, and report their commands as lost."""
        orphans = set(children(os.getpid())) - self._channels.keys() - self._left_behind
        give_up = time.monotonic() + _LOST_BOUND
        while orphans and time.monotonic() < give_up:
            tree = [*orphans, *(pid for orphan in orphans for pid in below(orphan))]
            self._descendants.kill(tree)
            self._wake.doze(_PASS)
            self._descendants.reap()
            orphans = {pid for pid in tree if runs(pid)}
        for channel in channels:
            _report_failure(channel, "target_lost", tuple(orphans) if self._descendants.adopting else None)

    def _end(self, within: float) -> tuple[int, ...] | None:
        """End everything within some seconds, and serve no more. Watchers end what is below them."""
        self._serving = False
        pause = min(self._pause + _WATCHERS_LEAD, within / 2)
        return self._descendants.end(pause, within, self._wake.doze, frozenset(self._channels))


def _report_failure(
    channel: int, outcome: str, survivors: "tuple[int, ...] | None", failure: "tuple[str, int] | None" = None
) -> None:
    report: frame.Report = {
        "outcome": outcome,
        "status": None,
        "survivors": survivors,
        "duration": 0.0,
        "failure": failure,
    }
    frame.send(channel, report)
    os.close(channel)


def _register(folder: str) -> int:
    """Take the lock, shared, and write our name into it: what still holds it has not ended yet."""
    lock = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.write(lock, f"{os.getpid()} {started(os.getpid())}\n".encode())
    return lock


def _watch_caller() -> int | None:
    """Something that polls readable when the caller is gone, even where a fork of it holds its sockets."""
    try:
        return os.pidfd_open(os.getppid())
    except (AttributeError, OSError):
        return None  # not on this machine: the control socket has to do


def supervise(control: int, folder: str, pause: float, caller: int | None = None) -> None:
    """Be the supervisor of the lease of ``folder``, for the caller at the other end of ``control``.

    ``caller`` is a descriptor of the caller's process where we are the first process of a namespace, and
    ``folder`` a descriptor's number. What runs there is not trusted: it sees neither folder nor us.
    """
    if caller is not None:
        os.set_inheritable(caller, False)
        os.set_inheritable(int(folder), False)
        folder = f"/proc/self/fd/{folder}"
        hide()
    for name in ("HUP", "INT", "QUIT", "TSTP", "TTIN", "TTOU", "USR1", "USR2", "PIPE"):
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    os.set_inheritable(control, False)
    Supervisor(control, folder, pause, caller).serve()
