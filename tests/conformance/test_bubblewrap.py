"""Bubblewrap passes the suite in each of its modes; all but the first in the long profile."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import Mode
from leasehold.drivers.capabilities import Limiting
from leasehold.drivers.conformance import DriverConformance
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene


@pytest.fixture(autouse=True)
def bubblewrap(require: Callable[[str], str]) -> None:
    """The suite needs the real one."""
    require("bwrap")


class _Bubblewrap(DriverConformance):
    driver = "bubblewrap"

    def config(self, folder: Path) -> dict[str, Any]:
        return {"root": str(folder / "places")}

    def sick_config(self, folder: Path) -> dict[str, Any]:
        (folder / "no-folder").write_bytes(b"")
        return {"root": str(folder / "no-folder" / "places")}

    def left(self, folder: Path) -> set[str]:
        found = [path for path in (folder / "places").glob("*") if path.name != ".fences"]
        found += folder.glob("*/.git/worktrees/*")
        found += folder.glob("*/.git/refs/heads/leasehold/*")
        return {path.relative_to(folder).as_posix() for path in found}


class TestSandboxedCopy(_Bubblewrap):
    """A copy of the tree."""

    mode = Mode.COPY


@pytest.mark.long
class TestSandboxedWorktree(_Bubblewrap):
    """A git worktree on a branch of the lease's own."""

    mode = Mode.GIT_WORKTREE


@pytest.mark.long
class TestSandboxedInPlace(_Bubblewrap):
    """The workspace itself."""

    mode = Mode.IN_PLACE


@pytest.mark.long
class TestLimited(_Bubblewrap):
    """A sandbox within limits."""

    def config(self, folder: Path) -> dict[str, Any]:
        return {**super().config(folder), "memory": "512m", "pids": 200, "cpus": 1.5}

    def left(self, folder: Path) -> set[str]:
        groups = [path for path in Path("/sys/fs/cgroup").glob("**/leasehold-*") if path.is_dir()]
        return super().left(folder) | {str(path) for path in groups if _is_of(folder, path.name)}

    @rule
    async def test_the_groups_of_a_place_are_seen(self, scene: Scene) -> None:
        """Else the rules would find none left, whatever was."""
        if scene.can.limits is not Limiting.ENFORCED:
            pytest.skip("no groups can be made here")
        await scene.run(await scene.target(), "true")
        assert any(path.startswith("/sys/fs/cgroup/") for path in scene.left())


def _is_of(folder: Path, group: str) -> bool:
    """Whether a group is of a place below the folder: others run their rules at the same time."""
    key, _, digest = group.removeprefix("leasehold-").rpartition("-")
    return hashlib.sha256(os.fsencode(folder / "places" / key)).hexdigest().startswith(digest)
