"""The local driver passes the suite in each of its modes."""

from pathlib import Path
from typing import Any

from leasehold.drivers import Mode
from leasehold.drivers.conformance import DriverConformance


class _Local(DriverConformance):
    driver = "local"

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


class TestInPlace(_Local):
    """The workspace itself."""

    mode = Mode.IN_PLACE


class TestCopy(_Local):
    """A copy of the tree."""

    mode = Mode.COPY


class TestWorktree(_Local):
    """A git worktree on a branch of the lease's own."""

    mode = Mode.GIT_WORKTREE
