# ruff: noqa: PTH115, PTH118
# Paths are bytes here, because names of files need not be text.
"""A tar stream of some files of a local tree, made as it is sent."""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from leasehold.drivers.remote.asking import CHUNK

_BLOCK = 512
_NAME = 100
_READ = 1 << 20
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
) -> Iterator[bytes]:
    """The stream in chunks of some megabytes. What vanished meanwhile is left out. Raises ``OSError``.

    ``name`` is what the one path is called in the stream, where it is another.

    In GNU's form, which tar and busybox read alike, whatever a name is made of. Folders come before what is
    in them; those that cannot be written get their modes last.
    """
    waiting = bytearray()
    closed: list[tuple[bytes, os.stat_result]] = []
    count, sent, tell_at = 0, 0, time.monotonic() + _TELL_EVERY
    root = os.fsencode(top)
    for path in sorted(paths):
        check()
        full = os.path.join(root, path)
        try:
            facts = os.lstat(full)
        except FileNotFoundError:
            continue
        for part in _member(name or path, full, facts, closed, check):
            waiting += part
            if len(waiting) >= CHUNK:
                sent += len(waiting)
                yield bytes(waiting)
                waiting.clear()
        count += 1
        if time.monotonic() >= tell_at:
            tell_at = time.monotonic() + _TELL_EVERY
            progress(f"sent {count} entries, {(sent + len(waiting)) / 1e6:.0f} MB")
    for path, facts in reversed(closed):
        waiting += _head(path + b"/", stat.S_IMODE(facts.st_mode), 0, facts.st_mtime, _FOLDER)
    waiting += bytes(2 * _BLOCK)
    yield bytes(waiting)


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
