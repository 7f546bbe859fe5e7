"""Executing the commands of one target at a place."""

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from leasehold.drivers.command import Command, Outcome, Result, Streams
from leasehold.drivers.context import Context
from leasehold.drivers.descendants import KILL_BOUND
from leasehold.drivers.errors import Gone
from leasehold.drivers.remote import wire
from leasehold.drivers.remote.agency import Agency, NoPython, Running, raised
from leasehold.drivers.remote.hearing import Hearing, readable
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.shell_execution import ShellExecution

_PAUSE = 2.0
_START_BOUND = 60.0
_SETTLE = _PAUSE + KILL_BOUND + 10.0


class RemoteSupervision:
    """One agent for all commands of a target, which the first one starts; without Python there, a shell each.

    Where the agent is lost, its commands are ``target_lost``, and the next command starts another.
    """

    def __init__(self, place: RemotePlace, marker: str) -> None:
        self._place = place
        self._marker = marker
        self._agency: asyncio.Task[Agency | ShellExecution] | None = None
        self._left = False

    async def execute(self, command: Command, *, cwd: str, env: Mapping[str, str], context: Context) -> Result:
        """Run a command to its end. Raises as ``Supervision.execute`` does."""
        agency = await self._started(context)
        if isinstance(agency, ShellExecution):
            return await agency.execute(command, cwd=cwd, env=env, context=context)
        begun = time.monotonic()
        running = agency.begin()
        asking = asyncio.create_task(agency.execute(running, _request(command, cwd, env), command.stdin or b""))
        hearing = _Hearing(agency, running, command)
        try:
            report = await _settled(agency, running, hearing, command, context)
        finally:
            asking.cancel()
            hearing.close()
            agency.forget(running)
        if report is None:
            lasted = time.monotonic() - begun
            why = await agency.why()
            return Result(None, None, hearing.stdout, hearing.stderr, Outcome.TARGET_LOST, None, lasted, lost=why)
        if "raised" in report:
            raise raised(report, self._place.link)
        return _result(report, hearing)

    async def detach(self) -> None:
        """Let go without ending anything."""
        agency = await self._last()
        if agency is not None:
            await agency.detach(_SETTLE)

    async def close(self, deadline: float) -> tuple[int, ...] | None:
        """End everything by ``deadline``; what still runs, ``None`` where nobody can say."""
        agency = await self._last()
        return () if agency is None else await agency.close(deadline)

    async def _started(self, context: Context) -> Agency | ShellExecution:
        if self._left:
            raise Gone("the place's commands have been ended or let go")
        if self._agency is not None and self._agency.done():
            dead = self._agency.cancelled() or self._agency.exception() is not None
            if dead or self._agency.result().lost:
                self._agency = None
        if self._agency is None:
            self._agency = asyncio.create_task(self._start(context))
        return await asyncio.shield(self._agency)

    async def _start(self, context: Context) -> Agency | ShellExecution:
        bounded = replace(context, deadline=min(context.deadline, time.monotonic() + _START_BOUND))
        try:
            return await Agency.start(self._place, self._marker, bounded)
        except NoPython:
            return ShellExecution(self._place, context)

    async def _last(self) -> Agency | ShellExecution | None:
        self._left = True
        if self._agency is None:
            return None
        try:
            return await asyncio.shield(self._agency)
        except Exception:  # noqa: BLE001  (it never started; who wanted it has been told)
            return None


