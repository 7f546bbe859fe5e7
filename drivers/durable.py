"""Files written whole: a reader sees the old content or the new, also after a crash."""

import hashlib
import json
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def beside(path: Path) -> Path:
    """Where a file stands before it is renamed: a short name of its own, found again after a crash."""
    return path.with_name(f".leasehold-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:20]}.new")


@contextmanager
def renamed(path: Path) -> Generator[Path]:
    """A file beside ``path`` to be made, and renamed to it at the end. Nothing of it is left where that fails."""
    new = beside(path)
    new.unlink(missing_ok=True)
    try:
        yield new
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)  # the disk may be full of it
        raise


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write beside, flush to the disk, rename. What a crash left beside is overwritten by the next call.

    A file that is replaced passes its permissions on; a new one gets ``mode``, less the umask.
    """
    with renamed(path) as new:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    flush_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """``write_whole`` of a JSON value. Names of files that are no text pass as lone surrogates."""
    write_whole(path, json.dumps(value, separators=(",", ":")).encode())


def read_json(path: Path) -> Any | None:
    """The value, or ``None`` where there is no file. Raises ``ValueError`` for what is no JSON."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return json.loads(data)


def flush_folder(folder: Path) -> None:
    """Make names that were made, renamed or removed in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
