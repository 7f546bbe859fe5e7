"""Commands below a supervisor: their output, their end, and that nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from leasehold.drivers import supervise
from leasehold.drivers.command import Command, Outcome, Result, Streams
from leasehold.drivers.descendants import runs
from leasehold.drivers.errors import Gone, Unavailable, Unusable
from leasehold.drivers.execution import Supervision, recorded
from leasehold.drivers.remains import end_remains
from leasehold.drivers.supervisor import LOCK

HOST = {name: os.environ[name] for name in ("PATH", "HOME")}
PAUSE = 0.3

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

TREES = {
    "setsid": "setsid bash -c 'echo $$ >hidden; exec sleep 1000' &",
    "daemon": "(setsid bash -c '(echo $BASHPID >hidden; exec sleep 1000) & exit' &);",
    "env -i": "env -i /bin/bash -c 'echo $$ >hidden; exec /bin/sleep 1000' &",
    "deaf": "bash -c 'trap \"\" TERM; echo $$ >hidden; exec sleep 1000' &",
    "all at once": (
        '(setsid env -i /bin/bash -c \'trap "" TERM; '
        "(while kill -0 $$; do :; done 2>/dev/null; echo $BASHPID >hidden; exec /bin/sleep 1000) &' &);"
    ),
}
"""Ways to hide a process; each writes its id, the last once the shell that started it has gone."""


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Scene:
    """A place, and what its commands run under."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder = folder
        self.place = place
        self.marker = uuid4().hex
        self.supervision = Supervision(folder, self.marker, pause=PAUSE)

    async def run(self, command: Command) -> Result:
        return await self.supervision.execute(command, cwd=self.place, env=HOST)

    async def bash(self, text: str, timeout: float | None = 60) -> Result:
        return await self.run(Command((text,), shell=True, timeout=timeout))

    def pid(self, name: str = "hidden") -> int:
        return int((self.place / name).read_text())

    def has(self, name: str) -> bool:
        path = self.place / name
        return path.exists() and path.read_text().endswith("\n")

    def supervisor(self) -> int:
        return int((self.folder / LOCK).read_text().splitlines()[-1].split()[0])


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    folder, place = tmp_path / "folder", tmp_path / "place"
    folder.mkdir()
    place.mkdir()
    scene = Scene(folder, place)
    await asyncio.to_thread(_descriptors)  # the loop's own threads and sockets are there now
    before = _descriptors()
    yield scene
    await scene.supervision.close(time.monotonic() + 20)
    assert await end_remains(folder, scene.marker, time.monotonic() + 20) == ()
    assert _descriptors() == before


