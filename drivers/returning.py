"""Which paths of a place's tree may come back: a run named them, and may have named them to do harm."""

import re
from collections.abc import Iterable

from leasehold.drivers.errors import Damaged
from leasehold.drivers.shown import shown

# What some file system or other takes for ``.git``: in any case, with signs that HFS+ ignores between the letters,
# and as NTFS names it.
_UNSEEN = rb"(?:\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf)*"
_DOT_GIT = _UNSEEN + _UNSEEN.join((rb"\.", b"g", b"i", b"t")) + _UNSEEN
_OWN = re.compile(rb"(?:\A|/)((?:" + _DOT_GIT + rb"|git~1)[. ]*(?::[^/]*)?)(?=/|\Z)", re.IGNORECASE)

# Of a repository, what may come back: what names commits and what they are made of. Configuration and hooks
# name programs: what a run wrote there is never to be run here.
_HOLDING = re.compile(
    rb"\.git(/(HEAD|index|packed-refs|shallow|(refs|objects(?!/info(/|\Z)))(/[^./][^/]*)*))?", re.DOTALL
)


def is_inside(path: bytes) -> bool:
    """Whether this is a plain path below a tree's top."""
    return bool(path) and not path.startswith(b"/") and all(part not in (b"", b".", b"..") for part in path.split(b"/"))


def in_git(path: bytes) -> bool:
    """Whether a path is a repository's own folder or stands in one: in that of the tree, or of one within it."""
    return _OWN.search(path) is not None


def repository(path: bytes) -> bytes:
    """The folder of the repository that a path ``in_git`` belongs to."""
    own = _OWN.search(path)
    return path[: own.start()] if own else b""


def comes_back(path: bytes) -> bool:
    """Whether a path comes to this side, to be kept: all files, and of repositories what holds commits."""
    own = _OWN.search(path)
    return own is None or (_HOLDING.fullmatch(path, own.start(1)) is not None and not path.endswith(b".lock"))


def is_kept(path: bytes) -> bool:
    """Whether a change of this path is kept: as ``comes_back``, but whoever asks git for its status writes an index."""
    return comes_back(path) and not (path.endswith(b".git/index") and in_git(path))


def is_written(path: bytes) -> bool:
    """Whether a path may be written into a user's tree: it is within, and in no repository's own folder."""
    return is_inside(path) and not in_git(path)


def demand_written(paths: Iterable[bytes]) -> None:
    """Raise ``Damaged`` where one of these may not be written."""
    for path in paths:
        if not is_written(path):
            raise Damaged(f"the tree at the place names {shown(path)}, which git would not write", hint="look at it")
