"""The local driver keeps the rules of every driver, in each of its modes."""

from pathlib import Path
from typing import Any, ClassVar

from leasehold.drivers import Mode
from leasehold.drivers.conformance import DriverConformance


class _Local(DriverConformance):
    driver = "local"

    def sick_config(self, folder: Path) -> dict[str, Any]:
        (folder / "file").write_text("no folder\n")
        return {"root": str(folder / "file" / "places")}

    def left(self, folder: Path) -> set[str]:
        places = folder / "state" / "places"
        worktrees = {f"worktree {path.name}" for path in folder.glob("*/.git/worktrees/*")}
        branches = {f"branch {path.name}" for path in folder.glob("*/.git/refs/heads/leasehold")}
        return {path.name for path in places.glob("*")} - {".fences"} | worktrees | branches


class TestInPlace(_Local):
    mode: ClassVar = Mode.IN_PLACE


class TestCopy(_Local):
    mode: ClassVar = Mode.COPY


class TestWorktree(_Local):
    mode: ClassVar = Mode.GIT_WORKTREE
