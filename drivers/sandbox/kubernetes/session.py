"""A session in a pod: the API's exec, a websocket whose frames begin with the number of their stream."""

import asyncio
import json
from importlib import import_module
from typing import Any, Self
from urllib.parse import urlencode

from leasehold.drivers.errors import DriverError, Unavailable
from leasehold.drivers.sandbox.kubernetes.access import Access, alive_socket
from leasehold.drivers.sandbox.kubernetes.meaning import meaning, unreached
from leasehold.drivers.sandbox.kubernetes.pod import CONTAINER

STDIN, STDOUT, STDERR, STATUS, SIZE = range(5)

_PROTOCOL = "v4.channel.k8s.io"
_BUFFER = 1 << 20
_PIECE = 1 << 17
_CONNECT = 30.0
_CLOSE = 0.5


class Socket:
    """A connected exec: frames in both directions, each as fast as the other side takes it."""

    def __init__(self, connections: Any, socket: Any) -> None:
        self._connections = connections
        self._socket = socket

    @classmethod
    async def open(cls, access: Access, pod: str, script: str, *, terminal: bool = False) -> "Socket":
        """Run shell text in a pod. Raises ``DriverError`` where the pod, the cluster or our rights do not let it."""
        aiohttp: Any = import_module("aiohttp")
        client = await access.client()
        try:
            query = [("command", word) for word in ("sh", "-c", script)]
            query += [("container", CONTAINER), ("stdin", "true"), ("stdout", "true")]
            query += [("tty", "true")] if terminal else [("stderr", "true")]
            path = f"/api/v1/namespaces/{access.namespace}/pods/{pod}/exec"
            headers: dict[str, str] = {}
            await client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
            config, secured = client.configuration, client.rest_client.ssl_context
        finally:
            await client.close()
        url = f"{config.host}{path}?{urlencode(query)}"
        connector = aiohttp.TCPConnector(ssl=secured, socket_factory=alive_socket)
        connections = aiohttp.ClientSession(connector=connector, trust_env=True)
        try:
            options = {"server_hostname": config.tls_server_name} if config.tls_server_name else {}
            async with asyncio.timeout(_CONNECT):
                yarl: Any = import_module("yarl")
                socket = await connections.ws_connect(
                    yarl.URL(url, encoded=True),
                    protocols=(_PROTOCOL,),
                    headers=headers,
                    max_msg_size=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE / 2),
                    proxy=config.proxy,
                    **options,
                )
        except BaseException as error:
            await connections.close()
            if not isinstance(error, Exception):
                raise
            status: int | None = getattr(error, "status", None)  # of an answer that is no
            if status is not None:
                raise meaning(status, "", doing="no session could be opened in the pod") from error
            raise unreached(error, config.host) from error
        return cls(connections, socket)

    async def send(self, stream: int, data: bytes) -> None:
        """Send to a stream. Raises ``ConnectionError`` where the session has ended."""
        for at in range(0, len(data), _PIECE):
            await self._socket.send_bytes(bytes((stream,)) + data[at : at + _PIECE])

    async def receive(self) -> tuple[int, bytes] | None:
        """The next frame's stream and bytes; none at the end."""
        while True:
            message = await self._socket.receive()
            if isinstance(message.data, bytes) and message.type.name == "BINARY":
                if message.data:
                    return message.data[0], message.data[1:]
            elif message.type.name in ("CLOSE", "CLOSING", "CLOSED", "ERROR"):
                return None

    async def close(self) -> None:
        """End the connection, and with it what reads our input there."""
        try:
            async with asyncio.timeout(_CLOSE):
                await self._socket.close()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            await self._connections.close()


class _Valve(asyncio.ReadTransport):
    """Holds the frames back while a reader's buffer is full."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()

    def pause_reading(self) -> None:
        self.open.clear()

    def resume_reading(self) -> None:
        self.open.set()


class PodSession:
    """One piece of shell text that runs in a pod. Its standard input cannot be ended, but with the session."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._code: int | None = None
        self.trouble: DriverError | None = None
        self.stdout, self._out = _reader()
        self.stderr, self._err = _reader()
        self._pumping = asyncio.create_task(self._pump())

    async def begin(self) -> Self:
        """Have it read: a task that is cancelled before its first step would never close the connection."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            self.kill()
            raise
        return self

    async def write(self, data: bytes) -> None:
        if self._pumping.done():
            raise ConnectionResetError("the session has ended")
        await self._socket.send(STDIN, data)

    async def wait(self) -> int | None:
        await asyncio.wait({self._pumping})
        return self._code

    def kill(self) -> None:
        self._pumping.cancel()

    async def _pump(self) -> None:
        try:
            status = b""
            while (frame := await self._socket.receive()) is not None:
                stream, data = frame
                if stream == STDOUT:
                    await _feed(self.stdout, self._out, data)
                elif stream == STDERR:
                    await _feed(self.stderr, self._err, data)
                elif stream == STATUS:
                    status += data
            self._code, self.trouble = ended(status)
        finally:
            self.stdout.feed_eof()
            self.stderr.feed_eof()
            await self._socket.close()


def ended(status: bytes) -> tuple[int | None, DriverError | None]:
    """The exit status that the last frame tells, or why there is none."""
    try:
        value: dict[str, Any] = json.loads(status)
        if value["status"] == "Success":
            return 0, None
        details: dict[str, Any] = value.get("details") or {}
        causes: list[dict[str, Any]] = details.get("causes") or []
        for cause in causes:
            if cause.get("reason") == "ExitCode":
                return int(cause["message"]), None
        return None, meaning(int(value.get("code") or 500), status, doing="a session in the pod failed")
    except (ValueError, KeyError, TypeError):
        return None, Unavailable("the connection to the pod was lost", hint="look at the pod and the network")


def _reader() -> tuple[asyncio.StreamReader, _Valve]:
    reader, valve = asyncio.StreamReader(limit=_BUFFER), _Valve()
    reader.set_transport(valve)
    return reader, valve


async def _feed(reader: asyncio.StreamReader, valve: _Valve, data: bytes) -> None:
    await valve.open.wait()
    reader.feed_data(data)
