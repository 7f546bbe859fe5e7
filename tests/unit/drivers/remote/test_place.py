"""What is written down at a place: a full disk tears nothing, and what was torn all the same can be ended."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.place import Absent, Found, PlaceRequest, ReleaseMode, Tags
from leasehold.drivers.ssh import SshConfig
from leasehold.drivers.workspace import Workspace
from shell import ShellDriver

KEY = "ledger-lease-1"


def tags(epoch: int = 1) -> Tags:
    return Tags("ledger", "lease", KEY, epoch, 0)


@pytest.fixture
def root(tmp_path: Path, require: Callable[[str], str]) -> Iterator[Path]:
    """A small file system of its own."""
    require("mount")
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    path = tmp_path / "places"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=True, timeout=30)
    yield path
    subprocess.run(["umount", "-l", path], check=True, timeout=30)


def fill(folder: Path) -> Path:
    """Take every byte of a small file system; gives the file to remove."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def context_of(tmp_path: Path, root: Path, epoch: int = 1) -> Context:
    config = SshConfig.model_validate({"host": "here", "root": str(root)})
    return Context(config, time.monotonic() + 60, epoch, "ledger", "lease", tmp_path / "state")


def request(tmp_path: Path) -> PlaceRequest:
    return PlaceRequest("company", "lease", "run", Workspace(tmp_path, Mode.COPY))


async def test_a_full_disk_leaves_no_place_without_tags(tmp_path: Path, root: Path) -> None:
    driver, context = ShellDriver(), context_of(tmp_path, root)
    (root / ".fences").mkdir()
    (root / ".fences" / KEY).write_text(f"{1:020d} goes\n")
    fill(root)
    with pytest.raises(Unavailable, match="No space left"):
        await driver.acquire(KEY, request(tmp_path), tags(), context)
    assert not (root / KEY).exists()
    assert await driver.recover(KEY, None, context) == Absent()


async def test_a_full_disk_does_not_tear_the_tags_of_a_place(tmp_path: Path, root: Path) -> None:
    driver = ShellDriver()
    handle = await driver.acquire(KEY, request(tmp_path), tags(), context_of(tmp_path, root))
    before = (root / KEY / "place.json").read_bytes()
    fill(root)
    with pytest.raises(Unavailable, match="No space left"):
        await driver.acquire(KEY, request(tmp_path), tags(2), context_of(tmp_path, root, 2))
    assert (root / KEY / "place.json").read_bytes() == before
    await driver.release(handle, ReleaseMode.DESTROY, context_of(tmp_path, root, 2))
    assert not (root / KEY).exists()


@pytest.mark.parametrize("torn", [b"", b'{"version":1,"ta'])
async def test_a_place_whose_tags_are_torn_is_found_by_its_key_and_ends(tmp_path: Path, torn: bytes) -> None:
    root = tmp_path / "places"
    driver, context = ShellDriver(), context_of(tmp_path, root)
    await driver.acquire(KEY, request(tmp_path), tags(), context)
    (root / KEY / "place.json").write_bytes(torn)
    with pytest.raises(Damaged, match="cannot be read"):
        await driver.acquire(KEY, request(tmp_path), tags(), context)
    found = await driver.recover(KEY, None, context)
    assert isinstance(found, Found)
    released = await driver.release(found.handle, ReleaseMode.DESTROY, context)
    assert released.was_there
    assert not (root / KEY).exists()


async def test_a_folder_without_tags_is_not_ours(tmp_path: Path) -> None:
    root = tmp_path / "places"
    driver, context = ShellDriver(), context_of(tmp_path, root)
    handle = await driver.acquire(KEY, request(tmp_path), tags(), context)
    (root / KEY / "place.json").rename(root / KEY / "other")
    with pytest.raises(Exception, match="no place of ours"):
        await driver.release(handle, ReleaseMode.DESTROY, context)
    assert (root / KEY / "other").exists()


async def test_a_fence_that_cannot_be_written_stops_all_but_an_end(tmp_path: Path, root: Path) -> None:
    driver = ShellDriver()
    handle = await driver.acquire(KEY, request(tmp_path), tags(), context_of(tmp_path, root))
    (root / ".fences" / KEY).write_bytes(b"")
    ballast = fill(root)
    later = context_of(tmp_path, root, 2)
    with pytest.raises(Unavailable, match="cannot be written"):
        await driver.acquire(KEY, request(tmp_path), tags(2), later)
    assert ballast.stat().st_size
    assert (await driver.release(handle, ReleaseMode.DESTROY, later)).was_there
    assert not (root / KEY).exists()


async def test_the_fence_of_a_place_that_stands_is_never_too_old(tmp_path: Path) -> None:
    driver, places = ShellDriver(), tmp_path / "places"
    await driver.acquire(KEY, request(tmp_path), tags(), context_of(tmp_path, places))
    fences = places / ".fences"
    (fences / "gone").touch()
    for name in (KEY, "gone"):
        os.utime(fences / name, (1e9, 1e9))
    other = replace(tags(), key="ledger-lease-2")
    await driver.acquire(other.key, request(tmp_path), other, context_of(tmp_path, places))
    assert sorted(path.name for path in fences.iterdir()) == [KEY, other.key]
