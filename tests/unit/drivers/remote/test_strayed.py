"""Changes at a place whose mirror is on another machine are kept before the place goes."""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.place import Handle, PlaceRequest, Released, ReleaseMode, Tags
from leasehold.drivers.ssh import SshConfig
from leasehold.drivers.workspace import Workspace
from shell import ShellDriver

KEY = "ledger-lease-1"
TAGS = Tags("ledger", "lease", KEY, 1, 0)


class Far:
    """A place with a tree, put there from the machine ``one``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = ShellDriver()
        self.tree = folder / "places" / KEY / "tree"

    def at(self, machine: str) -> Context:
        config = SshConfig.model_validate({"host": "here", "root": str(self.folder / "places")})
        return Context(config, time.monotonic() + 60, 1, "ledger", "lease", self.folder / machine)

    async def make(self, source: Path, baseline: Callable[[Path], None] | None = None) -> Handle:
        workspace = Workspace(source, Mode.COPY)
        request = PlaceRequest("company", "lease", "run", workspace)
        handle = await self.driver.acquire(KEY, request, TAGS, self.at("one"))
        realization = await self.driver.realize(handle, workspace, self.at("one"))
        if baseline is not None:
            await self.driver.target(handle, realization, self.at("one"))  # as what provisions gets one
            baseline(self.tree)
            await self.driver.baseline(handle, realization, self.at("one"))
        return handle

    async def end(self, handle: Handle, machine: str = "two") -> Released:
        released = await self.driver.release(handle, ReleaseMode.DESTROY, self.at(machine))
        assert not (self.folder / "places" / KEY).exists()
        return released


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (folder / name).write_text(f"{name}\n")
    return folder


def kept(released: Released) -> tuple[set[str], list[str]]:
    """The names in the archive, and what was deleted."""
    [archive] = released.kept
    with tarfile.open(archive.where) as tar:
        deleted = tar.extractfile("deleted.json")
        assert deleted is not None
        names = {member.name for member in tar if member.name.startswith("changed/")}
        return names, json.load(deleted)


async def test_what_changed_is_kept_and_nothing_else(far: Far, source: Path, tmp_path: Path) -> None:
    handle = await far.make(source, lambda tree: (tree / "provisioned").touch())
    (far.tree / "a").write_text("A\n")
    (far.tree / "b").unlink()
    (far.tree / "sub" / "new").symlink_to("c")
    (far.tree / "away").symlink_to("/etc/passwd")
    old = far.tree / "old\nfile"
    old.write_text("made long ago")
    os.utime(old, (1e9, 1e9))
    (far.tree / "sub" / "shut").write_text("x")
    (far.tree / "sub" / "shut").chmod(0)
    released = await far.end(handle)
    assert kept(released) == ({"changed/a", "changed/sub/new", "changed/old\nfile", "changed/sub/shut"}, ["b"])
    assert released.kept[0].where.startswith(str(tmp_path / "two"))
    assert any("no mirror" in note for note in released.notes)
    assert any("away" in note for note in released.notes)


async def test_a_tree_that_is_as_it_was_leaves_nothing(far: Far, source: Path) -> None:
    handle = await far.make(source)
    assert await far.end(handle) == Released()


async def test_only_deletions(far: Far, source: Path) -> None:
    handle = await far.make(source)
    (far.tree / "b").unlink()
    assert kept(await far.end(handle)) == (set(), ["b"])


@pytest.mark.parametrize("harm", ["missing", "empty", "half"])
async def test_without_a_baseline_all_is_kept(far: Far, source: Path, harm: str) -> None:
    handle = await far.make(source)
    listed = far.tree.parent / "listed"
    data = listed.read_bytes()
    listed.unlink() if harm == "missing" else listed.write_bytes(b"" if harm == "empty" else data[: len(data) // 2])
    released = await far.end(handle)
    assert kept(released) == ({"changed/a", "changed/b", "changed/sub", "changed/sub/c"}, [])
    assert any("all its files are kept" in note for note in released.notes)


def git(folder: Path, *words: str) -> None:
    argv = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-C", str(folder), *words]
    subprocess.run(argv, check=True, timeout=30, capture_output=True)


async def test_of_a_repository_come_commits_and_no_hooks(far: Far, source: Path) -> None:
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "one")
    handle = await far.make(source)
    (far.tree / "a").write_text("A\n")
    (far.tree / ".git" / "hooks" / "pre-push").write_text("armed\n")
    git(far.tree, "commit", "-am", "two")
    names, _ = kept(await far.end(handle))
    assert "changed/a" in names
    assert any(name.startswith("changed/.git/objects/") for name in names)
    assert not any("hooks" in name or name.endswith("/index") for name in names)


async def test_a_machine_that_uses_the_place_anew_keeps_them_too(far: Far, source: Path, tmp_path: Path) -> None:
    handle = await far.make(source)
    (far.tree / "a").write_text("A\n")
    made = await far.driver.realize(handle, Workspace(source, Mode.COPY), far.at("two"))
    [archive] = (tmp_path / "two" / "kept").glob("*.tar.gz")
    assert str(archive) in made.summary
    assert (far.tree / "a").read_text() == "a\n"


async def test_a_mirror_whose_place_another_machine_ended_goes_with_the_next_lease(
    far: Far, source: Path, tmp_path: Path
) -> None:
    mirrors = tmp_path / "one" / "mirrors"
    await far.end(await far.make(source))
    kept, other = mirrors / KEY, mirrors / "ledger-lease-2"
    shutil.copytree(kept, other)
    for mirror, where in ((kept, None), (other, "elsewhere /places")):
        facts = json.loads((mirror / "place.json").read_text())
        facts["tags"]["key"], facts["data"]["where"] = mirror.name, where or facts["data"]["where"]
        (mirror / "place.json").write_text(json.dumps(facts))
        os.utime(mirror, (1e9, 1e9))
    request = PlaceRequest("company", "lease", "run", Workspace(source, Mode.COPY))
    await far.driver.acquire("ledger-lease-3", request, replace(TAGS, key="ledger-lease-3"), far.at("one"))
    assert not kept.exists()
    assert other.exists()


async def test_a_repository_that_nobody_can_read_is_kept_as_files(far: Far, source: Path, tmp_path: Path) -> None:
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "one")
    handle = await far.make(source)
    (far.tree / "a").write_text("A\n")
    (far.tree / ".git" / "HEAD").write_text("none")
    made = await far.driver.realize(handle, Workspace(source, Mode.COPY), far.at("one"))
    assert str(tmp_path / "one" / "kept") in made.summary
    (far.tree / "a").write_text("A\n")
    (far.tree / ".git" / "HEAD").write_text("none")
    released = await far.end(handle, "one")
    assert "changed/a" in kept(released)[0]
    assert any("HEAD that git would not write" in note for note in released.notes)
