# ruff: noqa: PTH211
# Paths are bytes here, because names of files need not be text.
"""A tar stream from a place, unpacked guardedly into a local tree."""

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.remote.admission import LOOK, MOST_BYTES, Admission, is_special
from leasehold.drivers.removal import remove_tree
from leasehold.drivers.shown import shown
from leasehold.drivers.sync import blocked

_BESIDE = ".leasehold-received.new"
_COPY = 1 << 20


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
        self._admission = Admission(asked, most=most, room=top)
        self._check = check
        self._link = link
        self.received: set[bytes] = set()

    @property
    def whole(self) -> bool:
        """Whether the stream has the top itself: it is that of a folder."""
        return self._admission.whole

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
        path = self._admission.path(member)
        if path is None:
            return
        if is_special(member):
            raise Damaged(f"the place sends {shown(path)}, a device or a pipe", hint=LOOK)
        target = self._make_way(path)
        same = self._same(member) if member.islnk() else None
        if member.isdir():
            self._folder(target, member)
        elif member.issym():
            self._symlink(path, target, os.fsencode(member.linkname))
        elif same is not None and same.is_symlink():
            self._symlink(path, target, os.fsencode(same.readlink()))
        else:
            source = tar.extractfile(member) if same is None else same.open("rb")
            assert source is not None
            with source:
                self._file(source, member, target)
        self.received.add(path)

    def _same(self, member: tarfile.TarInfo) -> Path:
        """What came earlier under another name."""
        path = self._admission.original(member, self.received)
        if blocked(self.top, path):  # a link has come in the stead of a folder since
            raise Damaged(f"the place sends {shown(member.name)} as a name of what it did not send", hint=LOOK)
        return self.top / os.fsdecode(path)

    def _make_way(self, path: bytes) -> Path:
        """Where a path stands: all folders above it are folders."""
        folder = self.top
        for part in path.split(b"/")[:-1]:
            folder = folder / os.fsdecode(part)
            if not _is_folder(folder):
                folder.unlink(missing_ok=True)
                folder.mkdir(mode=0o755)
        return self.top / os.fsdecode(path)

    def _symlink(self, path: bytes, target: Path, text: bytes) -> None:
        if self._link(path, text):
            remove_tree(target, self._check)
            os.symlink(text, os.fsencode(target))

    def _folder(self, target: Path, member: tarfile.TarInfo) -> None:
        if not _is_folder(target):
            target.unlink(missing_ok=True)
            target.mkdir()
        target.chmod(member.mode & 0o777 | 0o700)

    def _file(self, source: IO[bytes], member: tarfile.TarInfo, target: Path) -> None:
        beside = self.top.parent / _BESIDE  # another file system would copy it twice
        beside.unlink(missing_ok=True)
        with beside.open("wb") as file:
            while chunk := source.read(_COPY):
                file.write(chunk)
                self._check()
        beside.chmod(member.mode & 0o777 | 0o400)
        os.utime(beside, (member.mtime, member.mtime))
        if _is_folder(target):
            shutil.rmtree(target)
        beside.replace(target)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
