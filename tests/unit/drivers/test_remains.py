"""What is left of a place whose caller let go, or was cut off."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from leasehold.drivers.command import Command, Outcome
from leasehold.drivers.descendants import runs
from leasehold.drivers.execution import Supervision, end_remains, recorded
from leasehold.drivers.supervisor import LOCK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these look into /proc")

HOST = {"PATH": os.environ["PATH"]}
PAUSE = 0.3
DAEMON = "setsid env -i /bin/bash -c 'echo $$ >hidden; while :; do echo x; done' & while [ ! -s hidden ]; do :; done"

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


class Scene:
    """A place, and the process that let go of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = uuid4().hex
        self.supervision = self.another()

    def another(self) -> Supervision:
        return Supervision(self.folder, self.marker, pause=PAUSE)

    async def bash(self, text: str, *, on: Supervision | None = None) -> str:
        command = Command((text,), shell=True, timeout=60)
        result = await (on or self.supervision).execute(command, cwd=self.folder, env=HOST)
        assert result.ok
        return result.stdout.text

    async def end(self, seconds: float = 20.0) -> tuple[int, ...] | None:
        return await end_remains(self.folder, self.marker, time.monotonic() + seconds, pause=PAUSE)

    def pid(self, name: str = "hidden") -> int:
        return int((self.folder / name).read_text())

    def supervisors(self) -> list[int]:
        return [int(line.split()[0]) for line in (self.folder / LOCK).read_text().splitlines()]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    await scene.supervision.close(time.monotonic() + 20)
    assert await scene.end() == ()


async def test_nothing_ever_ran(scene: Scene) -> None:
    assert await scene.end() == ()


async def test_let_go_with_nothing_running_leaves_no_supervisor(scene: Scene) -> None:
    await scene.bash("true")
    await scene.supervision.detach()
    assert not runs(scene.supervisors()[0])
    assert await scene.supervision.close(time.monotonic() + 20) == ()


async def test_what_was_left_behind_goes_on_without_us_and_is_ended_from_anywhere(scene: Scene) -> None:
    await scene.bash(DAEMON)
    await scene.supervision.detach()
    assert runs(scene.pid())
    assert runs(scene.supervisors()[0])
    assert await scene.supervision.close(time.monotonic() + 20) is None
    assert await scene.end() == ()
    assert not runs(scene.pid())
    assert not runs(scene.supervisors()[0])


async def test_a_supervisor_that_was_let_go_ends_with_the_last_below_it(scene: Scene, eventually: Eventually) -> None:
    await scene.bash(DAEMON)
    await scene.supervision.detach()
    os.kill(scene.pid(), signal.SIGKILL)
    await eventually(lambda: not runs(scene.supervisors()[0]))


async def test_a_command_in_flight_goes_on_and_is_recorded(scene: Scene, eventually: Eventually) -> None:
    os.mkfifo(scene.folder / "go")
    first = asyncio.Event()
    text = "echo; read <go; echo more; echo more >&2; exit 7"
    command = Command((text,), shell=True, timeout=60, on_output=lambda _, __: first.set(), record="provision")
    running = asyncio.create_task(scene.supervision.execute(command, cwd=scene.folder, env=HOST))
    await first.wait()
    await scene.supervision.detach()
    result = await running
    assert (result.outcome, result.survivors, result.stdout.text) == (Outcome.TARGET_LOST, None, "\n")
    assert recorded(scene.folder, "provision") is None
    await asyncio.to_thread((scene.folder / "go").write_text, "\n")
    await eventually(lambda: recorded(scene.folder, "provision") == 7)


async def test_a_command_that_goes_on_keeps_its_deadline(scene: Scene, eventually: Eventually) -> None:
    first = asyncio.Event()
    command = Command(("echo $$; sleep 1000",), shell=True, timeout=1.0, on_output=lambda _, __: first.set())
    running = asyncio.create_task(scene.supervision.execute(command, cwd=scene.folder, env=HOST))
    await first.wait()
    await scene.supervision.detach()
    pid = int((await running).stdout.text)
    await eventually(lambda: not runs(pid))


