# Paths are bytes here, because names of files need not be text.
"""Reading what stands in a tree in which commands may still work: no link is followed on the way."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def parent_of(top: Path, path: bytes) -> Generator[tuple[int, bytes], None, None]:
    """The folder of a path of a tree, as a descriptor, and the name in it.

    Looked up folder by folder: what was one when the tree was looked at, and is a link by now, is an ``OSError``.
    """
    *above, name = path.split(b"/")
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder, name
    finally:
        os.close(folder)


def opened(folder: int, name: bytes) -> IO[bytes]:
    """A file in a folder, to be read. Raises ``OSError`` for a link, and ``FileNotFoundError`` for what is no file."""
    number = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise FileNotFoundError(f"no file any more: {os.fsdecode(name)}")
    return os.fdopen(number, "rb")