class _Hearing(Hearing):
    """What comes of one command by an agent's frames; and the caller's own input, if it is relayed."""

    def __init__(self, agency: Agency, running: Running, command: Command) -> None:
        super().__init__(command)
        self._agency = agency
        self._running = running
        self._room = asyncio.Event()
        self._under_way = 0
        self._feeding: asyncio.Task[None] | None = None
        if command.streams is not None:
            self._feeding = asyncio.create_task(self._feed(command.streams))

    async def report(self) -> Any:
        """The command's report, with all its output taken; ``None`` where the agent is lost."""
        while (frame := await self._running.frames.get()) is not None:
            kind, data = frame
            if kind == wire.REPORT:
                return wire.unpack_value(data)
            if kind == wire.ROOM:
                self._under_way -= int(wire.unpack_value(data))
                self._room.set()
            elif kind in (wire.OUTPUT, wire.ERROR):
                await self._take("stdout" if kind == wire.OUTPUT else "stderr", data)
        return None

    def close(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()

    async def _take(self, name: str, data: bytes) -> None:
        await self.take(name, data)
        await self._agency.send(wire.pack_value(wire.WINDOW, self._running.number, {name: len(data)}))

    async def _feed(self, streams: Streams) -> None:
        """Relay the caller's own input, as fast as the command reads it."""
        loop = asyncio.get_running_loop()
        while True:
            while self._under_way >= wire.WINDOW_SIZE:
                self._room.clear()
                await self._room.wait()
            data = await readable(loop, streams.stdin)
            self._under_way += len(data)
            await self._agency.send(wire.pack(wire.STDIN, self._running.number, data))
            if not data:
                return


async def _settled(agency: Agency, running: Running, hearing: _Hearing, command: Command, context: Context) -> Any:
    """The report. Where the caller is cancelled, or ``on_output`` raises, the command is ended first."""
    report = asyncio.ensure_future(hearing.report())
    stop = asyncio.create_task(context.stop.wait())
    silence = None if command.timeout is None else time.monotonic() + command.timeout + _SETTLE
    try:
        while not report.done():
            left = None if silence is None else max(0.0, silence - time.monotonic())
            waiting = {report} if stop.done() else {report, stop}
            done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None
            if stop in done:
                with suppress(TimeoutError):
                    await asyncio.wait_for(agency.send(wire.pack(wire.END, running.number)), _SETTLE)
                silence = min(silence or math.inf, time.monotonic() + _SETTLE)
        return report.result()
    except BaseException:
        await _end(agency, running, report)
        raise
    finally:
        stop.cancel()
        report.cancel()


async def _end(agency: Agency, running: Running, report: "asyncio.Future[Any]") -> None:
    """Have a command ended, whoever cancels us meanwhile, and wait until it is."""

    async def work() -> None:
        await agency.send(wire.pack(wire.END, running.number))
        if not report.done():
            await asyncio.wait({report}, timeout=_SETTLE)
            return
        while (frame := await running.frames.get()) is not None and frame[0] != wire.REPORT:
            if frame[0] in (wire.OUTPUT, wire.ERROR):
                name = "stdout" if frame[0] == wire.OUTPUT else "stderr"
                await agency.send(wire.pack_value(wire.WINDOW, running.number, {name: len(frame[1])}))

    ending = asyncio.ensure_future(asyncio.wait_for(work(), _SETTLE))
    while not ending.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({ending})
    if not ending.cancelled():
        ending.exception()


def _request(command: Command, cwd: str, env: Mapping[str, str]) -> dict[str, Any]:
    limit = command.limit if command.on_output is None and command.streams is None else None
    return {
        "argv": list(command.argv),
        "shell": command.shell,
        "env": {**env, **command.env},
        "folder": cwd,
        "cwd": command.cwd,
        "stdin": len(command.stdin or b""),
        "streams": command.streams is not None,
        "timeout": command.timeout,
        "limit": limit,
        "record": command.record,
    }


def _result(report: Mapping[str, Any], hearing: _Hearing) -> Result:
    hearing.dropped = {name: count + report["dropped"][name] for name, count in hearing.dropped.items()}
    survivors = report["survivors"]
    return Result(
        exit_code=report["exit_code"],
        signal=report["signal"],
        stdout=hearing.stdout,
        stderr=hearing.stderr,
        outcome=Outcome(report["outcome"]),
        survivors=None if survivors is None else tuple(survivors),
        duration=report["duration"],
        error=report["error"],
    )
