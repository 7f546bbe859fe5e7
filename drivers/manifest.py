# ruff: noqa: PTH208, PTH115, PTH118
# Paths are bytes here, because names of files need not be text.
"""What a tree holds: each path with its kind, mode, size and digest."""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leasehold.drivers.excludes import Excludes
from leasehold.drivers.returning import is_kept

FOLDER = "d"
LINK = "l"
PLAIN = "-"
EXECUTABLE = "x"
_CHUNK = 1 << 20
RACY_NS = 50_000_000
"""Two changes that are closer together may bear the same time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. Links are links, whatever they name.

    Attributes:
        kind: one of ``FOLDER``, ``LINK``, ``PLAIN``, ``EXECUTABLE``.
        mode: permission bits.
        size: bytes.
        digest: SHA-256 of the content, or of a link's text; empty for a folder.
        stamp: modification and change time in ns, and inode; empty where they prove nothing, because the
            file changed while it was looked at, or just before.
    """

    kind: str
    mode: int
    size: int
    digest: str
    stamp: tuple[int, ...] = ()

    @property
    def version(self) -> str:
        """What two sides compare."""
        return self.kind + self.digest


Manifest = dict[bytes, Entry]


@dataclass(frozen=True, slots=True)
class Scan:
    """A manifest, and the paths left out: no file, folder or link, or deeper than the system takes a path."""

    manifest: Manifest
    special: tuple[bytes, ...]


def scan(
    top: Path,
    check: Callable[[], None],
    *,
    excludes: Excludes | None = None,
    known: Mapping[bytes, Entry] | None = None,
    with_git: bool = False,
) -> Scan:
    """Look at a tree. What ``known`` has with the same stamp is not read again.

    ``check`` is called for each entry. Of repositories within, what is kept of them is looked at; a ``.git`` at the
    top is left out, unless asked for.
    """
    manifest: Manifest = {}
    special: list[bytes] = []
    root = os.fsencode(top)
    stack = [b""]
    while stack:
        folder = stack.pop()
        for name in _names(os.path.join(root, folder)):
            check()
            path = os.path.join(folder, name)
            if (path == b".git" and not with_git) or not is_kept(path) or (excludes and path in excludes):
                continue
            try:
                entry = look(os.path.join(root, path), check, known.get(path) if known else None)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                entry = None
            if entry is None:
                special.append(path)
                continue
            manifest[path] = entry
            if entry.kind == FOLDER:
                stack.append(path)
    return Scan(manifest, tuple(sorted(special)))


def _names(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return []  # nested deeper than the system takes a path: nobody can read it by name
        raise


def look(path: bytes, check: Callable[[], None], known: Entry | None = None) -> Entry | None:
    """One path; ``None`` for a socket, a pipe or a device. Raises ``FileNotFoundError``."""
    facts = os.lstat(path)
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_ISDIR(facts.st_mode):
        return Entry(FOLDER, mode, 0, "")
    if stat.S_ISLNK(facts.st_mode):
        text = os.readlink(path)
        return Entry(LINK, 0o777, len(text), hashlib.sha256(text).hexdigest())
    if not stat.S_ISREG(facts.st_mode):
        return None
    kind = EXECUTABLE if mode & 0o100 else PLAIN
    seen = stamp(facts)
    if known is not None and (known.stamp, known.size, known.kind) == (seen, facts.st_size, kind):
        return known
    begun = time.time_ns()
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0, opener=_no_link) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            check()
    return Entry(kind, mode, facts.st_size, digest.hexdigest(), seen if facts.st_ctime_ns < begun - RACY_NS else ())


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def stamp(facts: os.stat_result) -> tuple[int, ...]:
    """What proves, when it is seen again, that a file was not written since."""
    return (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


def to_json(manifest: Manifest) -> dict[str, list[Any]]:
    return {
        os.fsdecode(path): [entry.kind, entry.mode, entry.size, entry.digest, *entry.stamp]
        for path, entry in manifest.items()
    }


def from_json(value: Mapping[str, list[Any]]) -> Manifest:
    return {
        os.fsencode(path): Entry(kind, mode, size, digest, tuple(stamp))
        for path, (kind, mode, size, digest, *stamp) in value.items()
    }


def differences(old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> list[bytes]:
    """The paths whose versions differ, sorted."""
    return sorted(
        path
        for path in old.keys() | new.keys()
        if path not in old or path not in new or old[path].version != new[path].version
    )
