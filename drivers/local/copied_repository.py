"""A copy's repository as our git sees it: what it holds, under the configuration of the one it was copied from."""

import os
import re
from pathlib import Path

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged
from leasehold.drivers.git import Git
from leasehold.drivers.local.place import Place
from leasehold.drivers.removal import remove_tree

_FOLDER = "git"
_HELD = ("objects", "refs", "packed-refs", "shallow", "index", "sharedindex.*", "reftable")
_OBEYED = ("info", "config.worktree")
_HEAD = re.compile(rb"ref: refs/[^\n]+|[0-9a-f]{40}|[0-9a-f]{64}")


def git_of_copy(place: Place, source: Path, context: Context) -> Git:
    """Git in a copy of the checkout ``source``. Raises ``Damaged``.

    A run may have written programs into the copy's configuration and attributes (filters, hooks, monitors), which
    git would start on this side. So git is given a folder of ours, which leads to the copy for what is no more
    than names and objects, and to ``source`` for all that git obeys.
    """
    theirs, ours = place.tree / ".git", place.folder / _FOLDER
    remove_tree(ours, context.check)
    ours.mkdir(mode=0o700)
    for held in (path for pattern in _HELD for path in theirs.glob(pattern)):
        (ours / held.name).symlink_to(held)
    for name in _OBEYED:
        if (source / ".git" / name).exists():
            (ours / name).symlink_to(source / ".git" / name)
    (ours / "HEAD").write_bytes(read_head(theirs))
    (ours / "config").write_bytes(_config(source / ".git" / "config"))
    return place.git(place.tree, context).having(GIT_DIR=ours, GIT_WORK_TREE=place.tree)


def read_head(folder: Path) -> bytes:
    """What a repository has checked out. Raises ``Damaged`` for what git would not write."""
    head = folder / "HEAD"
    try:
        text = b"" if head.is_symlink() else head.read_bytes()
    except OSError:
        text = b""
    if not _HEAD.fullmatch(text.strip()):
        raise Damaged("the repository at the place has a HEAD that git would not write", hint="look at the place")
    return text


def _config(file: Path) -> bytes:
    """What a file says, and once more where it stands: what it includes is named relative to there."""
    quoted = os.fsencode(file).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return file.read_bytes() + b'\n[include]\n\tpath = "' + quoted + b'"\n'
