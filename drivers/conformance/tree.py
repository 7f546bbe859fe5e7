"""A small workspace, and what a tree looks like."""

import subprocess
from pathlib import Path

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.workspace import Workspace

_GIT = (
    "git",
    "-c",
    "user.name=conformance",
    "-c",
    "user.email=conformance@localhost",
    "-c",
    "commit.gpgsign=false",
)


def make_tree(folder: Path, mode: Mode) -> Workspace:
    """A workspace with ``README``, ``sub/data.bin`` and an executable ``run.sh``; a git one for a worktree."""
    (folder / "sub").mkdir(parents=True)
    (folder / "README").write_text("a workspace\n")
    (folder / "sub" / "data.bin").write_bytes(bytes(range(256)))
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    if mode is Mode.GIT_WORKTREE:
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
            subprocess.run([*_GIT, *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL)
    return Workspace(folder.resolve(), mode)


def seen_in(folder: Path) -> dict[str, bytes]:
    """The files of a tree with their bytes, without git's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
