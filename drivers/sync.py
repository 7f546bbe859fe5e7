# ruff: noqa: PTH118, PTH120
# Paths are bytes here, because names of files need not be text.
"""Bringing changed files back into a tree, three-way, so that a torn one can simply be run again."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from leasehold.drivers.durable import beside, renamed
from leasehold.drivers.held_open import opened, parent_of
from leasehold.drivers.manifest import EXECUTABLE, FOLDER, LINK
from leasehold.drivers.merge import Verdict, judge
from leasehold.drivers.returning import demand_written, is_written

_CHUNK = 1 << 20

Identify = Callable[[Sequence[bytes]], Mapping[bytes, str | None]]
"""Gives the versions of paths as they are here; ``None`` where nothing is."""

BLOCKED = "blocked"
"""The version of a path below something that is no folder, or is a link: nothing is written there."""


@dataclass(frozen=True, slots=True)
class Item:
    """One path: its version as it was sent, and as it is there now."""

    path: bytes
    sent: str | None
    there: str | None

    def to_json(self) -> list[str | None]:
        return [os.fsdecode(self.path), self.sent, self.there]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> "Item":
        return cls(os.fsencode(value[0]), value[1], value[2])


@dataclass(slots=True)
class Applied:
    """What became of a plan's items."""

    written: int = 0
    deleted: int = 0
    conflicts: list[bytes] = field(default_factory=list[bytes])


def bring(
    items: Iterable[Item],
    source: Path,
    dest: Path,
    identify: Identify,
    check: Callable[[], None],
    *,
    prune: bool,
) -> Applied:
    """Bring each item's version from ``source`` into ``dest``, where ``dest`` is untouched since it was sent.

    Deletions come first, the deepest first of all; then folders before what is in them. Each file is
    written beside and renamed. ``check`` is called before each and may end it all by raising: called
    again with the same items, it goes on, and counts what it finds done. ``prune``: like in git, no item
    stands for a folder, and one that a deletion emptied goes too. Raises ``Damaged``, before anything is
    touched, for a path that leads out of ``dest`` or into a repository's own folder.
    """
    ordered = sorted(items, key=lambda item: item.path)
    demand_written(item.path for item in ordered)
    gone = [item for item in reversed(ordered) if item.there is None]
    here = [item for item in ordered if item.there is not None]
    applied = Applied()
    for group, act in ((gone, _delete), (here, _write)):
        # Asked for together, once a group: a path is looked at again only where it changed since.
        stamps = {item.path: _stamp(dest, item.path) for item in group}
        versions = identify([item.path for item in group])
        for item in group:
            check()
            version = versions[item.path]
            if version == BLOCKED or stamps[item.path] != _stamp(dest, item.path):
                version = identify([item.path])[item.path]
            if version == BLOCKED and item.there is None:
                version = None  # nothing is there to be deleted
            verdict = judge(item.sent, item.there, version)
            if verdict is Verdict.CONFLICT or (verdict is Verdict.APPLY and not act(item, source, dest)):
                applied.conflicts.append(item.path)
            elif item.there is None:
                applied.deleted += 1
                if prune and verdict is Verdict.APPLY:
                    _prune(dest, item.path)
            else:
                applied.written += 1
    applied.conflicts.sort()
    return applied


def remove_traces(items: Iterable[Item], dest: Path) -> None:
    """Remove what a torn ``bring`` left beside its files."""
    for item in items:
        if is_written(item.path) and not blocked(dest, item.path):
            beside(dest / os.fsdecode(item.path)).unlink(missing_ok=True)


def blocked(dest: Path, path: bytes) -> bool:
    """Whether a path lies below something that is no folder of the tree: a file, or a link out of it."""
    parts = path.split(b"/")[:-1]
    folder = os.fsencode(dest)
    for part in parts:
        folder = os.path.join(folder, part)
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                return True
        except FileNotFoundError:
            return False
    return False


def _delete(item: Item, source: Path, dest: Path) -> bool:
    target = dest / os.fsdecode(item.path)
    if item.sent == FOLDER:
        if not any(target.iterdir()):
            target.rmdir()
        return True
    target.unlink()
    return True


def _prune(dest: Path, path: bytes) -> None:
    folder = os.path.dirname(path)
    while folder and _is_empty(dest, folder):
        (dest / os.fsdecode(folder)).rmdir()
        folder = os.path.dirname(folder)


def _write(item: Item, source: Path, dest: Path) -> bool:
    target = dest / os.fsdecode(item.path)
    kind = (item.there or "")[:1]
    if target.is_dir() and not target.is_symlink():
        if any(target.iterdir()):
            return False
        target.rmdir()
    if kind == FOLDER:
        target.unlink(missing_ok=True)
        target.mkdir(parents=True)
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    with renamed(target) as new, parent_of(source, item.path) as (folder, name):
        # Git has a link in a file where the file system knows no links.
        if kind == LINK and stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            new.symlink_to(os.fsdecode(os.readlink(name, dir_fd=folder)))
        else:
            with opened(folder, name) as origin, new.open("xb") as file:
                shutil.copyfileobj(origin, file, _CHUNK)
                os.fchmod(file.fileno(), _mode(origin, target, executable=kind == EXECUTABLE))
                file.flush()
                os.fsync(file.fileno())
    return True


def _mode(origin: IO[bytes], target: Path, *, executable: bool) -> int:
    """A new file's permissions are those there; a known one keeps its own, save whether it is executable."""
    known = target.stat() if target.exists() and not target.is_symlink() else os.fstat(origin.fileno())
    mode = stat.S_IMODE(known.st_mode) & 0o777
    return mode | (mode & 0o444) >> 2 if executable else mode & ~0o111


def _is_empty(dest: Path, folder: bytes) -> bool:
    path = dest / os.fsdecode(folder)
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _stamp(dest: Path, path: bytes) -> tuple[int, ...]:
    try:
        facts = os.lstat(os.path.join(os.fsencode(dest), path))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_size, facts.st_mode)