async def test_a_supervisor_outlives_the_process_that_let_go(scene: Scene) -> None:
    program = scene.folder / "caller.py"
    program.write_text(
        "import asyncio\n"
        "from pathlib import Path\n"
        "from leasehold.drivers.command import Command\n"
        "from leasehold.drivers.execution import Supervision\n"
        "async def main() -> None:\n"
        f"    supervision = Supervision(Path.cwd(), {scene.marker!r})\n"
        f"    await supervision.execute(Command(({DAEMON!r},), shell=True), cwd=Path.cwd(), env={HOST!r})\n"
        "    await supervision.detach()\n"
        "asyncio.run(main())\n"
    )
    caller = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", program, cwd=scene.folder)
    assert await caller.wait() == 0
    assert runs(scene.pid())
    assert await scene.end() == ()
    assert not runs(scene.pid())


async def test_several_supervisors_of_one_lease_are_all_ended(scene: Scene) -> None:
    others = [scene.another() for _ in range(3)]
    for number, other in enumerate(others):
        await scene.bash(f"setsid sleep 1000 & echo $! >hidden{number}", on=other)
        await other.detach()
    assert await scene.end() == ()
    assert not any(runs(scene.pid(f"hidden{number}")) for number in range(3))


async def test_what_a_killed_supervisor_left_is_found_by_its_marker(scene: Scene) -> None:
    await scene.bash(
        "setsid bash -c 'trap \"\" TERM; echo $$ >hidden; env -i /bin/sleep 1000 & echo $! >below; wait' &"
        "while [ ! -s below ]; do :; done"
    )
    await scene.supervision.detach()
    os.kill(scene.supervisors()[0], signal.SIGKILL)
    assert runs(scene.pid())
    assert await scene.end() == ()
    assert not runs(scene.pid())
    assert not runs(scene.pid("below"))


async def test_what_loses_the_bearer_above_it_is_not_lost(scene: Scene) -> None:
    (scene.folder / "deaf").write_text("trap '' TERM\necho $$ >hidden\nexec /bin/sleep 1000\n")
    bearer = "setsid bash -c 'env -i /bin/bash deaf & wait' &"
    await scene.bash(f"{bearer} while [ ! -s hidden ]; do :; done")
    await scene.supervision.detach()
    os.kill(scene.supervisors()[0], signal.SIGKILL)
    assert await scene.end() == ()
    assert not runs(scene.pid())


async def test_a_supervisor_that_does_not_answer_is_killed(scene: Scene) -> None:
    await scene.bash("setsid sleep 1000 & echo $! >hidden")
    await scene.supervision.detach()
    os.kill(scene.supervisors()[0], signal.SIGSTOP)
    assert await scene.end(2.0) == ()
    assert not runs(scene.pid())


async def test_another_process_under_the_same_id_is_let_be(scene: Scene) -> None:
    await scene.bash(DAEMON)
    await scene.supervision.detach()
    bystander = await asyncio.create_subprocess_exec("sleep", "1000")
    with (scene.folder / LOCK).open("a") as lock:
        lock.write(f"{bystander.pid} 1\n")
    assert await scene.end() == ()
    assert runs(bystander.pid)
    bystander.kill()
    await bystander.wait()


async def test_a_process_in_the_place_itself_is_reported_and_never_ends_itself(scene: Scene) -> None:
    program = (
        "import asyncio, os, time\n"
        "from pathlib import Path\n"
        "from leasehold.drivers.execution import end_remains\n"
        f"found = asyncio.run(end_remains(Path.cwd(), {scene.marker!r}, time.monotonic() + 0.5, pause=0.1))\n"
        "print(found == (os.getpid(),))\n"
    )
    asked = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=scene.folder,
        env={**os.environ, "LEASEHOLD_PLACE": scene.marker},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asked.communicate()
    assert said == b"True\n"


async def test_another_places_marker_is_let_be(scene: Scene) -> None:
    bystander = await asyncio.create_subprocess_exec(
        "sleep", "1000", env={**HOST, "LEASEHOLD_PLACE": f"{scene.marker}0", "X": scene.marker}
    )
    assert await scene.end() == ()
    assert runs(bystander.pid)
    bystander.kill()
    await bystander.wait()