class TestResults:
    async def test_an_exit_with_both_streams(self, scene: Scene) -> None:
        result = await scene.bash("echo out; echo err >&2; exit 3")
        assert (result.exit_code, result.signal, result.outcome) == (3, None, Outcome.EXITED)
        assert (result.stdout.text, result.stderr.text) == ("out\n", "err\n")
        assert (result.survivors, result.dropped, result.error) == ((), 0, None)
        assert 0 < result.duration < 60

    async def test_a_signal(self, scene: Scene) -> None:
        result = await scene.bash("kill -KILL $$")
        assert (result.exit_code, result.signal, result.outcome) == (None, 9, Outcome.EXITED)
        assert not result.ok

    async def test_a_program_that_is_not_there(self, scene: Scene) -> None:
        for name in ("no-such-program", "./no-such-program", "/no/such/program"):
            result = await scene.run(Command((name,)))
            assert (result.exit_code, result.error, result.survivors) == (127, "not_found", ())

    async def test_a_file_that_is_no_program(self, scene: Scene) -> None:
        (scene.place / "text").write_text("text")
        (scene.place / "lost").write_text("#!/no/such/interpreter\n")
        (scene.place / "lost").chmod(0o755)
        for name in ("./text", "./lost", "/tmp"):
            result = await scene.run(Command((name,)))
            assert (result.exit_code, result.error) == (126, "not_executable")

    async def test_arguments_that_are_too_long(self, scene: Scene) -> None:
        result = await scene.run(Command(("true", "x" * 3_000_000)))
        assert (result.exit_code, result.error) == (126, "not_executable")

    async def test_the_path_is_that_of_the_command(self, scene: Scene) -> None:
        (scene.place / "bin").mkdir()
        program = scene.place / "bin" / "mine"
        program.write_text("#!/bin/sh\necho mine\n")
        program.chmod(0o755)
        result = await scene.run(Command(("mine",), env={"PATH": f"/no/such:{program.parent}"}))
        assert result.stdout.text == "mine\n"

    async def test_a_missing_place_and_a_missing_folder_in_it(self, scene: Scene) -> None:
        with pytest.raises(Unusable, match="no-such-folder"):
            await scene.run(Command(("true",), cwd="no-such-folder"))
        with pytest.raises(Gone, match="elsewhere"):
            await scene.supervision.execute(Command(("true",)), cwd=scene.place / "elsewhere", env=HOST)

    async def test_a_folder_relative_to_the_place(self, scene: Scene) -> None:
        (scene.place / "inner").mkdir()
        result = await scene.run(Command(("pwd",), cwd="inner"))
        assert result.stdout.text == f"{scene.place}/inner\n"

    @pytest.mark.parametrize(
        "command",
        [
            Command(()),
            Command(("",)),
            Command(("a\0b",)),
            Command(("a",), env={"A=B": "c"}),
            Command(("a",), env={"": "c"}),
            Command(("a",), env={"A": "\0"}),
            Command(("a",), record="../a"),
            Command(("a",), record=""),
        ],
    )
    async def test_what_no_system_can_execute(self, scene: Scene, command: Command) -> None:
        with pytest.raises(ValueError, match=r"."):
            await scene.run(command)

    async def test_variables_and_the_marker(self, scene: Scene) -> None:
        command = Command(("env",), env={"HOME": "/elsewhere", "X": "\udcff", "LEASEHOLD_PLACE": "mine"})
        lines = (await scene.run(command)).stdout.data.splitlines()
        expected = {**HOST, "HOME": "/elsewhere", "X": "\udcff", "LEASEHOLD_PLACE": scene.marker}
        assert sorted(lines) == sorted(os.fsencode(f"{name}={value}") for name, value in expected.items())

    async def test_a_command_starts_clean(self, scene: Scene) -> None:
        result = await scene.bash("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; umask")
        # 32 and 33 are the C library's own signals: no program may set them, whatever it inherits
        libc = 0b11 << 31
        masks = [int(line.split()[1], 16) & ~libc for line in result.stdout.text.splitlines()[:2]]
        assert masks == [0, 0]
        assert result.stdout.text.split()[4:] == ["0", "1", "2", f"{os.umask(0o22):04o}"]

    async def test_a_command_has_a_session_of_its_own(self, scene: Scene) -> None:
        result = await scene.bash("ps -o sid= -p $$; echo $$")
        session, pid = result.stdout.text.split()
        assert session == pid


