# ruff: noqa: PTH115, PTH118
# Paths are bytes here, because names of files need not be text.
"""A tar stream of some files of a local tree, made as it is sent."""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from leasehold.drivers.remote.asking import CHUNK

_BLOCK = 512
_NAME = 100
_READ = 1 << 20
_SOON = 1 << 20
_TELL_EVERY = 2.0
_LONG_NAME, _LONG_LINK = b"L", b"K"
_FILE, _LINK, _FOLDER = b"0", b"2", b"5"


def tar_chunks(
    top: Path,
    paths: Iterable[bytes],
    check: Callable[[], None],
    progress: Callable[[str], None],
    *,
    name: bytes | None = None,
    closed: Sequence[tuple[bytes, os.stat_result]] = (),
) -> Iterator[bytes]:
    """The stream in chunks of some megabytes. What vanished meanwhile is left out. Raises ``OSError``.

    ``name`` is what the one path is called in the stream, where it is another. ``closed`` are further folders
    that get their modes last.

    In GNU's form, which tar and busybox read alike, whatever a name is made of. Folders come before what is
    in them; those that cannot be written get their modes last.
    """
    waiting = bytearray()
    shut = list(closed)
    count, sent, tell_at = 0, 0, time.monotonic() + _TELL_EVERY
    root = os.fsencode(top)
    for path in sorted(paths):
        check()
        full = os.path.join(root, path)
        try:
            facts = os.lstat(full)
        except FileNotFoundError:
            continue
        for part in _member(name or path, full, facts, shut, check):
            waiting += part
            if len(waiting) >= CHUNK:
                sent += len(waiting)
                yield bytes(waiting)
                waiting.clear()
        count += 1
        if time.monotonic() >= tell_at:
            tell_at = time.monotonic() + _TELL_EVERY
            progress(f"sent {count} entries, {(sent + len(waiting)) / 1e6:.0f} MB")
    for path, facts in reversed(shut):
        waiting += _head(path + b"/", stat.S_IMODE(facts.st_mode), 0, facts.st_mtime, _FOLDER)
    waiting += bytes(2 * _BLOCK)
    yield bytes(waiting)


class TarSink:
    """What is copied, as a tar stream on its way: ``emit`` gets chunks of some megabytes. ``leave`` stays behind.

    Attributes:
        sent: the paths in the stream.
        torn: those of them whose files changed while they were read: they are to be sent again.
        closed: folders that cannot be written, which get their modes last.
    """

    def __init__(self, emit: Callable[[bytes], None], leave: Callable[[bytes], bool]) -> None:
        self.sent: set[bytes] = set()
        self.torn: set[bytes] = set()
        self.closed: list[tuple[bytes, os.stat_result]] = []
        self._emit = emit
        self._leave = leave
        self._waiting = bytearray()
        self._path: bytes | None = None
        self._left = self._size = 0

    def folder(self, path: bytes, facts: os.stat_result) -> None:
        mode = stat.S_IMODE(facts.st_mode)
        if self._begin(path):
            if mode & 0o700 != 0o700:
                self.closed.append((path, facts))
            self._add(_head(path + b"/", mode | 0o700, 0, facts.st_mtime, _FOLDER))

    def link(self, path: bytes, facts: os.stat_result, text: bytes) -> None:
        if self._begin(path):
            self._add(_head(path, 0o777, 0, facts.st_mtime, _LINK, text))

    def file(self, path: bytes, facts: os.stat_result) -> None:
        if self._begin(path):
            self._path, self._left, self._size = path, facts.st_size, facts.st_size
            self._add(_head(path, stat.S_IMODE(facts.st_mode), facts.st_size, facts.st_mtime, _FILE))

    def content(self, data: bytes) -> None:
        if self._path is None:
            return
        kept = data[: self._left]
        if len(kept) < len(data):
            self.torn.add(self._path)
        self._left -= len(kept)
        self._add(kept)

    def finish(self) -> None:
        """Send what is waiting. The stream may go on."""
        self._end()
        if self._waiting:
            self._emit(bytes(self._waiting))
            self._waiting.clear()

    def _begin(self, path: bytes) -> bool:
        self._end()
        if self._leave(path):
            return False
        self.sent.add(path)
        return True

    def _end(self) -> None:
        if self._path is None:
            return
        if self._left:
            self.torn.add(self._path)
        while self._left:
            zeros = bytes(min(self._left, _READ))
            self._left -= len(zeros)
            self._add(zeros)
        self._add(bytes(-self._size % _BLOCK))
        self._path = None

    def _add(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= _SOON:
            self._emit(bytes(self._waiting))
            self._waiting.clear()


def _member(
    path: bytes,
    full: bytes,
    facts: os.stat_result,
    closed: list[tuple[bytes, os.stat_result]],
    check: Callable[[], None],
) -> Iterator[bytes]:
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_ISDIR(facts.st_mode):
        if mode & 0o700 != 0o700:
            closed.append((path, facts))
        yield _head(path + b"/", mode | 0o700, 0, facts.st_mtime, _FOLDER)
    elif stat.S_ISLNK(facts.st_mode):
        yield _head(path, 0o777, 0, facts.st_mtime, _LINK, os.readlink(full))
    elif stat.S_ISREG(facts.st_mode):
        yield from _file(path, full, mode, check)


def _file(path: bytes, full: bytes, mode: int, check: Callable[[], None]) -> Iterator[bytes]:
    descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        facts = os.fstat(descriptor)
        size = left = facts.st_size
        yield _head(path, mode, size, facts.st_mtime, _FILE)
        while left:
            data = os.read(descriptor, min(left, _READ)) or bytes(min(left, _READ))  # cut short meanwhile
            left -= len(data)
            yield data
            check()
        yield bytes(-size % _BLOCK)
    finally:
        os.close(descriptor)


def _head(path: bytes, mode: int, size: int, mtime: float, kind: bytes, link: bytes = b"") -> bytes:
    long = b""
    if len(link) > _NAME:
        long += _extra(link, _LONG_LINK)
    if len(path) > _NAME:
        long += _extra(path, _LONG_NAME)
    return long + _block(path[:_NAME], mode, size, int(mtime), kind, link[:_NAME])


def _extra(text: bytes, kind: bytes) -> bytes:
    data = text + b"\0"
    return _block(b"././@LongLink", 0, len(data), 0, kind, b"") + data + bytes(-len(data) % _BLOCK)


def _block(name: bytes, mode: int, size: int, mtime: int, kind: bytes, link: bytes) -> bytes:
    head = b"".join(
        (
            name.ljust(_NAME, b"\0"),
            b"%07o\0" % mode,
            b"0000000\0" * 2,
            _number(size),
            _number(max(0, mtime)),
            b" " * 8,
            kind,
            link.ljust(_NAME, b"\0"),
            b"ustar  \0",
        )
    ).ljust(_BLOCK, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _number(value: int) -> bytes:
    """Twelve bytes: octal, and where that does not do, binary."""
    return b"%011o\0" % value if value < 8**11 else b"\x80" + value.to_bytes(11, "big")
