# ruff: noqa: PTH102, PTH115, PTH117, PTH118, PTH120, PTH123, PTH211
# Paths are bytes here, because names of files need not be text.
"""Copying a tree, with the manifest of what was copied."""

import fcntl
import hashlib
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from leasehold.drivers.excludes import Excludes
from leasehold.drivers.manifest import EXECUTABLE, FOLDER, LINK, PLAIN, RACY_NS, Entry, Manifest, stamp
from leasehold.drivers.returning import is_kept
from leasehold.drivers.shown import shown_some

_CHUNK = 1 << 20
_CLONE = 0x40049409
"""Linux's FICLONE: share the blocks of a file on file systems that can."""

_TELL_EVERY = 2.0
_GIT = b".git"
_PACKED_NAMES = b"packed-refs"
_FILES, _OBJECTS, _PACKS = range(3)


class Sink(Protocol):
    """Somebody who is told of everything that is copied, as it is copied."""

    def folder(self, path: bytes, facts: os.stat_result) -> None: ...

    def link(self, path: bytes, facts: os.stat_result, text: bytes) -> None: ...

    def file(self, path: bytes, facts: os.stat_result) -> None:
        """A file begins; its content comes by ``content``, as much as there is."""
        ...

    def content(self, data: bytes) -> None: ...


