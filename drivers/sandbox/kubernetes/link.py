"""The way into a pod."""

import asyncio
import os
import signal
import time
from pathlib import Path

from leasehold.drivers.command import Streams
from leasehold.drivers.context import Context
from leasehold.drivers.errors import DriverError, Gone
from leasehold.drivers.sandbox.kubernetes.access import Access
from leasehold.drivers.sandbox.kubernetes.cluster import Cluster
from leasehold.drivers.sandbox.kubernetes.session import PodSession, Socket
from leasehold.drivers.sandbox.kubernetes.terminal import relay

_LOOK = 10.0
_TOLD = 5.0  # seconds until a node has told the cluster that a pod has ended
_AGAIN = 0.25
_ENDED = (None, 126, 128 + signal.SIGKILL)  # how a session ends whose pod is lost, had ended before, or is killed


class PodLink:
    """Sessions by the API's exec. Where one fails, the pod itself is asked why."""

    contained = True

    def __init__(self, access: Access, pod: str) -> None:
        self.name = f"the pod {pod}"
        self._access = access
        self._pod = pod
        self._trouble: DriverError | None = None

    async def open(self, script: str) -> PodSession:
        try:
            return await _Asking(self, await Socket.open(self._access, self._pod, script)).begin()
        except DriverError as error:
            raise await self.why() or error from error

    async def attach(self, script: str, streams: Streams) -> int:
        socket = await Socket.open(self._access, self._pod, script, terminal=os.isatty(streams.stdin))
        code, trouble = await relay(socket, streams)
        if code is None:
            raise await self.why(_TOLD) or trouble or Gone(f"{self.name} is gone")
        return code

    def failure(self, code: int | None, said: str) -> DriverError | None:
        return self._trouble if code in _ENDED else None

    async def why(self, seconds: float = 0.0) -> DriverError | None:
        """What is wrong with the pod; none where nothing is seen, not in these seconds either."""
        context = Context(None, time.monotonic() + _LOOK, 0, "", "", Path())
        end = time.monotonic() + seconds
        try:
            async with Cluster(self._access, context) as cluster:
                while (pod := await cluster.find(self._pod)) is not None:
                    trouble = pod.trouble()
                    if trouble is not None or time.monotonic() >= end:
                        return trouble
                    await asyncio.sleep(_AGAIN)
        except DriverError:
            return None
        return Gone(f"{self.name} is gone", hint="take a new lease")

    async def failed(self, trouble: DriverError | None) -> None:
        """A session ended without an exit status of its own."""
        self._trouble = await self.why(_TOLD) or trouble


class _Asking(PodSession):
    """A session that has its link look at the pod where it fails."""

    def __init__(self, link: PodLink, socket: Socket) -> None:
        super().__init__(socket)
        self._link = link

    async def wait(self) -> int | None:
        code = await super().wait()
        if code in _ENDED and (code is not None or self.trouble is not None):
            await self._link.failed(self.trouble)
        return code