class TestStreams:
    async def test_a_flood_of_both_is_drained_and_counted(self, scene: Scene) -> None:
        text = "head -c 100000000 /dev/zero & head -c 100000000 /dev/zero >&2; wait"
        result = await scene.run(Command((text,), shell=True, limit=1000))
        assert (result.stdout.data, result.stderr.data) == (bytes(1000), bytes(1000))
        assert (result.stdout.dropped, result.stderr.dropped) == (99_999_000, 99_999_000)

    async def test_bad_bytes_are_kept(self, scene: Scene) -> None:
        result = await scene.bash(r"printf 'a\xff\xfe\0b'")
        assert result.stdout.data == b"a\xff\xfe\0b"
        assert result.stdout.text == "a\ufffd\ufffd\0b"

    async def test_output_is_told_as_it_arrives(self, scene: Scene) -> None:
        told: list[tuple[str, bytes]] = []
        first = asyncio.Event()

        def on_output(name: str, chunk: bytes) -> None:
            told.append((name, chunk))
            first.set()

        os.mkfifo(scene.place / "go")
        command = Command(("echo one; read <go; echo two >&2",), shell=True, on_output=on_output)
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        assert told == [("stdout", b"one\n")]
        await asyncio.to_thread((scene.place / "go").write_text, "\n")
        result = await running
        assert told == [("stdout", b"one\n"), ("stderr", b"two\n")]
        assert (result.stdout.text, result.stderr.text) == ("one\n", "two\n")

    async def test_a_slow_listener_gets_everything_in_order(self, scene: Scene) -> None:
        told = bytearray()

        async def on_output(_: str, chunk: bytes) -> None:
            await asyncio.to_thread(lambda: None)
            told.extend(chunk)

        command = Command(("seq", "1", "200000"), on_output=on_output, limit=10)
        result = await scene.run(command)
        assert bytes(told) == b"".join(b"%d\n" % number for number in range(1, 200_001))
        assert result.stdout.data == bytes(told[:10])

    @pytest.mark.parametrize("waits", [False, True])
    async def test_a_listener_that_fails_ends_the_command(self, scene: Scene, waits: bool) -> None:
        async def later() -> None:
            raise LookupError("the listener's")

        def on_output(_: str, __: bytes) -> None:
            raise LookupError("the listener's")

        command = Command(
            ("echo $$ >hidden; echo; exec sleep 1000",),
            shell=True,
            on_output=(lambda _, __: later()) if waits else on_output,
        )
        with pytest.raises(LookupError, match="the listener's"):
            await scene.run(command)
        assert not runs(scene.pid())

    async def test_more_input_than_a_pipe_holds(self, scene: Scene) -> None:
        data = os.urandom(5_000_000)
        result = await scene.run(Command(("cat",), stdin=data))
        assert result.stdout.data == data

    async def test_input_that_is_not_read(self, scene: Scene) -> None:
        data = bytes(5_000_000)
        assert (await scene.run(Command(("true",), stdin=data))).ok
        result = await scene.run(Command(("exec <&-; sleep 1000",), shell=True, stdin=data, timeout=0.3))
        assert result.outcome is Outcome.TIMED_OUT
        result = await scene.run(Command(("sleep", "1000"), stdin=data, timeout=0.3))
        assert result.outcome is Outcome.TIMED_OUT

    async def test_no_input_is_an_empty_one(self, scene: Scene) -> None:
        assert (await scene.run(Command(("cat",)))).ok
        assert (await scene.run(Command(("cat",), stdin=b""))).ok

    async def test_the_callers_own_descriptors(self, scene: Scene) -> None:
        (scene.place / "in").write_text("given\n")
        with (
            (scene.place / "in").open() as stdin,
            (scene.place / "out").open("w") as stdout,
            (scene.place / "err").open("w") as stderr,
        ):
            streams = Streams(stdin.fileno(), stdout.fileno(), stderr.fileno())
            result = await scene.run(Command(("cat; echo err >&2",), shell=True, streams=streams))
        assert result.ok
        assert result.stdout.data == b""
        assert (scene.place / "out").read_text() == "given\n"
        assert (scene.place / "err").read_text() == "err\n"


