"""A place that answers without end fills no memory here."""

import asyncio
import time
from pathlib import Path

import pytest
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.agency import Agency
from leasehold.drivers.remote.asking import ask
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.process_link import ProcessLink, ProcessSession
from leasehold.drivers.remote.target import RemoteTarget


class Here(ProcessLink):
    """A link of which the sessions can be waited for: a killed one ends a moment later."""

    def __init__(self, *prefix: str) -> None:
        super().__init__("here", prefix)
        self.sessions: list[ProcessSession] = []

    async def open(self, script: str) -> ProcessSession:
        self.sessions.append(await super().open(script))
        return self.sessions[-1]

    async def ended(self) -> None:
        for session in self.sessions:
            await asyncio.wait_for(session.wait(), 10)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(None, time.monotonic() + 30, 1, "ledger", "lease", tmp_path / "state")


@pytest.mark.parametrize("feed", [None, b"fed"])
async def test_an_answer_ends_at_its_limit(context: Context, feed: bytes | None) -> None:
    link = Here()
    assert len(await ask(link, "head -c 1000 /dev/zero", context, most=1000)) == 1000
    with pytest.raises(Damaged, match="more than the 1000 bytes"):
        await ask(link, "exec cat /dev/zero", context, feed=feed, most=1000)
    await link.ended()


async def test_a_file_of_which_little_is_asked_for_is_little(context: Context, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "head").write_text("#!/bin/sh\nexec cat /dev/zero\n")
    (tmp_path / "bin" / "head").chmod(0o755)
    link = Here("env", f"PATH={tmp_path}/bin:/usr/bin:/bin")
    place = RemotePlace(link, str(tmp_path / "far"), "key")
    await place.make(Tags("ledger", "lease", "key", 1, 0), {}, context)
    (tmp_path / "file").write_text("text")
    target = RemoteTarget(place, str(tmp_path), env={}, described={}, context=context)
    assert await target.read("file") == b"text"
    with pytest.raises(Damaged, match="more than the 2 bytes"):
        await target.read("file", 2)
    await link.ended()


async def test_an_agent_that_announces_too_much_is_lost(context: Context) -> None:
    script = "printf 'o\\0\\0\\0\\1\\377\\377\\377\\377'; exec cat /dev/zero"
    session = await ProcessSession.start(["sh", "-c", script])
    agency = Agency(session, Here())
    running = agency.begin()
    await agency.execute(running, {}, b"")
    assert await asyncio.wait_for(running.frames.get(), 20) is None
    assert agency.lost
    session.kill()
    await session.wait()
