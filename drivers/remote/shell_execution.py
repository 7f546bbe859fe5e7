"""Executing where the place has no Python: a shell for each command, which holds its deadline there.

It finds what a command started by its session, by a variable in the environment and by parenthood. A process
with another session, another environment and another parent gets away from it.
"""

import asyncio
import math
import shlex
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from leasehold.drivers.command import Command, Outcome, Result, record_name
from leasehold.drivers.context import Context
from leasehold.drivers.errors import DriverError, Gone, Unusable
from leasehold.drivers.remote.asking import ask, chunks, feed_bytes, meaning, within
from leasehold.drivers.remote.hearing import Hearing, readable
from leasehold.drivers.remote.link import Session, end
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.shell_runner import CANCEL, CLOSE, RUN

_SETTLE = 25.0
_START_BOUND = 60.0
_MOST_SAID = 64 * 1024


class ShellExecution:
    """The commands of one target."""

    lost = False

    def __init__(self, place: RemotePlace, context: Context) -> None:
        self._place = place
        self._context = context

    async def execute(self, command: Command, *, cwd: str, env: Mapping[str, str], context: Context) -> Result:
        """Run a command to its end. Where it ended by a signal, its exit status cannot be told from 128 and more."""
        number = uuid.uuid4().hex
        begun = time.monotonic()
        bounded = _bounded(context)
        script = self._place.script(
            RUN,
            bounded,
            I=number,
            N="" if command.record is None else record_name(command.record),
            RELAY="yes" if command.streams else "",
            T="" if command.timeout is None else f"{command.timeout:.2f}",
        )
        text = _text(command, cwd, env)
        session = await within(bounded, self._place.link.open(script))
        running = _Running(session, number, command)
        try:
            await self._settled(running, text, number, command, context)
        finally:
            await running.close()
        lasted = time.monotonic() - begun
        if running.trailer is None:
            code = await session.wait()
            error = meaning(self._place.link, code, bytes(running.said))
            if isinstance(error, Gone) or running.said.startswith(b"leasehold: "):
                raise error
            said = running.stdout, running.stderr
            return Result(None, None, *said, Outcome.TARGET_LOST, None, lasted, lost=str(error))
        return _result(running, running.trailer, command, cwd, lasted)

    async def detach(self, seconds: float) -> None:
        """Let go. Commands under way lose their streams, and end by that."""

    async def close(self, deadline: float) -> tuple[int, ...] | None:
        """End everything by ``deadline``; what still runs, ``None`` where nobody can say."""
        context = _bounded(self._context, deadline)
        try:
            said = await ask(self._place.link, self._place.script(CLOSE, context), context)
        except DriverError:
            return None
        return tuple(int(pid) for pid in said.split())

    async def _settled(self, running: "_Running", text: bytes, number: str, command: Command, context: Context) -> None:
        """Talk with the shell until it has said how the command ended, or is lost."""
        work = asyncio.create_task(running.talk(text))
        stop = asyncio.create_task(context.stop.wait())
        silence = math.inf if command.timeout is None else time.monotonic() + command.timeout + _SETTLE
        try:
            while not work.done():
                left = silence - time.monotonic()
                waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {work} if stop.done() else {work, stop}
                timeout = max(0.0, left) if math.isfinite(left) else None
                done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    return
                if stop in done:
                    silence = min(silence, time.monotonic() + _SETTLE)
                    await self._cancel(number)
            work.result()
        except BaseException:
            ending = asyncio.ensure_future(self._ended(work, number, running))
            while not ending.done():
                try:
                    await asyncio.wait({ending})
                except asyncio.CancelledError:
                    continue  # the first cancellation goes on when this returns
            raise
        finally:
            stop.cancel()
            work.cancel()

    async def _ended(self, work: "asyncio.Task[None]", number: str, running: "_Running") -> None:
        await self._cancel(number)
        if not work.done():
            await asyncio.wait({work}, timeout=_SETTLE)
        elif running.trailer is None:
            await running.wait_out(_SETTLE)

    async def _cancel(self, number: str) -> None:
        context = _bounded(self._context)
        try:
            await ask(self._place.link, self._place.script(CANCEL, context, I=number), context)
        except DriverError:
            return  # the way is lost: what runs there ends with its session, or with the release


