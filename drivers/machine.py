"""What tells this machine from others in the names of what a lease holds for itself."""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_NOT_BURNT_IN = 0b11 << 40


def machine_id(state_folder: Path) -> str:
    """The machine's own id; where it has none, its network card's; else one that stands in the state folder."""
    for path in _FILES:
        if text := _read(path):
            return text
    node = uuid.getnode()
    if not node & _NOT_BURNT_IN:  # else it was drawn, by Python for this process or by whoever made the card up
        return f"{node:012x}"
    try:
        return _drawn(state_folder)
    except OSError:
        return f"{node:012x}"  # where nothing can be written, no place stands that another process could end


def _drawn(state_folder: Path) -> str:
    """An id that the first who asks draws, and that all find then."""
    path = state_folder / "machine-id"
    if not _read(path):
        state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=state_folder) as file:
            file.write(f"{uuid.uuid4().hex}\n")
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
