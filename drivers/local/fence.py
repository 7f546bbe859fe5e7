"""The fence of a key: one verb at a time, and none under an older epoch than was seen."""

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Stale
from leasehold.drivers.waiting_lock import lock, taken

FOLDER = ".fences"
STALE_AFTER = 7 * 24 * 3600.0


class Fence:
    """A small file per key: the highest epoch that a verb came under, and whether it must stay.

    A process that inherits ``descriptor`` goes on holding the lock: a verb waits for what a killed caller
    left under way.

    It stays when the key was taken over or refused: it is what stops a frozen older owner that wakes up.
    Else it goes with its place.
    """

    def __init__(self, root: Path, key: str) -> None:
        self.key = key
        self._path = root / FOLDER / key
        self._epoch = 0
        self._stays = False
        self.descriptor = -1

    @contextmanager
    def held(self, context: Context, *, stands: Callable[[], bool]) -> Generator["Fence", None, None]:
        """Hold the fence during one verb. Raises ``Stale``, and by the context ``TimedOut``, ``Stopped``.

        ``stands`` says at the end whether the key's place is there, and so whether the fence is needed.
        """
        for folder in (self._path.parents[1], self._path.parent):  # parents of what is made have the usual mode
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = self.descriptor = self._lock(context)
        try:
            self._raise_to(descriptor, context.epoch)
            try:
                yield self
            finally:
                if not self._stays and not stands():
                    self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def refuse(self) -> None:
        """Within ``held``: from now on the key is refused to every older epoch."""
        self._stays = True
        self._write(self.descriptor)

    def check(self, epoch: int) -> None:
        """Raise ``Stale`` where a newer epoch was seen. Waits for nobody."""
        try:
            seen, _ = _parse(self._path.read_bytes())
        except FileNotFoundError:
            return
        if epoch < seen:
            raise _stale(self.key, epoch, seen)

    def _lock(self, context: Context) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                lock(descriptor, context.check)
                if self._is_named(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_named(self, descriptor: int) -> bool:
        """Whether the file that was locked is still the one of that name: its last holder may remove it."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _raise_to(self, descriptor: int, epoch: int) -> None:
        seen, self._stays = _parse(os.pread(descriptor, 64, 0))
        if epoch < seen:
            raise _stale(self.key, epoch, seen)
        self._epoch = epoch
        if epoch > seen:
            self._stays = self._stays or seen > 0
            self._write(descriptor)

    def _write(self, descriptor: int) -> None:
        # Not flushed to the disk: after a power loss no older owner is left to be refused.
        os.pwrite(descriptor, f"{self._epoch:020d} {'stays' if self._stays else 'goes '}\n".encode(), 0)


def remove_old_fences(root: Path, stands: Callable[[str], bool]) -> None:
    """Remove the fences of keys without a place that nobody has touched for ``STALE_AFTER`` seconds."""
    limit = time.time() - STALE_AFTER
    try:
        entries = list(os.scandir(root / FOLDER))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            if entry.stat(follow_symlinks=False).st_mtime > limit or stands(entry.name):
                continue
            descriptor = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if taken(descriptor):
                Path(entry.path).unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _parse(data: bytes) -> tuple[int, bool]:
    words = data.split()
    if len(words) != 2 or not words[0].isdigit():
        return 0, False
    return int(words[0]), words[1] == b"stays"


def _stale(key: str, epoch: int, seen: int) -> Stale:
    return Stale(
        f"the place {key} has seen epoch {seen}; a verb under epoch {epoch} is refused",
        seen=seen,
        hint="another process has taken the lease over; if the store was restored from a backup, "
        "run leasehold db restored",
    )
