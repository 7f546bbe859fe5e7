"""Changes of a git tree that were not brought back, kept under a ref of ours in the user's repository."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace

from leasehold.drivers.git import IDENTITY, Git, GitFailed
from leasehold.drivers.keeping import KEPT_FOR
from leasehold.drivers.place import Kept
from leasehold.drivers.snapshot import Snapshot, Snapshots

REFS = "refs/leasehold/"
_BUSY = ("cannot lock ref", ".lock': File exists")


def keep_snapshot(
    now: Snapshot,
    base: Snapshot,
    snapshots: Snapshots,
    git: Git,
    lease_id: str,
    *,
    tips: Sequence[str] = (),
    had: Sequence[str] = (),
) -> Kept | None:
    """Keep what differs between two snapshots, and the commits ``tips``; none where there is nothing.

    The ref names a commit whose first parent is the tree as the lease began, so that the two differ in the
    lease's changes alone. ``had`` are commits that the user's repository has.
    """
    commits = [tip for tip in dict.fromkeys((now.head, *tips)) if tip and tip != base.head]
    if now.tree == base.tree and not commits:
        return None
    began = snapshots.commit(
        base.tree, [base.head] if base.head else [], f"leasehold: the tree as lease {lease_id} began\n"
    )
    kept = snapshots.commit(
        now.tree, [began, *commits], f"leasehold: changes of lease {lease_id} that were not brought back\n"
    )
    snapshots.send(git, [kept], had)
    return _named(git, kept, lease_id)


def keep_commit(git: Git, tip: str, start: str | None, lease_id: str) -> tuple[Kept, ...]:
    """Keep a branch's commits where its tree is lost; none where another ref has them."""
    others = ["--not", "--single-worktree", f"--exclude=refs/heads/leasehold/{lease_id}", "--all"]
    if not git.text("rev-list", "--max-count=1", tip, *others):
        return ()
    base = start or git.maybe("merge-base", tip, "HEAD")
    parents = [word for parent in (base, tip) if parent for word in ("-p", parent)]
    message = f"leasehold: commits of lease {lease_id} that were not brought back\n"
    kept = git.text("commit-tree", f"{tip}^{{tree}}", *parents, stdin=message.encode())
    return (_named(git, kept, lease_id),)


def is_ref(kept: Kept) -> bool:
    """Whether something was kept so, and not as an archive."""
    return kept.where.startswith(REFS)


def renewed_ref(git: Git, kept: Kept) -> Kept | None:
    """A ref that was kept before, from now on for its whole time; none where it is gone."""
    at = git.maybe("rev-parse", "--verify", "--quiet", f"{kept.where}^{{commit}}")
    if at is None:
        return None
    head, _, message = git.text("cat-file", "commit", at).partition("\n\n")
    rows = [row.partition(" ")[::2] for row in head.splitlines()]
    words = [word for name, value in rows if name == "parent" for word in ("-p", value)]
    fresh = git.text("commit-tree", dict(rows)["tree"], *words, stdin=message.encode())
    git.run("update-ref", "-m", "leasehold: kept", kept.where, fresh, at)
    return replace(kept, until=time.time() + KEPT_FOR)


def remove_old_refs(git: Git) -> None:
    """Remove our refs of a repository whose time is over. What another removes, renews or locks is left to it."""
    limit = time.time() - KEPT_FOR
    form = "--format=%(refname) %(objectname) %(committerdate:unix) %(committeremail:trim)"
    for row in git.text("for-each-ref", form, REFS).splitlines():
        ref, identity, date, email = row.split(" ")
        if email == IDENTITY and int(date) < limit:
            try:
                git.run("update-ref", "--no-deref", "-d", ref, identity)
            except GitFailed as error:
                if not any(words in error.lines for words in _BUSY):
                    raise


def _named(git: Git, kept: str, lease_id: str) -> Kept:
    ref = _free(git, lease_id)
    git.run("update-ref", "-m", "leasehold: kept", ref, kept, "")
    how = f"git -C {shlex.quote(str(git.folder))} diff --binary {ref}^ {ref}"  # what git apply takes
    return Kept(ref, how, time.time() + KEPT_FOR)


def _free(git: Git, lease_id: str) -> str:
    """A name that is not taken: a lease may keep changes more than once."""
    taken = set(git.text("for-each-ref", "--format=%(refname)", REFS).splitlines())
    names = (f"{REFS}{lease_id}" + (f"-{count}" if count > 1 else "") for count in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
