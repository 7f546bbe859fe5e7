"""What a sync-back of a git tree is going to do."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.git_versions import identify, version
from leasehold.drivers.local.git_tree import GitTree
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.repository import BRANCHES
from leasehold.drivers.manifest import FOLDER
from leasehold.drivers.snapshot import Change, Snapshot
from leasehold.drivers.sync import Item

_FILE = "sync.json"
_GITLINK = "160000"


@dataclass(frozen=True, slots=True)
class GitPlan:
    """Written down before the first file changes.

    Attributes:
        items: the files.
        now: the tree that is brought back.
        commits: how many commits the run made.
        tip: the last of them, none without any.
        tip_made: it is one of ours, of changes on top of the run's commits.
        forward: the branch here that moves on to ``tip``, and the commit that it moves on from, if it still can
            when its time comes.
        branch: the branch here that has the commits already.
        passed_over: submodules: what changed of them is no file.
    """

    items: tuple[Item, ...]
    now: Snapshot
    commits: int = 0
    tip: str | None = None
    tip_made: bool = False
    forward: tuple[str, str] | None = None
    branch: str | None = None
    passed_over: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, place: Place) -> "GitPlan | None":
        value = read_json(place.folder / _FILE)
        if value is None:
            return None
        return cls(
            tuple(Item.from_json(item) for item in value["items"]),
            Snapshot.from_json(value["now"]),
            value["commits"],
            value["tip"],
            value["tip_made"],
            tuple(value["forward"]) if value["forward"] else None,
            value["branch"],
            tuple(os.fsencode(name) for name in value["passed_over"]),
        )

    def write(self, place: Place) -> None:
        value: dict[str, Any] = asdict(self)
        value["items"] = [item.to_json() for item in self.items]
        value["now"] = self.now.to_json()
        value["passed_over"] = [os.fsdecode(name) for name in self.passed_over]
        write_json(place.folder / _FILE, value)

    @staticmethod
    def forget(place: Place) -> None:
        (place.folder / _FILE).unlink(missing_ok=True)


def lay(tree: GitTree, now: Snapshot) -> GitPlan:
    """The plan for a tree as it stands now.

    Without commits, all changes come back as files. With commits that can be fast-forwarded here, so do
    the files, the committed ones too. Else what the commits touch stays on their branch, with a commit of
    ours where there is more of it, so that a later merge meets no changed file here.
    """
    snapshots, base = tree.snapshots, tree.baseline.snapshot
    changes = snapshots.changes(base.tree, now.tree)
    commits = count_commits(tree, now)
    if now.head is None or commits == 0:
        return _plan(tree, now, changes)
    forward = _forward(tree, now.ref, now.head)
    if forward is not None:
        whole = {change.path: change for change in snapshots.changes(forward[1], now.tree)}
        committed = {change.path for change in snapshots.changes(forward[1], now.head)}
        rest = [change for change in changes if change.path not in committed]
        forwarded = [whole[path] for path in committed if path in whole]
        return _plan(tree, now, rest, forwarded, commits=commits, tip=now.head, forward=forward)
    old = base.head or snapshots.empty()
    committed = {change.path for change in snapshots.changes(old, now.head)}
    more = [
        change
        for change in snapshots.changes(now.head, now.tree)
        if change.path in committed and change.path not in tree.excludes
    ]
    tip, branch = now.head, None
    if more:
        message = f"leasehold: uncommitted changes of lease {tree.lease_id}\n"
        tip = snapshots.commit(snapshots.patched(now.head, more), [now.head], message)
    elif tree.shared and now.ref not in (None, tree.home):
        branch = (now.ref or "").removeprefix(BRANCHES)
    rest = [change for change in changes if change.path not in committed]
    return _plan(tree, now, rest, commits=commits, tip=tip, tip_made=bool(more), branch=branch)


def count_commits(tree: GitTree, now: Snapshot) -> int:
    """How many commits the run made on what is checked out."""
    base = tree.baseline.snapshot
    if now.head is None or now.head == base.head:
        return 0
    without = [f"^{base.head}"] if base.head else []
    return int(tree.snapshots.git.text("rev-list", "--count", now.head, *without))


def _plan(
    tree: GitTree, now: Snapshot, changes: Iterable[Change], forwarded: Iterable[Change] = (), **facts: Any
) -> GitPlan:
    taken = [*(change for change in changes if change.path not in tree.excludes), *forwarded]
    items = tuple(
        Item(change.path, version(change.old), version(change.new)) for change in taken if not _is_link(change)
    )
    passed_over = tuple(change.path for change in taken if _is_link(change))
    return GitPlan(items, now, passed_over=passed_over, **facts)


def _forward(tree: GitTree, ref: str | None, head: str) -> tuple[str, str] | None:
    """Branch and commit to move on from: where it did not move, and all that the commits touch is as it began."""
    repository, start = tree.repository, tree.start
    if start is None or tree.start_ref is None or ref != tree.home:
        return None
    if repository.branch() != tree.start_ref or repository.commit("HEAD") != start:
        return None
    if not tree.snapshots.descends(head, start):
        return None
    touched = tree.snapshots.changes(start, head)
    staged = set(repository.git.run("diff-index", "--cached", "-z", "--name-only", start).names)
    here = identify(repository.git, len(head))([change.path for change in touched])
    removed = {change.path for change in touched if change.new is None}
    clean = all(
        change.path not in staged
        and (here[change.path] == version(change.old) or _is_link(change) or _makes_way(change, here, removed))
        for change in touched
    )
    return (tree.start_ref, start) if clean else None


def _makes_way(change: Change, here: Any, removed: set[bytes]) -> bool:
    """Whether a folder stands in the way of a file that the commits put in its stead."""
    below = change.path + b"/"
    return change.old is None and here[change.path] == FOLDER and any(path.startswith(below) for path in removed)


def _is_link(change: Change) -> bool:
    return _GITLINK in ((change.old or ("",))[0], (change.new or ("",))[0])
