# ruff: noqa: PTH118
# Paths are bytes here, because names of files need not be text.
"""A copy of a folder that is no repository: how it stood, its return, and the keeping of what changed."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from leasehold.drivers import manifest
from leasehold.drivers.context import Context
from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.errors import DriverError, Gone, SyncConflict
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.git import Git
from leasehold.drivers.keeping import keep_archive, renewed_archive
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.manifest import FOLDER, Manifest
from leasehold.drivers.place import Kept
from leasehold.drivers.removal import open_up_tree
from leasehold.drivers.returning import in_git, repository
from leasehold.drivers.shown import counted, shown, shown_some
from leasehold.drivers.sync import BLOCKED, Item, blocked, bring, remove_traces
from leasehold.drivers.workspace import SyncReport

_BASELINE = "baseline.json"
_PLAN = "sync.json"
_SPECIAL = "special"
_CHECK_IGNORE = ("check-ignore", "--verbose", "--non-matching", "-z", "--stdin")


@dataclass(frozen=True, slots=True)
class FileBaseline:
    """The files that later differences are counted from.

    ``explicit``: taken after provisioning; else when realizing ended. ``kept`` is what has been kept
    already, and a digest of the changes that it holds.
    """

    files: Manifest
    explicit: bool
    kept: tuple[str, Kept] | None = None

    @classmethod
    def read(cls, place: Place) -> "FileBaseline | None":
        value = read_json(place.folder / _BASELINE)
        if value is None:
            return None
        kept = value["kept"]
        return cls(
            manifest.from_json(value["files"]),
            value["explicit"],
            (kept[0], Kept(**kept[1])) if kept else None,
        )

    @classmethod
    def demand(cls, place: Place) -> "FileBaseline":
        """As ``read``. Raises ``Damaged`` where there is none."""
        baseline = cls.read(place)
        if baseline is None:
            raise place.lost()
        return baseline

    def write(self, place: Place) -> None:
        kept = (self.kept[0], asdict(self.kept[1])) if self.kept else None
        files = manifest.to_json(self.files)
        write_json(place.folder / _BASELINE, {"files": files, "explicit": self.explicit, "kept": kept})


@dataclass(frozen=True, slots=True)
class FileTree:
    """A copy in a place, and the folder it was made from."""

    tree: Path
    source: Path
    lease_id: str
    baseline: FileBaseline
    excludes: Excludes

    def now(self, check: Callable[[], None]) -> Manifest:
        return manifest.scan(self.tree, check, excludes=self.excludes, known=self.baseline.files).manifest

    def changes(self, now: Manifest, check: Callable[[], None]) -> list[Item]:
        """What the run changed, without what the repository around the source ignores."""
        old = self.baseline.files
        paths = manifest.differences(old, now)
        ignored = ignored_paths(self.source, {path: (now.get(path) or old[path]).kind for path in paths}, check)
        return [
            Item(path, old[path].version if path in old else None, now[path].version if path in now else None)
            for path in paths
            if path not in ignored
        ]

    def keep(self, items: Sequence[Item], context: Context) -> tuple[Kept, ...]:
        """Keep these changes; nothing for none."""
        if not items:
            return ()
        if self.baseline.kept and self.baseline.kept[0] == digest(items):
            known = renewed_archive(self.baseline.kept[1])
            if known is not None:
                return (known,)
        changed = [item.path for item in items if item.there is not None]
        deleted = [item.path for item in items if item.there is None]
        return (keep_archive(context.state_folder, self.lease_id, self.tree, changed, deleted, context.check),)

    def bring_back(self, place: Place, context: Context) -> SyncReport:
        """Bring back what changed since the baseline. Raises ``SyncConflict`` after all else is done."""
        if not self.source.is_dir():
            raise Gone(f"the workspace {shown(self.source)} is gone")
        now = self.now(context.check)
        items = self.changes(now, context.check)
        # Of repositories within: what git there has is no file to be brought, and is kept when the place ends.
        held = [item for item in items if in_git(item.path)]
        files = [item for item in items if not in_git(item.path)]
        write_json(place.folder / _PLAN, {"items": [item.to_json() for item in files]})
        versions = identify(self.source, context.check)
        applied = bring(files, self.tree, self.source, versions, context.check, prune=False)
        if applied.conflicts:
            kept = self.keep(items, context)
            replace(self.baseline, kept=(digest(items), kept[0])).write(place)
            paths = tuple(shown(path) for path in applied.conflicts)
            raise SyncConflict(
                f"changed on both sides, and left as they are here: {shown_some(applied.conflicts)}"
                f"; the run's versions are kept in {kept[0].where}",
                paths=paths,
                hint=f"to see them: {kept[0].how}",
            )
        brought = {path: entry for path, entry in now.items() if not in_git(path)}
        still = {path: entry for path, entry in self.baseline.files.items() if in_git(path)}
        FileBaseline(brought | still, explicit=True).write(place)
        (place.folder / _PLAN).unlink()
        parts = [
            f"{counted(count, 'file')} {what}"
            for count, what in ((applied.written, "brought back"), (applied.deleted, "deleted"))
            if count
        ]
        if held:
            parts.append(
                f"repositories within left as they are: {shown_some(sorted({repository(i.path) for i in held}))}"
            )
        return SyncReport(applied.written, applied.deleted, summary="; ".join(parts) or SyncReport().summary)

    def forget_plan(self, place: Place) -> None:
        """Remove what a torn return left beside the user's files."""
        plan = read_json(place.folder / _PLAN)
        if plan is not None and self.source.is_dir():
            remove_traces((Item.from_json(item) for item in plan["items"]), self.source)


