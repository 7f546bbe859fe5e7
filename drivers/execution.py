"""Executing commands of one lease on this machine, below a supervisor that ends whatever they start."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leasehold.drivers.channel import Channel
from leasehold.drivers.command import Command, Outcome, Result, record_name
from leasehold.drivers.confinement import Confinement
from leasehold.drivers.descendants import KILL_BOUND
from leasehold.drivers.errors import Gone, Unavailable, Unusable
from leasehold.drivers.link import Link
from leasehold.drivers.remains import MARKER, end_remains
from leasehold.drivers.running import Running
from leasehold.drivers.supervisor import DETACH, END, EXECUTE

if TYPE_CHECKING:
    from leasehold.drivers.frame import Report, Request

__all__ = ["Supervision", "end_remains", "recorded"]

_SILENCE = 5.0
_LEAVE_BOUND = 5.0
_END_SHARE = 0.9
_EXIT_CODES = {"not_found": 127, "not_executable": 126}


class Supervision:
    """Executes the commands of one lease below one supervisor, which the first command starts.

    ``folder`` is the lease's own and exists. ``marker`` goes into each command's environment as
    ``LEASEHOLD_PLACE``. ``pause`` is how many seconds a tree that is ended has between SIGTERM and SIGKILL.
    ``confinement`` is of the namespaces that the supervisor, and so all of the lease, runs in.

    What a command leaves behind goes on until ``close``, or until this process dies. Where the supervisor
    itself dies, the next command starts another.
    """

    def __init__(
        self, folder: Path, marker: str, *, pause: float = 2.0, confinement: Confinement | None = None
    ) -> None:
        self._folder = folder.absolute()
        self._marker = marker
        self._pause = pause
        self._confinement = confinement
        self._starting: asyncio.Task[Link] | None = None
        self._let_go: asyncio.Future[None] | None = None
        self._in_flight: set[asyncio.Future[None]] = set()
        self._leaving = asyncio.Lock()
        self._left = False
        self._lost = False
        self._survivors: tuple[int, ...] | None = ()

    async def execute(
        self, command: Command, *, cwd: Path, env: Mapping[str, str], stop: asyncio.Event | None = None
    ) -> Result:
        """Run a command to its end, in ``cwd``, with ``env`` and the command's own variables over it.

        A command that still runs at its timeout, when ``stop`` is set, or when the caller is cancelled, is
        ended with its whole tree first. Raises ``Gone`` where ``cwd`` is not there, ``Unusable`` where the
        command's own is not, ``Unavailable`` where no process can be started or the record cannot be
        written, ``ValueError`` for what no system can execute, and whatever ``on_output`` raises.
        """
        # A process of a namespace knows the groups outside, and so ours, as 0.
        group = os.getpgrp() if self._confinement is None else 0
        request = _request(command, cwd, {**env, **command.env, MARKER: self._marker}, self._pause, group)
        begun = time.monotonic()
        link = await self._link()
        try:
            running = Running(command)
        except OSError as error:
            raise Unavailable(f"no descriptors for a command: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        self._in_flight.add(finished)
        let_go = self._let_go = self._let_go or loop.create_future()
        try:
            if not await link.request(EXECUTE, running.fds):
                await self._lose(link)
                link = await self._link()
                if not await link.request(EXECUTE, running.fds):
                    raise Unavailable("the supervisor of commands dies as soon as it has started")
            running.sent()
            settle = self._pause + KILL_BOUND + _SILENCE
            silence = None if command.timeout is None else command.timeout + settle
            ending = None if stop is None else asyncio.create_task(_end_at(stop, running))
            try:
                report = await running.report(request, let_go, silence, settle)
            finally:
                if ending is not None:
                    ending.cancel()
        finally:
            if command.terminal and request["group"] == 0:
                _take_terminal_back()
            running.close(link)
            self._in_flight.discard(finished)
            finished.set_result(None)
        if report is None and not self._left:
            await self._lose(link)
        if report is None or report["outcome"] == Outcome.TARGET_LOST:
            survivors = None if report is None else report["survivors"]
            lasted = time.monotonic() - begun
            return Result(None, None, running.stdout, running.stderr, Outcome.TARGET_LOST, survivors, lasted)
        return _result(report, running, command, cwd)

    async def detach(self) -> None:
        """Let go without ending anything: what runs goes on below its supervisor, without us.

        Commands in flight return ``target_lost``. The supervisor ends when nothing is left.
        """
        async with self._leaving:
            link = await self._last_link()
            if link is None:
                return
            if self._let_go is not None:
                self._let_go.set_result(None)
            if self._in_flight:
                await asyncio.wait(self._in_flight, timeout=_LEAVE_BOUND)
            answer = await _ask(link, DETACH, None, _LEAVE_BOUND)
            self._starting = None
            if answer and answer["goes_on"]:
                self._survivors = None
                link.leave()
            else:
                await link.bury()

    async def close(self, deadline: float) -> tuple[int, ...] | None:
        """End everything by ``deadline`` (``time.monotonic()``), commands in flight too.

        Returns what still runs: empty only if seen empty, ``None`` where nobody can say.
        """
        async with self._leaving:
            link = await self._last_link()
            if link is not None:
                left = max(0.0, deadline - time.monotonic())
                answer = await _ask(link, END, _END_SHARE * left, left)
                self._starting = None
                self._survivors = answer["survivors"] if answer else None
                self._lost = self._lost or not answer
                await link.bury()
            if self._lost:
                rest = await end_remains(self._folder, self._marker, deadline, pause=self._pause)
                self._lost = rest != ()
                self._survivors = rest
            return self._survivors

    async def _link(self) -> Link:
        """The supervisor, started where there is none."""
        if self._left:
            raise Gone("the place's commands have been ended or let go")
        if self._starting is None:
            self._starting = asyncio.create_task(Link.start(self._folder, self._pause, self._confinement))
        starting = self._starting
        try:
            link = await asyncio.shield(starting)
        except Unavailable:
            if self._starting is starting:
                self._starting = None
            raise
        if self._left:
            raise Gone("the place's commands have been ended or let go")
        return link

    async def _last_link(self) -> Link | None:
        """The supervisor, if there is one; no command is taken from now on."""
        self._left = True
        try:
            return None if self._starting is None else await asyncio.shield(self._starting)
        except Unavailable:
            self._starting = None
            return None

    async def _lose(self, link: Link) -> None:
        """Nobody answered: where the supervisor has died, what it left is looked for when everything ends."""
        if not await link.has_ended():
            return
        starting = self._starting
        if starting is not None and starting.done() and starting.result() is link:
            self._starting = None
            self._lost = True
            await link.bury()


async def _end_at(stop: asyncio.Event, running: Running) -> None:
    await stop.wait()
    running.end()


def _take_terminal_back() -> None:
    """Have the terminal again: whoever had it in a namespace could not name us to give it back."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        terminal = os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
        finally:
            os.close(terminal)
    except OSError:
        return  # it was hung up, or there never was one
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def recorded(folder: Path, record: str) -> int | None:
    """The exit status of the command that was given this record name; ``None`` where it never ended.

    128 and the signal's number where a signal ended it that we did not send.
    """
    try:
        text = (folder / "commands" / f"{record_name(record)}.json").read_text()
    except FileNotFoundError:
        return None
    return int(json.loads(text)["exit_code"])


