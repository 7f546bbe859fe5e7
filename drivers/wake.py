"""Signals as bytes in a pipe: something to poll beside sockets, so that no signal slips in between.

The supervisor imports this file before it serves, so it imports little.
"""

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the public module imports enum: a third of the supervisor's own start


class Wake:
    """SIGCHLD and SIGTERM, noted in a pipe. ``fd`` polls readable when one has come."""

    def __init__(self) -> None:
        self._terminated = False
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for signum in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(signum, _noted)

    def terminated(self) -> bool:
        """Whether a SIGTERM has ever come; ``fd`` is quiet again until the next signal."""
        try:
            noted = os.read(self.fd, 4096)
        except BlockingIOError:
            noted = b""
        self._terminated = self._terminated or signal.SIGTERM in noted
        return self._terminated

    def doze(self, seconds: float) -> None:
        """Wait some seconds, or until a signal comes."""
        select.select([self.fd], [], [], seconds)
        self.terminated()

    def close(self) -> None:
        """Let go of the pipe; the signals keep their handlers."""
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)


def block_signals() -> "set[int]":
    """Hold all signals back around a fork: else our handler takes in the child what is meant for it.

    Returns the mask to set again.
    """
    return signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _noted(_signum: int, _frame: object) -> None:
    return
