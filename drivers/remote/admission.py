# Paths are bytes here, because names of files need not be text.
"""What of an archive that a place sends is let in."""

import os
import tarfile
from collections.abc import Collection

from leasehold.drivers.errors import Damaged
from leasehold.drivers.returning import is_inside
from leasehold.drivers.shown import shown

MOST_BYTES = 256 << 30
"""How much one archive may hold."""

LOOK = "look at the place: what is there is not what was asked for"
"""What to do where a place sends what may not come."""


class Admission:
    """The members of one archive, one after the other: only what was asked for, within the tree, not too much.

    ``asked`` are paths of the tree (none: anything); ``prefix`` stands before each name.

    Attributes:
        whole: the archive has the tree's top itself.
    """

    def __init__(self, asked: Collection[bytes] | None, *, prefix: str = "./", most: int = MOST_BYTES) -> None:
        self.whole = False
        self._asked = asked
        self._prefix = os.fsencode(prefix)
        self._most = most
        self._left = most

    def path(self, member: tarfile.TarInfo) -> bytes | None:
        """Where a member belongs in the tree; none for the top itself. Raises ``Damaged`` for what may not come."""
        name = os.fsencode(member.name).rstrip(b"/")
        if self._asked is None and name in (b"", b".", self._prefix.rstrip(b"/")):
            self.whole = True
            return None
        path = name.removeprefix(self._prefix)
        if not is_inside(path):
            raise Damaged(f"the place sends {shown(member.name)}, which leads out of its tree", hint=LOOK)
        if self._asked is not None and path not in self._asked:
            raise Damaged(f"the place sends {shown(path)}, which nobody asked for", hint=LOOK)
        self._left -= member.size
        if self._left < 0:
            raise Damaged(f"the place sends more than {self._most >> 30} GiB", hint="bring less back: use excludes")
        return path

    def original(self, member: tarfile.TarInfo, came: Collection[bytes]) -> bytes:
        """Which path a hard link is another name of. Raises ``Damaged`` where it is none of those that came."""
        path = os.fsencode(member.linkname).removeprefix(self._prefix)
        if path not in came:
            raise Damaged(f"the place sends {shown(member.name)} as a name of what it did not send", hint=LOOK)
        return path


def is_special(member: tarfile.TarInfo) -> bool:
    """Whether a member is a device or a pipe: no file, folder or link."""
    return not (member.isreg() or member.isdir() or member.issym() or member.islnk())


def leads_out(path: bytes, text: bytes) -> bool:
    """Whether a link at this path of a tree names something outside of it, or may.

    It may where it goes up from a name: that one can be a link itself, which leads anywhere in the tree. Links that
    only go up first, and not above the tree's top, lead nowhere else, also one by way of the other.
    """
    parts = [part for part in text.split(b"/") if part not in (b"", b".")]
    up = next((at for at, part in enumerate(parts) if part != b".."), len(parts))
    return text.startswith(b"/") or b".." in parts[up:] or up > path.count(b"/")
