# ruff: noqa: PTH115, PTH118
# Paths are bytes here, because names of files need not be text.
"""Versions of files as git sees them: what ``sync`` compares in a repository."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence

from leasehold.drivers.git import Git
from leasehold.drivers.manifest import EXECUTABLE, FOLDER, LINK, PLAIN
from leasehold.drivers.sync import BLOCKED, blocked

_KINDS = {"100644": PLAIN, "100755": EXECUTABLE, "120000": LINK}
_SPECIAL = "special"


def version(side: tuple[str, str] | None) -> str | None:
    """The version of one side of a change; a submodule's is its mode and commit."""
    if side is None:
        return None
    mode, identity = side
    return _KINDS.get(mode, mode) + identity


def identify(git: Git, length: int) -> Callable[[Sequence[bytes]], Mapping[bytes, str | None]]:
    """Versions of the files of a working tree as they stand, as git would store them.

    ``git`` runs at the tree's top; ``length`` is that of the repository's object ids, in hex digits.
    """

    def ask(paths: Sequence[bytes]) -> Mapping[bytes, str | None]:
        versions: dict[bytes, str | None] = {}
        files: list[tuple[bytes, str]] = []
        for path in paths:
            kind = _kind(git, path)
            if kind in (PLAIN, EXECUTABLE):
                files.append((path, kind))
            elif kind == LINK:
                text = os.readlink(os.path.join(os.fsencode(git.folder), path))
                versions[path] = LINK + _blob(text, length)
            else:
                versions[path] = kind
        if files:
            named = b"".join(_quoted(path) + b"\n" for path, _ in files)
            found = git.run("hash-object", "--stdin-paths", stdin=named).out.decode().split()
            versions.update({path: kind + identity for (path, kind), identity in zip(files, found, strict=True)})
        return versions

    return ask


def _kind(git: Git, path: bytes) -> str | None:
    if blocked(git.folder, path):
        return BLOCKED
    try:
        mode = os.lstat(os.path.join(os.fsencode(git.folder), path)).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        return FOLDER
    if stat.S_ISLNK(mode):
        return LINK
    if not stat.S_ISREG(mode):
        return _SPECIAL
    return EXECUTABLE if mode & 0o100 else PLAIN


def _blob(data: bytes, length: int) -> str:
    name = "sha1" if length == 40 else "sha256"
    return hashlib.new(name, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _quoted(path: bytes) -> bytes:
    escaped = b"".join(b"\\%03o" % byte if byte < 32 or byte in b'"\\' else bytes((byte,)) for byte in path)
    return b'"' + escaped + b'"'