class TestEnd:
    @pytest.mark.parametrize("how", TREES)
    async def test_a_timeout_ends_the_whole_tree(self, scene: Scene, how: str) -> None:
        result = await scene.bash(f"{TREES[how]} echo said; sleep 1000", timeout=1.5)
        assert (result.outcome, result.survivors) == (Outcome.TIMED_OUT, ())
        assert result.stdout.text == "said\n"
        assert not runs(scene.pid())

    async def test_a_command_may_answer_sigterm(self, scene: Scene) -> None:
        result = await scene.bash("trap 'echo bye; exit 5' TERM; echo $$; sleep 1000 & wait", timeout=0.5)
        assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, 5)
        assert result.stdout.text.endswith("bye\n")

    async def test_what_forks_faster_than_we_look_ends(self, scene: Scene) -> None:
        comet = [
            "import os, time",
            "end = time.monotonic() + 60",
            "while time.monotonic() < end:",
            " os.fork() and os._exit(0)",
        ]
        (scene.place / "comet.py").write_text("\n".join(comet))
        result = await scene.run(Command((sys.executable, "-I", "-S", "comet.py"), timeout=20))
        assert result.ok
        assert result.survivors is not None
        closed = await scene.supervision.close(time.monotonic() + 20)
        assert closed == ()

    async def test_cancelling_the_caller_ends_the_tree_first(self, scene: Scene) -> None:
        first = asyncio.Event()
        command = Command(
            (f"{TREES['all at once']} while [ ! -s hidden ]; do :; done; echo; sleep 1000",),
            shell=True,
            on_output=lambda _, __: first.set(),
        )
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        assert runs(scene.pid())
        running.cancel()
        asyncio.get_running_loop().call_later(PAUSE / 2, running.cancel)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not runs(scene.pid())

    async def test_cancelling_during_the_start_leaves_nothing(self, scene: Scene) -> None:
        running = asyncio.create_task(scene.bash("echo >touched"))
        asyncio.get_running_loop().call_soon(running.cancel)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await scene.bash("true")).ok

    async def test_closing_ends_commands_in_flight(self, scene: Scene) -> None:
        first = asyncio.Event()
        command = Command(("echo; sleep 1000",), shell=True, on_output=lambda _, __: first.set(), record="cut")
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        assert await scene.supervision.close(time.monotonic() + 20) == ()
        result = await running
        assert (result.outcome, result.survivors) == (Outcome.CANCELLED, ())
        assert recorded(scene.folder, "cut") is None
        with pytest.raises(Gone):
            await scene.bash("true")

    async def test_closing_with_hardly_any_time_left(self, scene: Scene) -> None:
        await scene.bash(f"{TREES['deaf']} while [ ! -s hidden ]; do :; done")
        assert await scene.supervision.close(time.monotonic() + 0.5) == ()
        assert not runs(scene.pid())

    async def test_closing_what_never_ran(self, scene: Scene) -> None:
        assert await scene.supervision.close(time.monotonic() + 20) == ()
        assert await scene.supervision.close(time.monotonic() + 20) == ()


class TestLeftBehind:
    async def test_it_goes_on_until_the_lease_ends(self, scene: Scene) -> None:
        result = await scene.bash(f"{TREES['all at once']} while [ ! -s hidden ]; do :; done; echo said")
        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 0)
        assert result.stdout.text == "said\n"
        assert result.survivors == (scene.pid(),)
        assert (await scene.bash("true")).survivors == ()
        assert runs(scene.pid())
        assert await scene.supervision.close(time.monotonic() + 20) == ()
        assert not runs(scene.pid())

    async def test_what_it_writes_does_not_end_it(self, scene: Scene, eventually: Eventually) -> None:
        daemon = "while :; do echo output; echo tick >>ticks; sleep 0.01; done"
        result = await scene.bash(f"({daemon}) & while [ ! -s ticks ]; do :; done")
        assert result.outcome is Outcome.EXITED
        size = (scene.place / "ticks").stat().st_size
        await eventually(lambda: (scene.place / "ticks").stat().st_size > size + 50)

    async def test_a_flood_of_it_does_not_keep_us(self, scene: Scene) -> None:
        result = await scene.bash("yes & echo $! >hidden")
        assert result.outcome is Outcome.EXITED
        assert runs(scene.pid())

    async def test_what_follows_at_once_is_waited_for(self, scene: Scene) -> None:
        result = await scene.bash("exec > >(sort); echo b; echo a")
        assert result.stdout.text == "a\nb\n"


