# Paths are bytes here, because names of files need not be text.
"""What of an archive that a place sends is let in."""

import os
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path

from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.returning import is_inside
from leasehold.drivers.shown import shown

MOST_BYTES = 256 << 30
"""How much one archive may hold."""

_MOST_MEMBERS = 20_000_000
_SPARE = 64 << 20  # what stays free of a file system, or a hundredth of a small one

LOOK = "look at the place: what is there is not what was asked for"
"""What to do where a place sends what may not come."""


class Admission:
    """The members of one archive, one after the other: only what was asked for, within the tree, not too much.

    ``asked`` are paths of the tree (none: anything); ``prefix`` stands before each name. ``room`` is the folder
    that they are unpacked in: its file system is not filled up.

    Attributes:
        whole: the archive has the tree's top itself.
    """

    def __init__(
        self,
        asked: Collection[bytes] | None,
        *,
        prefix: str = "./",
        most: int = MOST_BYTES,
        room: Path | None = None,
    ) -> None:
        self.whole = False
        self._asked = asked
        self._prefix = os.fsencode(prefix)
        self._most = most
        self._left = most
        self._members = 0
        self._room = room

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
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise Damaged(f"the place sends more than {_MOST_MEMBERS} files", hint="bring less back: use excludes")
        if self._room is not None:
            self._demand_room(self._room, member)
        return path

    def _demand_room(self, folder: Path, member: tarfile.TarInfo) -> None:
        disk = shutil.disk_usage(folder)
        if disk.free - member.size < min(_SPARE, disk.total // 100):
            raise Unavailable(
                f"there is no room here for what the place sends: {shown(member.name)} has {member.size / 1e6:.1f} MB, "
                f"and {disk.free / 1e6:.1f} MB are free at {shown(folder)}",
                hint="make room, and try again; or bring less back: use excludes",
            )

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
