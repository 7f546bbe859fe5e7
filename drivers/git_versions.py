# ruff: noqa: PTH115, PTH118
# Paths are bytes here, because names of files need not be text.
"""Versions of files as git sees them: what ``sync`` compares in a repository."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

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

    ``git`` runs at the tree's top; ``length`` is that of the repository's object ids, in hex digits. What the file
    system does not tell by the repository's configuration (who may execute, what is a link), its index does.
    """
    modes, links = (git.maybe("config", "--type=bool", f"core.{name}") != "false" for name in ("fileMode", "symlinks"))
    indexed = {} if modes and links else _indexed(git)

    def ask(paths: Sequence[bytes]) -> Mapping[bytes, str | None]:
        versions: dict[bytes, str | None] = {}
        files: list[tuple[bytes, str]] = []
        for path in paths:
            kind, known = _kind(git, path), indexed.get(path)
            full = os.path.join(os.fsencode(git.folder), path)
            if kind in (PLAIN, EXECUTABLE):
                if not links and known == LINK:
                    versions[path] = LINK + _blob(Path(os.fsdecode(full)).read_bytes(), length)
                else:
                    files.append((path, known if not modes and known in (PLAIN, EXECUTABLE) else kind))
            elif kind == LINK:
                versions[path] = LINK + _blob(os.readlink(full), length)
            else:
                versions[path] = kind
        if files:
            named = b"".join(_quoted(path) + b"\n" for path, _ in files)
            found = git.run("hash-object", "--stdin-paths", stdin=named).out.decode().split()
            versions.update({path: kind + identity for (path, kind), identity in zip(files, found, strict=True)})
        return versions

    return ask


def _indexed(git: Git) -> dict[bytes, str]:
    """The kinds of files as the index has them."""
    rows = [row.partition(b"\t") for row in git.run("ls-files", "-z", "--stage").names]
    return {path: _KINDS.get(os.fsdecode(facts[:6]), "") for facts, _, path in rows}


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
