"""Files written whole: a reader sees the old content or the new, also after a crash."""

import json
import os
import stat
from pathlib import Path
from typing import Any


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write beside, flush to the disk, rename. What a crash left beside is overwritten by the next call.

    A file that is replaced passes its permissions on; a new one gets ``mode``, less the umask.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        if path.exists():
            os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
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