class Earlier(Protocol):
    """An earlier copy of the same tree, whose files may serve again."""

    def take(self, path: bytes, facts: os.stat_result, dest: bytes) -> Entry | None:
        """Move its copy of a file to ``dest``, where the file is still the one that was copied then."""
        ...


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and what was not: sockets, pipes and devices; names of repositories elsewhere."""

    manifest: Manifest
    count: int
    special: tuple[bytes, ...]
    links_out: tuple[bytes, ...]
    size: int


class TreeCopying:
    """One copy of a tree: permissions, times and links as they are; what ``excludes`` names stays behind.

    ``spare`` is a folder that stays out, wherever it stands. Without ``digests`` no manifest is made.
    ``sink`` is told of all as it is copied; files of an ``earlier`` copy that are still the same are moved.
    Of git's own files these stay behind: records of further worktrees, locks, and whatever
    leads from the copy into a repository elsewhere, so that git in the copy touches nothing but the copy.
    """

    def __init__(
        self,
        source: Path,
        dest: Path,
        *,
        excludes: Excludes,
        spare: Path,
        digests: bool,
        check: Callable[[], None],
        progress: Callable[[str], None],
        sink: Sink | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        self._sink = sink
        self._earlier = earlier
        self._source = os.path.realpath(os.fsencode(source))
        self._dest = os.fsencode(dest)
        self._excludes = excludes
        self._spare = os.path.realpath(os.fsencode(spare))
        self._digests = digests
        self._check = check
        self._progress = progress
        self._clones = sys.platform == "linux"
        self._manifest: Manifest = {}
        self._special: list[bytes] = []
        self._links_out: list[bytes] = []
        self._names_due = False
        self._count = 0
        self._size = 0
        self._tell_at = time.monotonic() + _TELL_EVERY

    def run(self) -> Copied:
        """Copy all. Raises ``OSError`` for what cannot be read or written; what vanishes meanwhile is not there.

        Git may pack behind our back: names are copied before packed names and the objects that they name,
        loose objects before packs, and packs until no new one shows.
        """
        os.mkdir(self._dest, 0o700)
        folders = [b""]
        waiting: list[list[bytes]] = [[b""], [], []]
        while any(waiting):
            stack = next(stack for stack in waiting if stack)
            if stack is not waiting[_FILES]:
                self._copy_packed_names()
            folder = stack.pop()
            self._names_due = self._names_due or folder == _GIT
            found = self._copy_folder(folder)
            for path in found:
                waiting[_turn(path)].append(path)
            folders += found
            self._tell()
        self._copy_packed_names()
        for folder in reversed(folders):
            with suppress(FileNotFoundError):
                shutil.copystat(os.path.join(self._source, folder), os.path.join(self._dest, folder))
        self._distrust_young()
        return Copied(
            self._manifest, self._count, tuple(sorted(self._special)), tuple(sorted(self._links_out)), self._size
        )

    def _copy_folder(self, folder: bytes) -> list[bytes]:
        """Copy what is in a folder; the folders in it, which are made and empty yet."""
        found: list[bytes] = []
        known: set[bytes] = set()
        while True:
            try:
                with os.scandir(os.path.join(self._source, folder)) as entries:
                    items = [item for item in entries if item.name not in known]
            except FileNotFoundError:
                if not folder:
                    raise
                return found
            for item in items:
                self._check()
                known.add(item.name)
                path = os.path.join(folder, item.name)
                if folder == _GIT and item.name == _PACKED_NAMES:
                    continue
                with suppress(FileNotFoundError):
                    if self._passes(path, item) and self._copy(path, item):
                        found.append(path)
            if not items or _turn(folder) != _PACKS:
                return found

    def _copy_packed_names(self) -> None:
        """Copied late: where git packs names meanwhile, the file appears after we have looked into the folder."""
        if not self._names_due:
            return
        self._names_due = False
        with suppress(FileNotFoundError), os.scandir(os.path.join(self._source, _GIT)) as entries:
            for item in entries:
                if item.name == _PACKED_NAMES:
                    self._copy(os.path.join(_GIT, item.name), item)

    def _distrust_young(self) -> None:
        """Nobody changed the copy while it was made, but somebody may within the tick of its last moment."""
        limit = time.time_ns() - RACY_NS
        for path, entry in self._manifest.items():
            if entry.stamp and entry.stamp[1] >= limit:
                self._manifest[path] = replace(entry, stamp=())

    def _passes(self, path: bytes, item: "os.DirEntry[bytes]") -> bool:
        if path in self._excludes or item.path == self._spare or path == b".git/worktrees":
            return False
        if path.startswith(b".git/") and item.name.endswith(b".lock"):
            return False
        if item.name == b".git" and not item.is_dir(follow_symlinks=False) and self._leads_out(item):
            self._links_out.append(path)
            return False
        return True

    def _leads_out(self, item: "os.DirEntry[bytes]") -> bool:
        """Whether a ``.git`` that is no folder of its own names one outside of the tree."""
        if item.is_symlink():
            target = os.readlink(item.path)
        else:
            with open(item.path, "rb") as file:
                target = file.read(8192).removeprefix(b"gitdir:").strip()
        real = os.path.realpath(os.path.join(os.path.dirname(item.path), target))
        top = os.path.realpath(self._source)
        return os.path.isabs(target) or os.path.commonpath([real, top]) != top

    def _copy(self, path: bytes, item: "os.DirEntry[bytes]") -> bool:
        """Copy one; whether it is a folder to go on with."""
        facts = item.stat(follow_symlinks=False)
        dest = os.path.join(self._dest, path)
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            os.mkdir(dest, 0o700)
            self._note(path, Entry(FOLDER, mode, 0, ""))
            if self._sink is not None:
                self._sink.folder(path, facts)
            return True
        if stat.S_ISLNK(facts.st_mode):
            text = os.readlink(item.path)
            os.symlink(text, dest)
            os.utime(dest, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)
            self._note(path, Entry(LINK, 0o777, len(text), hashlib.sha256(text).hexdigest()))
            if self._sink is not None:
                self._sink.link(path, facts, text)
        elif stat.S_ISREG(facts.st_mode):
            kind = EXECUTABLE if mode & 0o100 else PLAIN
            again = self._earlier.take(path, facts, dest) if self._earlier is not None else None
            self._note(path, again or self._copy_file(path, item.path, dest, kind, mode, facts))
        else:
            self._special.append(path)
        return False

    def _note(self, path: bytes, entry: Entry) -> None:
        self._count += 1
        if self._digests and path != b".git" and not path.startswith(b".git/") and is_kept(path):
            self._manifest[path] = entry

    def _copy_file(self, path: bytes, source: bytes, dest: bytes, kind: str, mode: int, facts: os.stat_result) -> Entry:
        digest, size, sink = hashlib.sha256(), 0, self._sink
        reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            writing = os.open(dest, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                cloned = self._clone(reading, writing)
                if sink is not None:
                    sink.file(path, facts)
                # Of a clone, the clone is read: the file itself may be written meanwhile.
                while chunk := os.read(writing if cloned else reading, _CHUNK):
                    if self._digests:
                        digest.update(chunk)
                    if sink is not None:
                        sink.content(chunk)
                    size += len(chunk)
                    while not cloned and chunk:
                        chunk = chunk[os.write(writing, chunk) :]
                    self._check()
                os.fchmod(writing, mode)
                os.utime(writing, ns=(facts.st_atime_ns, facts.st_mtime_ns))
                made = os.fstat(writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        self._size += size
        return Entry(kind, mode, size, digest.hexdigest(), stamp(made))

    def _clone(self, reading: int, writing: int) -> bool:
        if not self._clones:
            return False
        try:
            fcntl.ioctl(writing, _CLONE, reading)
        except OSError:
            self._clones = False  # the file system cannot, and will not for the next file either
        return self._clones

    def _tell(self) -> None:
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_EVERY
            self._progress(f"copied {self._count} files, {self._size / 1e6:.0f} MB")


def _turn(folder: bytes) -> int:
    """When a folder's turn is: git's packs come last, its loose objects before them."""
    if not folder.startswith(b".git/"):
        return _FILES
    if folder.endswith(b"/objects/pack"):
        return _PACKS
    return _OBJECTS if b"/objects" in folder else _FILES


def special_note(copied: Copied) -> list[str]:
    """What a person should know of what did not come along."""
    notes: list[str] = []
    if copied.special:
        notes.append(f"sockets, pipes and devices are not copied: {shown_some(copied.special)}")
    if copied.links_out:
        notes.append(f"not copied, for it names a repository elsewhere: {shown_some(copied.links_out)}")
    return notes
