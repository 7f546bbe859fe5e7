"""The caller's hold on one supervisor: its process, and the socket that requests go over."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from leasehold.drivers import supervise
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.supervisor import EMPTY, READY

_START_BOUND = 10.0
_EXIT_BOUND = 1.0
_LOG = "supervisor.log"


class Link:
    """A started supervisor. Requests are those that its own page names."""

    def __init__(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._sending = asyncio.Lock()

    @classmethod
    async def start(cls, folder: Path, pause: float) -> "Link":
        """Start a supervisor for the lease of ``folder``. Raises ``Unavailable``."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.to_thread(_launch, theirs, folder, pause)
        except OSError as error:
            ours.close()
            raise Unavailable(f"the supervisor of commands did not start: {error}") from error
        link = cls(process, ours)
        try:
            ready = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 1), _START_BOUND)
        except (TimeoutError, ConnectionResetError):
            ready = b""
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
                    await _writable(loop, self._control.fileno())
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


def _last_words(folder: Path) -> str:
    lines = (folder / _LOG).read_text(errors="replace").splitlines()
    return lines[-1] if lines else f"it said nothing in {folder / _LOG}"


async def _writable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    waiter = loop.create_future()
    loop.add_writer(fd, _set, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(fd)


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