class TestDeaths:
    async def test_of_the_watcher(self, scene: Scene) -> None:
        left = await scene.bash("sleep 1000 & echo $!")
        text = f"{TREES['all at once']} while [ ! -s hidden ]; do :; done; kill -9 $PPID; sleep 1000"
        result = await scene.bash(text)
        assert (result.outcome, result.survivors) == (Outcome.TARGET_LOST, ())
        assert (result.exit_code, result.signal) == (None, None)
        assert not runs(scene.pid())
        assert runs(int(left.stdout.text)), "what another command left behind was ended with it"
        assert (await scene.bash("true")).ok

    async def test_of_the_watcher_and_the_supervisor(self, scene: Scene, eventually: Eventually) -> None:
        first = asyncio.Event()
        command = Command(
            ("echo $$ >hidden; echo $PPID >watcher; echo; exec env -i /bin/sleep 1000",),
            shell=True,
            on_output=lambda _, __: first.set(),
        )
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        os.kill(scene.supervisor(), signal.SIGSTOP)
        os.kill(scene.pid("watcher"), signal.SIGKILL)
        os.kill(scene.supervisor(), signal.SIGKILL)
        result = await running
        assert (result.outcome, result.survivors) == (Outcome.TARGET_LOST, None)
        await eventually(lambda: not runs(scene.pid()))

    async def test_of_the_supervisor(self, scene: Scene) -> None:
        left = await scene.bash("setsid sleep 1000 >/dev/null & echo $!")
        text = f"{TREES['all at once']} while [ ! -s hidden ]; do :; done; echo; sleep 1000"
        first = asyncio.Event()
        command = Command((text,), shell=True, on_output=lambda _, __: first.set())
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        os.kill(scene.supervisor(), signal.SIGKILL)
        result = await running
        assert (result.outcome, result.survivors) == (Outcome.TARGET_LOST, None)
        assert not runs(scene.pid())
        assert runs(int(left.stdout.text))
        assert (await scene.bash("true")).ok
        assert await scene.supervision.close(time.monotonic() + 20) == ()
        assert not runs(int(left.stdout.text))

    async def test_of_the_supervisor_between_commands(self, scene: Scene) -> None:
        assert (await scene.bash("true")).ok
        os.kill(scene.supervisor(), signal.SIGKILL)
        result = await scene.bash("true")
        assert result.ok or result.outcome is Outcome.TARGET_LOST
        assert (await scene.bash("true")).ok

    async def test_of_a_supervisor_that_cannot_start(self, scene: Scene) -> None:
        (scene.folder / LOCK).mkdir()
        with pytest.raises(Unavailable, match="IsADirectoryError"):
            await scene.bash("true")
        (scene.folder / LOCK).rmdir()
        assert (await scene.bash("true")).ok

    @pytest.mark.parametrize("forks", [False, True], ids=["alone", "its fork holds its sockets"])
    async def test_of_the_caller(self, scene: Scene, eventually: Eventually, forks: bool) -> None:
        (scene.place / "caller.py").write_text(CALLER)
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "caller.py", str(scene.folder), str(scene.place), str(int(forks)), cwd=scene.place
        )
        names = ("hidden", "left", "main", "fork")[: 3 + forks]
        await eventually(lambda: all(scene.has(name) for name in names))
        caller.kill()
        await caller.wait()
        await eventually(lambda: not any(runs(scene.pid(name)) for name in names[:3]))
        if forks:
            os.kill(scene.pid("fork"), signal.SIGKILL)
        await eventually(lambda: not runs(scene.supervisor()))


CALLER = f"""
import asyncio, os, signal, sys
from pathlib import Path
from leasehold.drivers.command import Command
from leasehold.drivers.execution import Supervision

async def main() -> None:
    folder, place, forks = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    supervision = Supervision(folder, "another", pause=0.3)
    left = "setsid env -i /bin/bash -c 'echo $$ >left; exec /bin/sleep 1000' >/dev/null &"
    await supervision.execute(Command((left,), shell=True), cwd=place, env={HOST!r})
    if forks and os.fork() == 0:
        Path("fork").write_text(f"{{os.getpid()}}\\n")
        signal.pause()
    tree = {TREES["all at once"]!r} + " echo $$ >main; sleep 1000"
    await supervision.execute(Command((tree,), shell=True), cwd=place, env={HOST!r})

asyncio.run(main())
"""


