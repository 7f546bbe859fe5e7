# Paths are bytes here, because names of files need not be text.
"""What a far tree holds: each path with its kind, size, and a stamp that changes when it is written."""

import hashlib
import stat
from dataclasses import dataclass

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.manifest import EXECUTABLE, FOLDER, LINK, PLAIN
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.returning import is_inside
from leasehold.drivers.shown import shown

_TRIES = 3
_SPECIAL = "!"

# Names and facts apart: a name may hold any byte but NUL, and no `stat` writes one. A digest of the names, taken
# again, says that the two fit. Nothing is written: the disk may be full. Two changes within a tick of the clock
# bear one time: what was written just now is let grow older before it is looked at. What is nested deeper than the
# system takes a path is left out: nobody can read it by name.
LIST = r"""
listed() {
  [ -d "$D/tree" ] || say gone "the tree of the place $K is gone"
  cd "$D/tree" || say unavailable "$D/tree cannot be entered"
  pause
  find . -mindepth 1 >/dev/null 2>&1 || chmod -R u+rwX . 2>/dev/null
  found
  printf '\000'
  found | xargs -0 stat -c '%f %s %i %y %z' 2>/dev/null
  found | md5sum
}
found() { LC_ALL=C find . -mindepth 1 -path "$far*" -prune -o -print0; }
far=$(printf '%4000s' '' | tr ' ' '?')
"""

# How the tree stood when the run began: a machine without a mirror of it tells the changes by that.
REMEMBER = (
    LIST
    + r"""
remembered() {
  listed >"$D/.listed.new" && mv "$D/.listed.new" "$D/listed" || say unavailable "$D/listed cannot be written"
}
"""
)

_LISTED = LIST + "fresh\nstanding\nlisted\n"
_REMEMBERED = REMEMBER + 'fence\nstanding\nremembered\ncat "$D/listed"\n'


@dataclass(frozen=True, slots=True)
class Facts:
    """One path. ``stamp`` is what was seen; when it is seen again, the content is still the same."""

    kind: str
    size: int
    stamp: str

    @property
    def special(self) -> bool:
        """A socket, pipe or device."""
        return self.kind == _SPECIAL


Listing = dict[bytes, Facts]


async def list_tree(place: RemotePlace, context: Context, *, remember: bool = False) -> Listing:
    """Look at the tree of a place. What changes under our eyes is looked at again.

    ``remember`` it at the place, too: what changes from now on is the run's.
    """
    for _ in range(_TRIES):
        listing = parse(await place.ask(_REMEMBERED if remember else _LISTED, context))
        if listing is not None:
            return listing
    raise Unavailable(f"the tree of the place {place.key} changes while it is looked at", hint="end what writes there")


def parse(said: bytes) -> Listing | None:
    """What ``listed`` wrote; ``None`` where the tree changed under its hands. Raises ``Damaged``."""
    listed, end, rest = said.partition(b"\0\0") if not said.startswith(b"\0") else (b"", b"\0", said[1:])
    if not end:
        raise Damaged("the place's list of files cannot be read")
    names = listed.split(b"\0") if listed else []
    *rows, sum_ = rest.splitlines() or [b""]
    data = b"".join(name + b"\0" for name in names)
    if len(rows) != len(names) or hashlib.md5(data, usedforsecurity=False).hexdigest().encode() != sum_.split(b" ")[0]:
        return None
    return {_path(name): _facts(row) for name, row in zip(names, rows, strict=True)}


def _path(name: bytes) -> bytes:
    path = name.removeprefix(b"./")
    if not is_inside(path):
        raise Damaged(f"the place lists {shown(name)}, which is no path of its tree")
    return path


def _facts(row: bytes) -> Facts:
    words = row.decode("ascii", "replace").split(" ", 3)
    mode, size = int(words[0], 16), int(words[1])
    if stat.S_ISDIR(mode):
        return Facts(FOLDER, 0, f"{mode:x}")
    if stat.S_ISLNK(mode):
        return Facts(LINK, size, " ".join(words))
    if not stat.S_ISREG(mode):
        return Facts(_SPECIAL, 0, "")
    return Facts(EXECUTABLE if mode & 0o100 else PLAIN, size, " ".join(words))
