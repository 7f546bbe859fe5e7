# ruff: noqa: PTH118, PTH120, PTH211
# Paths are bytes here, because names of files need not be text.
"""A tar stream from a place, unpacked guardedly into a local tree."""

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path

from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.remote.listing import is_inside
from leasehold.drivers.removal import remove_tree
from leasehold.drivers.shown import shown

MOST_BYTES = 256 << 30
"""How much one return may hold."""

_BESIDE = ".leasehold-received.new"
_COPY = 1 << 20
_HINT = "look at the place: what is there is not what was asked for"


class Receiving:
    """Unpacks one stream below ``top``: only what was asked for (none: anything), only files, folders and links.

    A folder that is a file or a link here makes way, so nothing is ever written through a link. ``link``
    is asked with path and text whether a link may come, and may raise.
    """

    def __init__(
        self,
        top: Path,
        asked: Collection[bytes] | None,
        *,
        check: Callable[[], None],
        link: Callable[[bytes, bytes], bool],
        most: int = MOST_BYTES,
    ) -> None:
        self.top = top
        self._asked = asked
        self._check = check
        self._link = link
        self._left = most
        self.received: set[bytes] = set()
        self.whole = False
        """Whether the stream has the top itself: it is that of a folder."""

    def run(self, stream: io.RawIOBase | io.BytesIO) -> None:
        """Unpack all. Raises ``Damaged`` for what may not come, ``Unavailable`` for a stream that is cut short."""
        try:
            # A list of names may be too long for one archive: then several come, one behind the other.
            self.top.mkdir(exist_ok=True)
            with tarfile.open(
                fileobj=stream,
                mode="r|",
                ignore_zeros=True,
                encoding="utf-8",
                errors="surrogateescape",
                bufsize=1 << 20,
            ) as tar:
                for member in tar:
                    self._check()
                    self._take(tar, member)
        except tarfile.ReadError as error:
            if self._asked or self.received:
                raise Unavailable(f"what the place sent ends too early: {error}") from error

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = os.fsencode(member.name).removeprefix(b"./").rstrip(b"/")
        if self._asked is None and path in (b"", b"."):
            self.whole = True
            return
        if not is_inside(path):
            raise Damaged(f"the place sends {shown(member.name)}, which leads out of its tree", hint=_HINT)
        if self._asked is not None and path not in self._asked:
            raise Damaged(f"the place sends {shown(path)}, which nobody asked for", hint=_HINT)
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise Damaged(f"the place sends {shown(path)}, a device or a pipe", hint=_HINT)
        self._left -= member.size
        if self._left < 0:
            raise Damaged(f"the place sends more than {MOST_BYTES >> 30} GiB", hint="bring less back: use excludes")
        target = self._make_way(path)
        if member.isdir():
            self._folder(target, member)
        elif member.issym():
            text = os.fsencode(member.linkname)
            if self._link(path, text):
                remove_tree(target, self._check)
                os.symlink(text, os.fsencode(target))
        else:
            self._file(tar, member, target)
        self.received.add(path)

    def _make_way(self, path: bytes) -> Path:
        """Where a path stands: all folders above it are folders."""
        folder = self.top
        for part in path.split(b"/")[:-1]:
            folder = folder / os.fsdecode(part)
            if not _is_folder(folder):
                folder.unlink(missing_ok=True)
                folder.mkdir(mode=0o755)
        return self.top / os.fsdecode(path)

    def _folder(self, target: Path, member: tarfile.TarInfo) -> None:
        if not _is_folder(target):
            target.unlink(missing_ok=True)
            target.mkdir()
        target.chmod(member.mode & 0o777 | 0o700)

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        beside = self.top.parent / _BESIDE  # another file system would copy it twice
        beside.unlink(missing_ok=True)
        with beside.open("wb") as file:
            source = self._same(member) if member.islnk() else tar.extractfile(member)
            assert source is not None
            with source:
                while chunk := source.read(_COPY):
                    file.write(chunk)
                    self._check()
        beside.chmod(member.mode & 0o777 | 0o400)
        os.utime(beside, (member.mtime, member.mtime))
        if _is_folder(target):
            shutil.rmtree(target)
        beside.replace(target)

    def _same(self, member: tarfile.TarInfo) -> io.BufferedReader:
        """The content of a file that came earlier under another name."""
        path = os.fsencode(member.linkname).removeprefix(b"./")
        if path not in self.received:
            raise Damaged(f"the place sends {shown(member.name)} as a name of what it did not send", hint=_HINT)
        return (self.top / os.fsdecode(path)).open("rb")


def leads_out(path: bytes, text: bytes) -> bool:
    """Whether a link at this path of a tree names something outside of it."""
    where = os.path.normpath(os.path.join(os.path.dirname(path), text))
    return text.startswith(b"/") or where == b".." or where.startswith(b"../")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