class TestRecords:
    async def test_an_exit_status_is_on_the_disk_before_it_is_told(self, scene: Scene) -> None:
        assert recorded(scene.folder, "one") is None
        for text, code in (("exit 7", 7), ("kill -KILL $$", 137), ("exit 0", 0)):
            await scene.run(Command((text,), shell=True, record="one"))
            assert recorded(scene.folder, "one") == code
        await scene.run(Command(("no-such-program",), record="two"))
        assert recorded(scene.folder, "two") == 127
        assert sorted(path.name for path in (scene.folder / "commands").iterdir()) == ["one.json", "two.json"]

    async def test_what_we_ended_has_none_nor_does_what_still_runs(self, scene: Scene) -> None:
        await scene.run(Command(("true",), record="one"))
        first = asyncio.Event()
        command = Command(
            ("echo; sleep 1000",), shell=True, record="one", on_output=lambda _, __: first.set(), timeout=2
        )
        running = asyncio.create_task(scene.run(command))
        await first.wait()
        assert recorded(scene.folder, "one") is None
        assert (await running).outcome is Outcome.TIMED_OUT
        assert recorded(scene.folder, "one") is None

    async def test_one_that_cannot_be_written_is_an_error(self, scene: Scene) -> None:
        (scene.folder / "commands").write_text("in the way")
        with pytest.raises(Unavailable, match="could not be recorded"):
            await scene.run(Command(("true",), record="one"))


class TestMany:
    async def test_twenty_at_once_under_one_supervisor(self, scene: Scene) -> None:
        results = await asyncio.gather(*(scene.bash(f"echo {number}; exit {number}") for number in range(20)))
        assert [result.exit_code for result in results] == list(range(20))
        assert [int(result.stdout.text) for result in results] == list(range(20))
        assert len((scene.folder / LOCK).read_text().splitlines()) == 1

    async def test_one_that_is_ended_touches_no_other(self, scene: Scene) -> None:
        os.mkfifo(scene.place / "go")
        other = asyncio.create_task(scene.bash("read <go; echo done"))
        result = await scene.bash("sleep 1000 & sleep 1000", timeout=0.3)
        assert result.outcome is Outcome.TIMED_OUT
        await asyncio.to_thread((scene.place / "go").write_text, "\n")
        assert (await other).stdout.text == "done\n"

    async def test_many_supervisors_in_one_loop(self, scene: Scene) -> None:
        folders = [scene.folder / str(number) for number in range(8)]
        for folder in folders:
            folder.mkdir()
        supervisions = [Supervision(folder, folder.name, pause=PAUSE) for folder in folders]
        command = Command(("sleep 1000 & echo $LEASEHOLD_PLACE",), shell=True)
        results = await asyncio.gather(
            *(supervision.execute(command, cwd=scene.place, env=HOST) for supervision in supervisions)
        )
        assert [result.stdout.text for result in results] == [f"{number}\n" for number in range(8)]
        deadline = time.monotonic() + 20
        assert await asyncio.gather(*(each.close(deadline) for each in supervisions)) == [()] * 8