def keep_whole(place: Place, lease_id: str, context: Context, why: str) -> Ended:
    """Keep all files of a tree, its repository with them, where nobody can say what of it changed, and ``why``."""
    if place.tree.is_dir():
        open_up_tree(place.tree, context.check)
    files = manifest.scan(place.tree, context.check, with_git=True).manifest
    kept = [keep_archive(context.state_folder, lease_id, place.tree, files, (), context.check)] if files else []
    return Ended(tuple(kept), (why,))


def identify(top: Path, check: Callable[[], None]) -> Callable[[Sequence[bytes]], Mapping[bytes, str | None]]:
    """Versions of files as a manifest has them."""

    def one(path: bytes) -> str | None:
        if blocked(top, path):
            return BLOCKED
        try:
            entry = manifest.look(os.path.join(os.fsencode(top), path), check)
        except FileNotFoundError:
            return None
        return entry.version if entry else _SPECIAL

    return lambda paths: {path: one(path) for path in paths}


def digest(items: Sequence[Item]) -> str:
    """What tells these changes from others."""
    return hashlib.sha256(repr([item.to_json() for item in items]).encode("utf-8", "surrogateescape")).hexdigest()


def ignored_paths(source: Path, kinds: Mapping[bytes, str], check: Callable[[], None]) -> set[bytes]:
    """Those paths that the repository around the source ignores; none without a repository or git."""
    if not kinds or not source.is_dir():
        return set()
    asked = [path + b"/" if kind == FOLDER else path for path, kind in kinds.items()]
    git, ignored = Git(source, check), set[bytes]()
    try:
        while asked:
            done = git.run(*_CHECK_IGNORE, stdin=b"".join(path + b"\0" for path in asked), ok=(0, 1, 128))
            fields = done.out.split(b"\0")
            answers = list(zip(fields[2::4], fields[3::4], strict=False))
            ignored.update(path.rstrip(b"/") for pattern, path in answers if pattern and not pattern.startswith(b"!"))
            asked = _behind(asked[len(answers) :], done.err) if done.code == 128 else []
    except DriverError:
        check()  # a deadline or a stop ends the verb; a missing git ignores nothing
    return ignored


def _behind(asked: Sequence[bytes], said: bytes) -> list[bytes]:
    """What is still to be asked where git ended at the first path: it lies beyond a link, or in a submodule.

    So does all else that stands in its folder. Nothing where git does not name the path: it says so of each then.
    """
    if not asked or b"'" + asked[0] + b"'" not in said:
        return []
    folder = asked[0].rstrip(b"/").rpartition(b"/")[0] + b"/"
    return [path for path in asked[1:] if folder == b"/" or not path.startswith(folder)]
