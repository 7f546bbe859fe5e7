"""The supervisor as a program: what it says, what it holds, and how it ends."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from leasehold.drivers import frame, supervise
from leasehold.drivers.descendants import started
from leasehold.drivers.supervisor import DETACH, END, EXECUTE, LOCK, READY


class Program:
    """A supervisor that a test speaks to."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.control, theirs = socket.socketpair()
        self.control.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", *options, supervise.__file__, str(theirs.fileno()), folder, "0.2"],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

    def ask(self, request: bytes, *fds: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [request], [theirs.fileno(), *fds])
        return ours

    def execute(self, *argv: str) -> socket.socket:
        request: frame.Request = {
            "argv": [os.fsencode(part) for part in argv],
            "env": {b"PATH": os.fsencode(os.environ["PATH"])},
            "cwd": os.fsencode(self.folder),
            "timeout": None,
            "pause": 0.2,
            "group": None,
            "record": None,
        }
        channel = self.ask(EXECUTE, 0, 1, 2)
        channel.sendall(frame.pack(request))
        return channel

    def locked(self) -> bool:
        with (self.folder / LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def said(self) -> str:
        _, errors = self.process.communicate(timeout=20)
        return errors.decode()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    with program.control:
        assert program.control.recv(1) == READY
        yield program
    assert program.said() == ""


async def _answer(channel: socket.socket) -> object:
    with channel:
        return await asyncio.to_thread(frame.receive, channel.fileno())


async def test_it_holds_a_lock_that_names_it_and_ends_with_its_caller(program: Program) -> None:
    pid = program.process.pid
    assert program.locked()
    assert (program.folder / LOCK).read_text() == f"{pid} {started(pid)}\n"
    program.control.close()
    assert program.process.wait(20) == 0
    assert not program.locked()


async def test_what_a_terminal_sends_does_not_end_it(program: Program) -> None:
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        program.process.send_signal(signum)
    report = await _answer(program.execute("true"))
    assert isinstance(report, dict)
    assert report["outcome"] == "exited"


async def test_sigterm_ends_its_commands_and_then_itself(program: Program) -> None:
    with program.execute("sh", "-c", "trap '' TERM; echo >started; sleep 1000") as channel:
        program.process.terminate()
        report = await asyncio.to_thread(frame.receive, channel.fileno())
        assert report["outcome"] == "cancelled"
        assert report["survivors"] == ()
    assert program.process.wait(20) == 0


async def test_asked_to_end_it_says_what_survived(program: Program) -> None:
    channel = program.ask(END)
    channel.sendall(frame.pack(5.0))
    assert await _answer(channel) == {"survivors": ()}
    assert program.process.wait(20) == 0


async def test_let_go_with_nothing_below_it_ends(program: Program) -> None:
    assert await _answer(program.ask(DETACH)) == {"goes_on": False}
    assert program.process.wait(20) == 0


async def test_a_request_that_is_cut_off_starts_nothing(program: Program) -> None:
    with program.ask(EXECUTE, 0, 1, 2) as channel:
        channel.sendall(frame.pack({"argv": [b"touch", b"it"]})[:-1])
    report = await _answer(program.execute("true"))
    assert isinstance(report, dict)
    assert not (program.folder / "it").exists()


async def test_a_word_that_it_does_not_know_ends_it(program: Program) -> None:
    program.control.send(b"?")
    assert program.process.wait(20) == 0


def test_it_starts_without_what_is_slow_to_import(tmp_path: Path) -> None:
    program = Program(tmp_path, "-X", "importtime")
    with program.control:
        assert program.control.recv(1) == READY
    imported = {line.rpartition("|")[2].strip() for line in program.said().splitlines()}
    assert "leasehold.drivers.supervisor" in imported
    slow = {"enum", "json", "pathlib", "re", "signal", "site", "socket", "subprocess", "typing", "asyncio"}
    assert not imported & slow
