"""The caller's hold on one supervisor: its process, and the socket that requests go over."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from leasehold.drivers import supervise
from leasehold.drivers.confinement import Confinement, caller_descriptor
from leasehold.drivers.descendants import started
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.supervisor import EMPTY, LOCK, READY

_START_BOUND = 10.0
_EXIT_BOUND = 1.0
_LOG = "supervisor.log"
_CREDENTIALS = struct.Struct("3i")


class Link:
    """A started supervisor. Requests are those that its own page names."""

    def __init__(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._sending = asyncio.Lock()

    @classmethod
    async def start(cls, folder: Path, pause: float, confinement: Confinement | None = None) -> "Link":
        """Start a supervisor for the lease of ``folder``. Raises ``Unavailable``."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                if confinement is None:
                    process = await asyncio.to_thread(_launch, theirs, folder, pause)
                else:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                    process = await asyncio.to_thread(_launch_confined, theirs, folder, pause, confinement)
        except OSError as error:
            ours.close()
            raise Unavailable(f"the supervisor of commands did not start: {error}") from error
        link = cls(process, ours)
        try:
            ready, pid = await asyncio.wait_for(_readiness(ours), _START_BOUND)
        except (TimeoutError, ConnectionResetError):
            ready, pid = b"", None
        if ready == READY and pid is not None:
            await asyncio.to_thread(_enter, folder, pid)
        if ready != READY:
            await link.bury()
            said = await asyncio.to_thread(_last_words, folder)
            raise Unavailable(f"the supervisor of commands did not start: {said}")
        return link

    async def request(self, kind: bytes, fds: Sequence[int]) -> bool:
        """Send a request and its descriptors; whether somebody is there to take it."""
        loop = asyncio.get_running_loop()
        async with self._sending:
            while True:
                try:
                    socket.send_fds(self._control, [kind], fds)
                except BlockingIOError:
                    await _polled(loop.add_writer, loop.remove_writer, self._control.fileno())
                except OSError:
                    return False
                else:
                    return True

    def hand_over(self, pipe: int) -> None:
        """Have a pipe emptied as long as something writes to it, so that its writer can go on."""
        try:
            socket.send_fds(self._control, [EMPTY], [pipe])
        except OSError:
            return  # nobody is there, or too busy: the writer sees its pipe closed

    def leave(self) -> None:
        """Let the supervisor live on. Its process is reaped when it ends, should we still be there."""
        self._control.close()
        threading.Thread(target=self._process.wait, daemon=True).start()

    async def has_ended(self) -> bool:
        """Whether the supervisor's process has ended, or does so within a moment."""
        try:
            await asyncio.to_thread(self._process.wait, _EXIT_BOUND)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def bury(self) -> None:
        """Wait for the supervisor's process, which has ended or is about to; kill it where it does not."""
        self._control.close()
        await asyncio.to_thread(self._reap)

    def _reap(self) -> None:
        try:
            self._process.wait(_EXIT_BOUND)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_EXIT_BOUND)


def _launch(control: socket.socket, folder: Path, pause: float) -> "subprocess.Popen[bytes]":
    """Start the process in a group of its own, within our session: so commands can have our terminal."""
    number = control.fileno()
    with (folder / _LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", supervise.__file__, str(number), str(folder), str(pause)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(number,),
            process_group=0,
            cwd="/",
        )


def _launch_confined(
    control: socket.socket, folder: Path, pause: float, confinement: Confinement
) -> "subprocess.Popen[bytes]":
    """Start the process in namespaces of its own, which show it neither the folder nor this process."""
    with ExitStack() as closing:
        log = closing.enter_context((folder / _LOG).open("ab"))
        numbers = (control.fileno(), os.open(folder, os.O_RDONLY | os.O_DIRECTORY), caller_descriptor())
        for number in numbers[1:]:
            closing.callback(os.close, number)
        return subprocess.Popen(
            confinement.words(supervise.__file__, numbers[0], numbers[1], pause, numbers[2]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=numbers,
            process_group=0,
            cwd="/",
            env=dict(confinement.env),
        )


async def _readiness(control: socket.socket) -> tuple[bytes, int | None]:
    """What the supervisor says first and, where the socket takes note of it, its process as we see it."""
    loop = asyncio.get_running_loop()
    await _polled(loop.add_reader, loop.remove_reader, control.fileno())
    said, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return said, _CREDENTIALS.unpack(content)[0]
    return said, None


def _enter(folder: Path, pid: int) -> None:
    """Write a supervisor's name into its lock: in its namespace it does not know the one that we know it by."""
    with (folder / LOCK).open("ab", 0) as lock:
        lock.write(f"{pid} {started(pid)}\n".encode())


def _last_words(folder: Path) -> str:
    lines = (folder / _LOG).read_text(errors="replace").splitlines()
    return lines[-1] if lines else f"it said nothing in {folder / _LOG}"


async def _polled(add: Callable[..., None], remove: Callable[[int], object], fd: int) -> None:
    """Wait until a descriptor can be read, or written."""
    waiter = asyncio.get_running_loop().create_future()
    add(fd, _set, waiter)
    try:
        await waiter
    finally:
        remove(fd)


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