class _Running(Hearing):
    """A command's session: what it writes, and at the end of its error stream how it ended."""

    def __init__(self, session: Session, number: str, command: Command) -> None:
        super().__init__(command)
        self.trailer: list[str] | None = None
        self.said = bytearray()
        self._session = session
        self._command = command
        self._mark = b"\0\0" + number.encode() + b" "
        self._feeding: asyncio.Task[None] | None = None

    async def talk(self, text: bytes) -> None:
        """Start the command, and hear it to its end."""
        await asyncio.gather(self._begin(text), self._stdout(), self._stderr())

    async def wait_out(self, seconds: float) -> None:
        """Read on, for nobody, until the shell has ended."""

        async def drain(reader: asyncio.StreamReader) -> None:
            async for _ in chunks(reader):
                pass

        reading = [asyncio.create_task(drain(reader)) for reader in (self._session.stdout, self._session.stderr)]
        await asyncio.wait(reading, timeout=seconds)
        for task in reading:
            task.cancel()

    async def close(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
        await end(self._session)

    async def _begin(self, text: bytes) -> None:
        try:
            await feed_bytes(self._session, text)
            if self._command.streams is None:
                await feed_bytes(self._session, self._command.stdin or b"")
            else:
                self._feeding = asyncio.create_task(self._relay(self._command.streams.stdin))
        except ConnectionError:
            return  # the shell has ended: its last words say why

    async def _relay(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await readable(loop, fd):
                await self._session.write(b"%d\n" % len(data) + data)
            await self._session.write(b"0\n")
        except ConnectionError:
            return

    async def _stdout(self) -> None:
        async for data in chunks(self._session.stdout):
            await self.take("stdout", data)

    async def _stderr(self) -> None:
        held = b""
        async for data in chunks(self._session.stderr):
            held += data
            at = held.find(self._mark)
            keep = len(held) - at if at >= 0 else _suffix(held, self._mark)
            ready, held = held[: len(held) - keep], held[len(held) - keep :]
            if ready:
                self.said += ready
                del self.said[:-_MOST_SAID]
                await self.take("stderr", ready)
        line, end, _ = held.partition(b"\n")
        if line.startswith(self._mark) and end:
            self.trailer = line.decode("ascii", "replace").split()
        elif held:
            await self.take("stderr", held)


def _suffix(held: bytes, mark: bytes) -> int:
    """How many bytes at the end may be the beginning of the mark."""
    for size in range(min(len(held), len(mark)), 0, -1):
        if mark.startswith(held[-size:]):
            return size
    return 0


def _text(command: Command, cwd: str, env: Mapping[str, str]) -> bytes:
    """Shell text that sets the stage: variables, folder, and the words. ``X`` is what does not work."""
    argv = command.argv
    if not argv or not argv[0]:
        raise ValueError("a command needs a program")
    variables = {**env, **command.env}
    if any(not name or "=" in name for name in variables):
        raise ValueError("a variable's name is not empty and has no =")
    if any("\0" in part for part in (*argv, *variables, *variables.values(), command.cwd or "")):
        raise ValueError("a command, its variables and its folder have no NUL")
    lines = [f"export {shlex.quote(f'{name}={value}')}" for name, value in variables.items() if name.isidentifier()]
    lines.append("X=")
    lines.append(f"cd {shlex.quote(cwd)} 2>/dev/null || X=gone")
    if command.cwd is not None:
        folder = command.cwd if command.cwd.startswith("/") else f"./{command.cwd}"
        lines.append(f'[ -n "$X" ] || cd {shlex.quote(folder)} 2>/dev/null || X=cwd')
    if command.shell:
        lines.append("if command -v bash >/dev/null 2>&1; then s=bash; else s=sh; fi")
        lines.append(f'set -- "$s" -c {shlex.join(argv)}')
    else:
        lines.append(f"set -- {shlex.join(argv)}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def _result(running: _Running, trailer: list[str], command: Command, cwd: str, lasted: float) -> Result:
    _, code_text, outcome_text, failure, *pids = trailer
    if failure == "gone":
        raise Gone(f"the working directory {cwd} is gone")
    if failure == "cwd":
        raise Unusable(f"the working directory {command.cwd} cannot be used")
    outcome, code = Outcome(outcome_text), int(code_text)
    exited = outcome is Outcome.EXITED
    signal = code - 128 if exited and 128 < code <= 192 else None
    return Result(
        exit_code=code if exited and signal is None else None,
        signal=signal,
        stdout=running.stdout,
        stderr=running.stderr,
        outcome=outcome,
        survivors=tuple(int(pid) for pid in pids),
        duration=lasted,
        error=None if failure == "-" else failure,
    )


def _bounded(context: Context, deadline: float | None = None) -> Context:
    """For one question, whatever the target's own time is and whoever told it to stop."""
    until = time.monotonic() + _START_BOUND if deadline is None else deadline
    return replace(context, deadline=until, stop=asyncio.Event())
