"""Where a scripted provider keeps what it knows: named bytes, in memory or in a folder."""

import fcntl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class MemoryShelf:
    """Named bytes of this process."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}
        self._lock = threading.RLock()

    @contextmanager
    def locked(self) -> Generator[None]:
        """One reader or writer at a time."""
        with self._lock:
            yield

    def get(self, name: str) -> bytes | None:
        return self._items.get(name)

    def put(self, name: str, data: bytes) -> None:
        self._items[name] = data

    def remove(self, name: str) -> None:
        self._items.pop(name, None)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self._items if name.startswith(prefix))


class FolderShelf:
    """The same on disk: each item is a file, whole or not there, also after its writer was killed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def locked(self) -> Generator[None]:
        """One process at a time; the kernel lets go of a dead one's lock."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def get(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(data)
        beside.replace(path)

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        found = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = (path.relative_to(self._root).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))
