"""Nothing of a session is left when what it was for has ended: the event loop may be closed next."""

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from leasehold.drivers.command import Command, Streams
from leasehold.drivers.context import Context
from leasehold.drivers.descendants import runs
from leasehold.drivers.errors import TimedOut, Unavailable
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.asking import ask
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.remote.shell_execution import ShellExecution
from leasehold.drivers.remote.supervision import RemoteSupervision


async def _answered(link: ProcessLink, folder: Path) -> None:
    assert await ask(link, "echo word", _context(folder, 30)) == b"word\n"


async def _failed(link: ProcessLink, folder: Path) -> None:
    with pytest.raises(Unavailable, match="exit status 3"):
        await ask(link, "exit 3", _context(folder, 30))


async def _too_late(link: ProcessLink, folder: Path) -> None:
    with pytest.raises(TimedOut):
        await ask(link, "exec sleep 60", _context(folder, 0.2))


async def _agent_closed(link: ProcessLink, folder: Path) -> None:
    place = RemotePlace(link, str(folder / "far"), "key")
    await place.make(Tags("ledger", "lease", "key", 1, 0), {}, _context(folder, 30))
    supervision = RemoteSupervision(place, "marker")
    command = Command(("true",))
    result = await supervision.execute(command, cwd=str(folder), env={}, context=_context(folder, 30))
    assert result.exit_code == 0
    assert await supervision.close(time.monotonic() + 30) == ()


async def _shell_ended(link: ProcessLink, folder: Path) -> None:
    place = RemotePlace(link, str(folder / "far"), "key")
    await place.make(Tags("ledger", "lease", "key", 1, 0), {}, _context(folder, 30))
    shells = ShellExecution(place, _context(folder, 30))
    command = Command(("true",))
    assert (await shells.execute(command, cwd=str(folder), env={}, context=_context(folder, 30))).exit_code == 0


@pytest.mark.parametrize("use", [_answered, _failed, _too_late, _agent_closed, _shell_ended])
def test_nothing_is_left_to_a_loop_that_closes_next(
    use: Callable[[ProcessLink, Path], Awaitable[None]], tmp_path: Path
) -> None:
    loop = asyncio.new_event_loop()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loop.run_until_complete(use(ProcessLink("here", ()), tmp_path))
        finally:
            loop.close()
        del loop
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_an_attached_program_that_ignores_its_end_is_killed(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    out = tmp_path / "out"
    with out.open("w+b") as file:
        streams = Streams(file.fileno(), file.fileno(), file.fileno())
        text = "trap '' TERM; echo $$; while :; do sleep 1; done"
        attached = asyncio.create_task(ProcessLink("here", ()).attach(text, streams))
        await eventually(lambda: out.read_text().endswith("\n"))
        attached.cancel()
        async with asyncio.timeout(30):
            with pytest.raises(asyncio.CancelledError):
                await attached
    assert not runs(int(out.read_text()))


def _context(folder: Path, seconds: float) -> Context:
    return Context(None, time.monotonic() + seconds, 1, "ledger", "lease", folder / "state")
