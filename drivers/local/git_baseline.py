"""How a git tree stood when the run began, and the keeping of what changed since."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from leasehold.drivers import manifest
from leasehold.drivers.context import Context
from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.git import Git
from leasehold.drivers.keeping import keep_archive, renewed_archive
from leasehold.drivers.local.kept_ref import is_ref, keep_snapshot, renewed_ref
from leasehold.drivers.local.place import Place
from leasehold.drivers.manifest import FOLDER, Manifest
from leasehold.drivers.place import Kept
from leasehold.drivers.snapshot import Change, Snapshot, Snapshots

_FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The tree that later differences are counted from.

    Attributes:
        snapshot: the tree, the commit and the branch then.
        explicit: taken after provisioning; else taken when realizing ended.
        nested: what repositories within the tree held, which the snapshot knows nothing of.
        refs: the branches and tags then, of a repository that is a copy of ours.
        stays: the lease's branch holds what was brought back as commits, and stays.
        kept: what has been kept already, and a digest of what that holds.
    """

    snapshot: Snapshot
    explicit: bool
    nested: Manifest
    refs: dict[str, str]
    stays: bool = False
    kept: tuple[str, tuple[Kept, ...]] | None = None

    @classmethod
    def take(cls, snapshots: Snapshots, *, explicit: bool, own: bool = False) -> "Baseline":
        """``own`` says that the whole repository is a copy of ours."""
        snapshot = snapshots.take()
        refs = snapshots.refs() if own else {}
        return cls(snapshot, explicit, _nested(snapshots, snapshot, {}), refs)

    @classmethod
    def read(cls, place: Place) -> "Baseline | None":
        value = read_json(place.folder / _FILE)
        if value is None:
            return None
        kept = value.get("held")
        return cls(
            Snapshot.from_json(value["snapshot"]),
            value["explicit"],
            manifest.from_json(value["nested"]),
            value["refs"],
            value["stays"],
            (kept[0], tuple(Kept(**one) for one in kept[1])) if kept else None,
        )

    @classmethod
    def demand(cls, place: Place) -> "Baseline":
        """As ``read``. Raises ``Damaged`` where there is none."""
        baseline = cls.read(place)
        if baseline is None:
            raise place.lost()
        return baseline

    def write(self, place: Place) -> None:
        kept = (self.kept[0], [asdict(one) for one in self.kept[1]]) if self.kept else None
        write_json(
            place.folder / _FILE,
            {
                "snapshot": self.snapshot.to_json(),
                "explicit": self.explicit,
                "nested": manifest.to_json(self.nested),
                "refs": self.refs,
                "stays": self.stays,
                "held": kept,
            },
        )

    @staticmethod
    def forget(place: Place) -> None:
        (place.folder / _FILE).unlink(missing_ok=True)

    def uncommitted(self, snapshots: Snapshots, now: Snapshot) -> list[Change]:
        """What changed since and is in no commit: from what the commit has, where a commit touched it."""
        changes = snapshots.changes(self.snapshot.tree, now.tree)
        if now.head is None or now.head == self.snapshot.head:
            return changes
        old = self.snapshot.head or snapshots.empty()
        committed = {change.path for change in snapshots.changes(old, now.head)}
        loose = [change for change in changes if change.path not in committed]
        return loose + [change for change in snapshots.changes(now.head, now.tree) if change.path in committed]

    def keep(
        self,
        place: Place,
        snapshots: Snapshots,
        now: Snapshot,
        git: Git,
        context: Context,
        lease_id: str,
        *,
        tips: Sequence[str],
        had: Sequence[str],
        safe: bool = False,
    ) -> tuple[Kept, ...]:
        """Keep what changed since and was not brought back, and note it down, so that it is not kept twice.

        ``tips`` are further commits to keep, ``had`` commits that the user's repository has; ``safe`` says
        that the commit checked out stays on a branch there.
        """
        nested = _nested(snapshots, now, self.nested)
        holds = [now.tree, now.head, sorted(tips), [(path, entry.version) for path, entry in nested.items()]]
        digest = hashlib.sha256(repr(holds).encode()).hexdigest()
        if self.kept and self.kept[0] == digest:
            known = [renewed_ref(git, kept) if is_ref(kept) else renewed_archive(kept) for kept in self.kept[1]]
            if all(known):
                return tuple(kept for kept in known if kept)
        base = self.snapshot
        if safe:
            loose = self.uncommitted(snapshots, now)
            back = [replace(change, new=change.old) for change in loose]
            base = replace(now, tree=snapshots.patched(now.tree, back) if back else now.tree)
        kept = keep_snapshot(now, base, snapshots, git, lease_id, tips=tips, had=had)
        found = [kept] if kept else []
        paths = manifest.differences(self.nested, nested)
        if paths:
            changed = [path for path in paths if path in nested and nested[path].kind != FOLDER]
            deleted = [path for path in paths if path not in nested]
            found.append(keep_archive(context.state_folder, lease_id, place.tree, changed, deleted, context.check))
        if found:
            replace(self, kept=(digest, tuple(found))).write(place)
        return tuple(found)


def _nested(snapshots: Snapshots, snapshot: Snapshot, known: Manifest) -> Manifest:
    found: Manifest = {}
    for folder in snapshot.nested:
        below = {path[len(folder) + 1 :]: entry for path, entry in known.items() if path.startswith(folder + b"/")}
        top = snapshots.top / os.fsdecode(folder)
        held = manifest.scan(top, snapshots.git.check, known=below, with_git=True).manifest
        found.update({folder + b"/" + path: entry for path, entry in held.items()})
    return found