class Terminal:
    """A process that leads a session with a terminal of its own, and runs a command in it."""

    def __init__(self, scene: Scene, text: str, timeout: float) -> None:
        self.master, self.slave = os.openpty()
        (scene.place / "leader.py").write_text(LEADER)
        self.process = subprocess.Popen(
            [sys.executable, "leader.py", str(scene.folder), text, str(timeout)],
            cwd=scene.place,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def said(self) -> str:
        """All that was written to the terminal until the process ended."""
        os.close(self.slave)
        parts: list[bytes] = []
        try:
            while part := os.read(self.master, 65536):
                parts.append(part)
        except OSError:
            pass  # the last process has closed the terminal
        os.close(self.master)
        assert self.process.wait(20) == 0
        return b"".join(parts).decode()


LEADER = f"""
import asyncio, fcntl, os, sys, termios, time
from pathlib import Path
from leasehold.drivers.command import Command, Streams
from leasehold.drivers.execution import Supervision

async def main() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    supervision = Supervision(Path(sys.argv[1]), "terminal", pause=0.3)
    command = Command(
        (sys.argv[2],), shell=True, timeout=float(sys.argv[3]), terminal=True, streams=Streams(0, 1, 2)
    )
    result = await supervision.execute(command, cwd=Path.cwd(), env={HOST!r})
    print("outcome", result.outcome, result.exit_code, "foreground", os.tcgetpgrp(0) == os.getpgrp())
    assert await supervision.close(time.monotonic() + 20) == ()

asyncio.run(main())
"""


class TestTerminal:
    async def test_a_command_stays_in_the_session_and_the_foreground(self, scene: Scene) -> None:
        text = "echo $(ps -o sid=,tpgid=,pgid= -p $$) $PPID; exit 4"
        terminal = Terminal(scene, text, 20)
        lines = (await asyncio.to_thread(terminal.said)).splitlines()
        leader = str(terminal.process.pid)
        assert lines[0].split()[:3] == [leader, leader, leader]
        assert lines[1] == "outcome exited 4 foreground True"

    async def test_an_interactive_shell_has_job_control(self, scene: Scene) -> None:
        terminal = Terminal(scene, "exec bash --norc --noprofile -i", 20)
        os.write(terminal.master, b"echo $((40 + 2)); sleep 1000 &\nkill %1; exit 6\n")
        said = await asyncio.to_thread(terminal.said)
        assert "42" in said
        assert "job control" not in said
        assert "outcome exited 6 foreground True" in said

    async def test_one_that_is_killed_gives_the_terminal_back(self, scene: Scene) -> None:
        text = "exec bash --norc --noprofile -i"
        terminal = Terminal(scene, text, 1.0)
        os.write(terminal.master, b"setsid env -i /bin/sleep 1000 & echo $! >hidden; sleep 1000\n")
        said = await asyncio.to_thread(terminal.said)
        assert "outcome timed_out None foreground True" in said
        assert not runs(scene.pid())


PLAIN = f"""
import sys
for name in ("leasehold", "leasehold.drivers"):
    sys.modules[name] = type(sys)(name)
    sys.modules[name].__path__ = [{str(Path(supervise.__file__).parent)!r}]
from leasehold.drivers import descendants
descendants._prctl = lambda option, value: False
from leasehold.drivers.supervisor import supervise
supervise(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
"""


class TestWithoutSubreaper:
    """A machine that gives no orphans to us, like macOS: groups and parents are all there is."""

    @pytest.fixture(autouse=True)
    def plain(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        program = scene.folder / "plain.py"
        program.write_text(PLAIN)
        monkeypatch.setattr(supervise, "__file__", str(program))

    async def test_results_are_the_same_but_nobody_knows_of_survivors(self, scene: Scene) -> None:
        result = await scene.bash("echo out; exit 3")
        assert (result.exit_code, result.stdout.text, result.survivors) == (3, "out\n", None)

    async def test_a_timeout_ends_children_and_the_group(self, scene: Scene) -> None:
        text = "(bash -c 'echo $$ >hidden; exec sleep 1000' &); setsid sleep 1000 & echo $! >own; sleep 1000"
        result = await scene.bash(text, timeout=1.0)
        assert (result.outcome, result.survivors) == (Outcome.TIMED_OUT, None)
        assert not runs(scene.pid())
        assert not runs(scene.pid("own"))

    async def test_what_was_left_behind_ends_with_the_lease(self, scene: Scene) -> None:
        result = await scene.bash("trap '' TERM; sleep 1000 & echo $! >hidden")
        assert result.ok
        assert runs(scene.pid())
        assert await scene.supervision.close(time.monotonic() + 20) is None
        assert not runs(scene.pid())

    async def test_the_death_of_the_supervisor_ends_it_too(self, scene: Scene, eventually: Eventually) -> None:
        await scene.bash("sleep 1000 & echo $! >hidden")
        os.kill(scene.supervisor(), signal.SIGKILL)
        await eventually(lambda: not runs(scene.pid()))
