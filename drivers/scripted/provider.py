"""What stands at the scripted provider, whoever asks."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from leasehold.drivers.errors import Damaged, Stale
from leasehold.drivers.place import ReleaseMode, Tags
from leasehold.drivers.scripted.shelf import FolderShelf, MemoryShelf


@dataclass(slots=True)
class Standing:
    """One place. ``hidden`` looks do not see it yet; after ``leaving`` more it is gone.

    ``kept`` is ``keep`` or ``park`` once a release has asked for that; ``exits`` are recorded exit codes.
    """

    place: str
    tags: Tags
    hidden: int = 0
    leaving: int | None = None
    kept: str | None = None
    workspace: str | None = None
    realized: int = 0
    exits: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Standing":
        fields = dict(value)
        fields["tags"] = Tags(**fields["tags"])
        return cls(**fields)


class Provider:
    """Places, fences and counts. Two drivers that share one see the same places."""

    def __init__(self, shelf: MemoryShelf | FolderShelf | None = None) -> None:
        self.shelf = MemoryShelf() if shelf is None else shelf

    def locked(self, check: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """One verb's effect at a time. ``check`` is called while it waits, and may raise to end that."""
        return self.shelf.locked(check)

    def count(self, verb: str) -> int:
        """The number of this call of the verb, from 1."""
        number = int(self.shelf.get(f"counts/{verb}") or b"0") + 1
        self.shelf.put(f"counts/{verb}", str(number).encode())
        return number

    def standing(self, key: str = "") -> list[Standing]:
        """All places (of a key), also those that no look sees yet; looking this way changes nothing."""
        found = (self.shelf.get(name) for name in self.shelf.names(f"places/{_place(key)}"))
        return [Standing.from_json(json.loads(data)) for data in found if data is not None]

    def get(self, place: str) -> Standing | None:
        """The place, or ``None``."""
        data = self.shelf.get(f"places/{place}.json")
        return None if data is None else Standing.from_json(json.loads(data))

    def save(self, standing: Standing) -> None:
        """Record the place as it is now."""
        self.shelf.put(f"places/{standing.place}.json", json.dumps(asdict(standing)).encode())

    def remove(self, place: str) -> None:
        """End the place, its files and its record."""
        for name in self.shelf.names(f"files/{place}/"):
            self.shelf.remove(name)
        self.shelf.remove(f"places/{place}.json")

    def fence(self, key: str, epoch: int) -> None:
        """Shut out epochs older than this one. Raises ``Stale`` where a newer one was here."""
        seen = int(self.shelf.get(f"fences/{key}") or b"0")
        if epoch < seen:
            raise Stale(f"{key}: epoch {epoch} came after {seen}", seen=seen, hint="another owner has the lease")
        self.shelf.put(f"fences/{key}", str(epoch).encode())

    def look(self) -> list[Standing]:
        """What one look sees. Late places come nearer, and leaving ones their end."""
        seen: list[Standing] = []
        for standing in self.standing():
            if standing.leaving == 0:
                self.remove(standing.place)
                continue
            if not standing.hidden:
                seen.append(standing)
            if standing.hidden or standing.leaving:
                standing.hidden -= standing.hidden > 0
                standing.leaving = standing.leaving and standing.leaving - 1
                self.save(standing)
        return seen

    def surely_absent(self, key: str, delay: float) -> bool:
        """Whether an earlier look, at least ``delay`` seconds ago, saw nothing of the key either."""
        now = time.monotonic()
        first = float(self.shelf.get(f"absent/{key}") or str(now))
        self.shelf.put(f"absent/{key}", str(first).encode())
        return now - first >= delay

    def make(self, tags: Tags, *, keyed: bool, looks: int) -> Standing:
        """The place of a key, found or made; with ``looks``, one that is not seen before as many."""
        self.shelf.remove(f"absent/{tags.key}")
        under_key = [standing for standing in self.standing(tags.key) if standing.tags.key == tags.key]
        for standing in under_key:
            if keyed or not standing.hidden:
                standing.tags = tags
                self.save(standing)
                return standing
        number = f"-{len(under_key) + 1}" if under_key else ""
        standing = Standing(f"{_place(tags.key)}{number}", tags, hidden=looks)
        self.save(standing)
        return standing

    def end(self, place: str, mode: ReleaseMode, looks: int) -> bool:
        """End or keep the place; false where it was gone already. With ``looks``, it stands that long."""
        standing = self.get(place)
        if standing is None:
            return False
        if mode is not ReleaseMode.DESTROY:
            standing.kept = mode.value
        elif looks:
            standing.leaving = looks
        else:
            self.remove(place)
            return True
        self.save(standing)
        return True

    def destroy(self, place: str, tags: Tags, looks: int) -> None:
        """End the place if it still bears these tags. Raises ``Damaged`` where it bears others."""
        standing = self.get(place)
        if standing is not None and standing.tags != tags:
            raise Damaged(f"{place} bears other tags than those listed", hint="sweep again")
        self.end(place, ReleaseMode.DESTROY, looks)


def _place(key: str) -> str:
    return f"place-{key}"
