"""A far side that says nothing and takes nothing: a verb ends by its deadline, and the next one goes on."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from leasehold.drivers import Mode, ReleaseMode, TimedOut
from leasehold.drivers.context import Context
from leasehold.drivers.place import PlaceRequest, Tags
from leasehold.drivers.ssh import SshConfig
from leasehold.drivers.workspace import Workspace
from shell import ShellDriver

KEY = "ledger-lease-1"
TAGS = Tags("ledger", "lease", KEY, 1, 0)
SECONDS = 2.0


class Silence:
    """A ``tar`` that does nothing at all, while it is on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "tar").write_text(
            f'#!/bin/sh\n[ -e {folder}/on ] || exec /bin/tar "$@"\necho $$ >> {folder}/pids\nexec sleep 60\n'
        )
        (folder / "tar").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def on(self) -> None:
        (self._folder / "on").touch()

    def off(self) -> None:
        (self._folder / "on").unlink(missing_ok=True)
        if (self._folder / "pids").exists():
            for pid in (self._folder / "pids").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    silence = Silence(tmp_path / "bin", monkeypatch)
    yield silence
    silence.off()


class Clocked:
    """That a block ends with ``TimedOut`` by the deadline, with little more."""

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        assert isinstance(error, TimedOut), error
        assert time.monotonic() - self._begun < SECONDS + 3
        return True


async def test_a_verb_ends_by_its_deadline_and_can_be_tried_again(tmp_path: Path, silence: Silence) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(16 << 20))
    driver = ShellDriver()
    config = SshConfig.model_validate({"host": "here", "root": str(tmp_path / "places")})

    def context(seconds: float = 60.0) -> Context:
        return Context(config, time.monotonic() + seconds, 1, "ledger", "lease", tmp_path / "state")

    workspace = Workspace(source, Mode.COPY)
    handle = await driver.acquire(KEY, PlaceRequest("company", "lease", "run", workspace), TAGS, context())
    silence.on()
    with Clocked():  # sent while the mirror is made
        await driver.realize(handle, workspace, context(SECONDS))
    silence.off()
    realization = await driver.realize(handle, workspace, context())
    await driver.baseline(handle, realization, context())
    (tmp_path / "places" / KEY / "tree" / "new").write_text("new\n")
    (source / "more").write_bytes(os.urandom(16 << 20))
    silence.on()
    with Clocked():  # fetched
        await driver.sync_back(handle, realization, context(SECONDS))
    for verb in ("put", "get"):
        target = await driver.target(handle, realization, context(SECONDS))
        with Clocked():
            await (target.put(source / "large", "put") if verb == "put" else target.get("new", tmp_path / "got"))
        await target.close()
    silence.off()
    report = await driver.sync_back(handle, realization, context())
    assert report.summary == "1 file brought back"
    (tmp_path / "places" / KEY / "tree" / "newer").write_text("newer\n")
    silence.on()
    stopped = context()
    verb = asyncio.create_task(driver.sync_back(handle, realization, stopped))
    await asyncio.wait({verb}, timeout=SECONDS)
    begun = time.monotonic()
    verb.cancel()
    await asyncio.wait({verb})
    assert verb.cancelled()
    assert time.monotonic() - begun < 3
    silence.off()
    released = await driver.release(handle, ReleaseMode.DESTROY, context())
    assert len(released.kept) == 1
    assert not (tmp_path / "places" / KEY).exists()