async def _ask(link: Link, kind: bytes, message: Any, bound: float) -> Any:
    """Ask the supervisor something; ``None`` where it does not answer within ``bound`` seconds."""
    channel = Channel()
    try:
        if not await link.request(kind, [channel.theirs.fileno()]):
            return None
        channel.theirs.close()
        return await asyncio.wait_for(channel.ask(message), bound)
    except TimeoutError:
        return None
    finally:
        channel.close()


def _request(command: Command, cwd: Path, variables: Mapping[str, str], pause: float, group: int) -> "Request":
    argv = [os.fsencode(part) for part in (("bash", "-c") if command.shell else ()) + command.argv]
    env = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
    folder = os.fsencode((cwd / (command.cwd or "")).absolute())
    if not argv or not argv[0]:
        raise ValueError("a command needs a program")
    if any(not name or b"=" in name for name in env):
        raise ValueError("a variable's name is not empty and has no =")
    if any(b"\0" in part for part in (folder, *argv, *env, *env.values())):
        raise ValueError("a command, its variables and its folder have no NUL")
    return {
        "argv": argv,
        "env": env,
        "cwd": folder,
        "timeout": command.timeout,
        "pause": pause,
        "group": group if command.terminal else None,
        "record": None if command.record is None else record_name(command.record),
    }


def _result(report: "Report", running: Running, command: Command, cwd: Path) -> Result:
    what, why = report["failure"] or (None, 0)
    if what == "cwd":
        missing = cwd if not cwd.is_dir() else cwd / (command.cwd or "")
        error = Gone if missing is cwd else Unusable
        raise error(f"the working directory {missing} cannot be used: {os.strerror(why)}")
    if what == "start":
        raise Unavailable(f"the command could not be started: {os.strerror(why)}")
    if what == "record":
        raise Unavailable(f"the command's exit status could not be recorded: {os.strerror(why)}")
    status = report["status"]
    code = None if status is None else os.waitstatus_to_exitcode(status)
    if what is not None:
        code = _EXIT_CODES[what]
    return Result(
        exit_code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        stdout=running.stdout,
        stderr=running.stderr,
        outcome=Outcome(report["outcome"]),
        survivors=report["survivors"],
        duration=report["duration"],
        error=what,
    )
