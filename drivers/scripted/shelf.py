"""Where a scripted provider keeps what it knows: named bytes, in memory or in a folder."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from leasehold.drivers.waiting_lock import taken

_PAUSE = 0.005  # seconds between two looks whether another process has let go


class MemoryShelf:
    """Named bytes of this process."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}
        self._lock = threading.RLock()

    @asynccontextmanager
    async def locked(self, _: Callable[[], None]) -> AsyncGenerator[None]:
        """One event loop at a time; who holds it does not await."""
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

    @asynccontextmanager
    async def locked(self, check: Callable[[], None]) -> AsyncGenerator[None]:
        """One process at a time; the kernel lets go of a dead one's lock. A frozen one stops who waits, and no more."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("a") as lock:
            while not taken(lock.fileno()):
                check()
                await asyncio.sleep(_PAUSE)
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
        folder = self._root / prefix.rpartition("/")[0]  # the others' may be thousands
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = (path.relative_to(self._root).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))
