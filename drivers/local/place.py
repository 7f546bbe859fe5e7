"""The folder of a place, and what is written down in it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from leasehold.drivers.context import Context
from leasehold.drivers.durable import flush_folder, read_json, write_json
from leasehold.drivers.errors import Conflict, Damaged, Refused
from leasehold.drivers.git import Git
from leasehold.drivers.place import KEY, Handle, Resource, Tags
from leasehold.drivers.removal import remove_tree

DRIVER = "local"
_TAGS = "place.json"
_REALIZED = "realized.json"


@dataclass(frozen=True, slots=True)
class Place:
    """One place: ``<root>/<key>/``.

    ``place.json`` bears tags and handle and is there from the first moment on: the folder is made beside
    and renamed. ``realized.json`` says what ``realize`` makes outside the folder, before it makes it.
    ``lock`` is the descriptor by which the verb under way holds the place. ``driver`` is whose place it
    is: several drivers may keep theirs in one root.
    """

    root: Path
    key: str
    lock: int | None = None
    driver: str = DRIVER

    @classmethod
    def of(cls, handle: Handle, driver: str = DRIVER) -> "Place":
        """The place that a handle names. Raises ``Damaged`` for a handle that cannot be the driver's."""
        folder = Path(str(handle.data.get("folder", "")))
        if handle.driver != driver or folder.name != handle.place or not KEY.fullmatch(handle.place):
            raise Damaged(f"this is no handle of a place of {driver}: {handle.place}")
        return cls(folder.parent, handle.place, driver=driver)

    @classmethod
    def under(cls, root: Path, key: str, driver: str = DRIVER) -> "Place":
        """The place of a key. Raises ``Refused`` for a key that cannot be a folder's name."""
        if not KEY.fullmatch(key):
            raise Refused(f"a resource key cannot be a folder's name: {key!r}")
        return cls(root, key, driver=driver)

    @property
    def folder(self) -> Path:
        return self.root / self.key

    @property
    def tree(self) -> Path:
        """Where a copy or a worktree stands."""
        return self.folder / "tree"

    @property
    def supervision(self) -> Path:
        """What the supervisor of commands keeps: its lock, and exit statuses by name."""
        return self.folder / "supervision"

    @property
    def objects(self) -> Path:
        """Git objects that describe the tree and shall not stand in the user's repository."""
        return self.folder / "objects"

    def git(self, folder: Path, context: Context) -> Git:
        """Git in some folder, for the verb under way. A tree that lost its repository is in none above the place."""
        above = {"GIT_CEILING_DIRECTORIES": str(self.folder)}
        return Git(folder, context.check, above, () if self.lock is None else (self.lock,))

    def stands(self) -> bool:
        """Whether anything stands under the key; an empty folder is the last trace of a removal."""
        try:
            return any(True for _ in self.folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def handle(self) -> Handle | None:
        """The handle, or ``None`` where no place stands. Raises ``Damaged``, ``Conflict``."""
        found = self.read()
        return found[1] if found else None

    def read(self) -> tuple[Tags, Handle] | None:
        """Tags and handle, or ``None`` where no place stands.

        Raises ``Conflict`` where the folder is not ours, ``Damaged`` where ``place.json`` cannot be read.
        """
        if not self.stands():
            return None
        try:
            value = read_json(self.folder / _TAGS)
            if value is None:
                raise Conflict(f"{self.folder} is there, but it is no place of ours", hint="move it away")
            if value.get("driver", DRIVER) != self.driver:
                raise Conflict(f"{self.folder} is a place of the driver {value['driver']}", hint="set another root")
            tags = Tags.from_json(value["tags"])
            handle = Handle(self.driver, self.key, {**value["data"], "folder": str(self.folder)})
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(
                f"{self.folder / _TAGS} cannot be read: {error}", hint="look at the folder, then move it away"
            ) from error
        if tags.key != self.key:
            raise Damaged(f"{self.folder} bears the key of another place, {tags.key}")
        return tags, handle

    def make(self, tags: Tags, data: Mapping[str, Any]) -> Handle:
        """Make the place, or find it and renew its tags. Raises ``Conflict``, ``Damaged``."""
        found = self.read()
        if found is not None:
            found[0].demand(f"the place {self.key}", tags.ledger)
            if found[0] != tags:
                self._write(self.folder, tags, found[1].data)
            return found[1]
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clear_traces()
        beside = self._beside()
        beside.mkdir(mode=0o700)
        self._write(beside, tags, {**data, "folder": str(self.folder)})
        beside.rename(self.folder)
        flush_folder(self.root)
        return Handle(self.driver, self.key, {**data, "folder": str(self.folder)})

    def renew(self, context: Context) -> None:
        """Write the current lease and epoch into the tags: a parked place changes hands."""
        found = self.read()
        if found is not None:
            tags = replace(found[0], lease_id=context.lease_id, epoch=context.epoch)
            if tags != found[0]:
                self._write(self.folder, tags, found[1].data)

    def lost(self) -> Damaged:
        """What it means that a realized tree has no baseline."""
        return Damaged(f"the place {self.key} has lost how its tree began")

    def realized(self) -> dict[str, Any] | None:
        """What ``realize`` has written down of its work."""
        return read_json(self.folder / _REALIZED)

    def write_realized(self, facts: Mapping[str, Any]) -> None:
        write_json(self.folder / _REALIZED, facts)

    def forget_realized(self) -> None:
        (self.folder / _REALIZED).unlink(missing_ok=True)

    def resource(self) -> Resource | None:
        """The place as a sweep lists it; ``None`` where the folder is no place of ours."""
        try:
            found = self.read()
        except (Conflict, Damaged):
            return None
        if found is None:
            return None
        return Resource(self.driver, self.key, found[0], found[1], detail=str(self.folder))

    def remove(self, ledger: str, context: Context) -> None:
        """Remove the folder with all in it, its tags last. Raises ``Conflict`` where they are not ours."""
        found = self.read()
        if found is None:
            self.clear_traces()
            return
        if found[0].ledger != ledger:
            raise Conflict(f"{self.folder} belongs to another ledger, {found[0].ledger}: it is not removed")
        for entry in sorted(self.folder.iterdir(), key=lambda entry: entry.name == _REALIZED):
            if entry.name != _TAGS:
                remove_tree(entry, context.check)
        (self.folder / _TAGS).unlink()
        self.clear_traces()

    def clear_traces(self) -> None:
        """Where no place stands: remove what a crash left of its making or of its removal."""
        remove_tree(self._beside(), _go_on)
        if not self.stands() and self.folder.is_dir():
            self.folder.rmdir()
            flush_folder(self.root)

    def _beside(self) -> Path:
        return self.root / f".{self.key}.new"

    def _write(self, folder: Path, tags: Tags, data: Mapping[str, Any]) -> None:
        write_json(folder / _TAGS, {"version": 1, "driver": self.driver, "tags": asdict(tags), "data": dict(data)})


def places(root: Path, driver: str = DRIVER) -> Iterator[Place]:
    """All folders of a root that may be places."""
    try:
        names = sorted(entry.name for entry in root.iterdir() if KEY.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        yield Place(root, name, driver=driver)


def _go_on() -> None:
    return
