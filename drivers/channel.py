"""The stream on which one request to a supervisor is made and answered."""

import asyncio
import socket
from typing import Any

from leasehold.drivers import frame


class Channel:
    """The caller's end of such a stream. ``theirs`` is the other one, until it is sent away."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._asked = False

    async def ask(self, message: Any) -> Any:
        """Send a message and wait for the answer; ``None`` where nobody is there to give one."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._ours, frame.pack(message))
            self._asked = True
            head = await self._exactly(loop, frame.HEAD)
            content = await self._exactly(loop, frame.length(head)) if head else None
        except (BrokenPipeError, ConnectionResetError):
            return None
        return frame.unpack(content) if content else None

    def finish(self) -> None:
        """Say nothing more: the other side sees that, ends what it does, and may still answer."""
        try:
            self._ours.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side is gone already

    def let_go(self) -> None:
        """Have the other side go on without us."""
        if self._asked:
            try:
                self._ours.send(frame.LET_GO)
            except OSError:
                return

    def close(self) -> None:
        """Let go of both ends."""
        self._ours.close()
        self.theirs.close()

    async def _exactly(self, loop: asyncio.AbstractEventLoop, size: int) -> bytes | None:
        parts: list[bytes] = []
        while size:
            part = await loop.sock_recv(self._ours, size)
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
