"""A session that is a process of this machine: ``ssh``, ``docker exec -i``, ``podman exec -i``."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from leasehold.drivers.command import Streams
from leasehold.drivers.errors import DriverError, Unavailable

_BUFFER = 1 << 20
_LEAVE = 3.0


class ProcessSession:
    """A session whose near side is a process of ours, in a session of its own: no ^C of a terminal ends it."""

    def __init__(self, process: asyncio.subprocess.Process, transport: asyncio.SubprocessTransport) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._transport = transport
        self._stdin = process.stdin
        self._killed = False
        self.stdout = process.stdout
        self.stderr = process.stderr

    @classmethod
    async def start(cls, argv: Sequence[str], env: Mapping[str, str] | None = None) -> "ProcessSession":
        """Start the process. Raises ``Unavailable`` where it cannot be."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=_BUFFER, loop=loop),
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}", hint=f"install {argv[0]}") from error
        return cls(asyncio.subprocess.Process(transport, protocol, loop), transport)

    async def write(self, data: bytes) -> None:
        self._stdin.write(data)
        await self._stdin.drain()

    async def wait(self) -> int | None:
        code = await self._process.wait()
        self._stdin.close()
        if self._killed:
            self._transport.close()
        return code if code >= 0 else None

    def kill(self) -> None:
        self._killed = True
        self._stdin.close()
        if self._process.returncode is not None:
            self._transport.close()
            return
        send(self._process, signal.SIGKILL)
        for number in (1, 2):  # what has not been read is not read any more, and would hold its pipe open
            pipe = self._transport.get_pipe_transport(number)
            if pipe is not None:
                pipe.close()


class ProcessLink:
    """A link whose sessions are ``prefix`` and the words ``sh -c SCRIPT`` behind it.

    ``terminal`` is the prefix for a terminal of the place's own; ``env`` the near process's environment.
    """

    contained = False

    def __init__(
        self,
        name: str,
        prefix: Sequence[str],
        *,
        terminal: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._prefix = tuple(prefix)
        self._terminal = tuple(terminal or prefix)
        self._env = env

    async def open(self, script: str) -> ProcessSession:
        return await ProcessSession.start([*self._prefix, "sh", "-c", script], self._env)

    async def attach(self, script: str, streams: Streams) -> int:
        return await run_attached([*self._terminal, "sh", "-c", script], streams, self._env)

    def failure(self, code: int | None, said: str) -> DriverError | None:
        return None


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal. The process's own ``kill`` reaps one that has just ended, and the loop, which waits for it too,
    then says on the log that it knows no such child, and gives it a code of its own.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def run_attached(argv: Sequence[str], streams: Streams, env: Mapping[str, str] | None = None) -> int:
    """Run a program on the caller's own descriptors and terminal to its end; its exit status."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr, env=env
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started: {error.strerror}", hint=f"install {argv[0]}") from error
    try:
        return await process.wait()
    except asyncio.CancelledError:
        send(process, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _LEAVE)
        raise
    finally:
        send(process, signal.SIGKILL)
        await process.wait()
