"""What of a user's uncommitted work comes along into a worktree."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from leasehold.drivers.excludes import Excludes
from leasehold.drivers.git import Git
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.repository import Repository
from leasehold.drivers.shown import counted
from leasehold.drivers.snapshot import Change, Snapshots, index_info


@dataclass(frozen=True, slots=True)
class Carried:
    """How many paths came along, and how many did not."""

    changed: int = 0
    untracked: int = 0
    left: int = 0

    def lines(self) -> list[str]:
        """For the summary; empty where there was nothing to carry."""
        lines: list[str] = []
        if self.changed:
            lines.append(f"carried over: {counted(self.changed, 'uncommitted change')}")
        if self.untracked:
            lines.append(f"carried over: {counted(self.untracked, 'untracked file')}")
        if self.left:
            lines.append(f"not carried over: {counted(self.left, 'untracked file')} (--untracked takes them along)")
        return lines


def carry(
    repository: Repository, inside: Git, place: Place, start: str, excludes: Excludes, *, untracked: bool
) -> Carried:
    """Bring changes of tracked files from a checkout into a fresh worktree of ``start``.

    What is staged there is staged here. The checkout's index is only read, and nothing is stored in the
    repository. ``inside`` is git in the worktree.
    """
    theirs = Snapshots(repository.git, place.objects)
    changes = [change for change in theirs.changes(start, theirs.tracked()) if change.path not in excludes]
    if changes:
        _apply(theirs, inside, place, start, changes, excludes)
    listed = repository.git.run("ls-files", "-z", "--others", "--exclude-standard").names
    others = [path for path in listed if path not in excludes and not _is_ours(repository, path, place)]
    if untracked:
        for path in others:
            inside.check()
            _copy(repository.top / os.fsdecode(path), place.tree / os.fsdecode(path))
        return Carried(len(changes), len(others), 0)
    return Carried(len(changes), 0, len(others))


def _apply(theirs: Snapshots, inside: Git, place: Place, start: str, changes: list[Change], excludes: Excludes) -> None:
    staged = theirs.staged()
    carried = theirs.patched(start, changes)
    borrowing = inside.having(GIT_OBJECT_DIRECTORY=place.objects)
    borrowing.run("read-tree", "-m", "-u", start, carried)
    # The index goes back to the commit, then on to what was staged: no tree of ours may be named in it.
    inside.run("read-tree", "--reset", start)
    if staged is not None:
        wanted = [change for change in theirs.changes(start, staged) if change.path not in excludes]
        inside.run("update-index", "-z", "--index-info", stdin=index_info(wanted))
    inside.run("update-index", "-q", "--refresh", ok=(0, 1))


def _is_ours(repository: Repository, path: bytes, place: Place) -> bool:
    """Whether an untracked path leads to our own places, which may stand below the user's checkout."""
    full, root = repository.top.resolve() / os.fsdecode(path), place.root.resolve()
    return root == full or full in root.parents or root in full.parents


def _copy(source: Path, dest: Path) -> None:
    dest.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, dest, symlinks=True)
    else:
        shutil.copy2(source, dest, follow_symlinks=False)
