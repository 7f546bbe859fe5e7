"""The way into a pod."""

import os
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


class PodLink:
    """Sessions by the API's exec. Where one fails, the pod itself is asked why."""

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
            raise await self.why() or trouble or Gone(f"{self.name} is gone")
        return code

    def failure(self, code: int | None, said: str) -> DriverError | None:
        return self._trouble if code is None else None

    async def why(self) -> DriverError | None:
        """What is wrong with the pod; none where nothing is seen."""
        context = Context(None, time.monotonic() + _LOOK, 0, "", "", Path())
        try:
            async with Cluster(self._access, context) as cluster:
                pod = await cluster.find(self._pod)
        except DriverError:
            return None
        if pod is None:
            return Gone(f"{self.name} is gone", hint="take a new lease")
        return pod.trouble()

    async def failed(self, trouble: DriverError | None) -> None:
        """A session ended without an exit status."""
        self._trouble = await self.why() or trouble


class _Asking(PodSession):
    """A session that has its link look at the pod where it fails."""

    def __init__(self, link: PodLink, socket: Socket) -> None:
        super().__init__(socket)
        self._link = link

    async def wait(self) -> int | None:
        code = await super().wait()
        if code is None and self.trouble is not None:
            await self._link.failed(self.trouble)
        return code
