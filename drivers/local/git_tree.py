"""A git tree in a place, with all that its return needs: where it came from, and how it stood."""

from dataclasses import dataclass

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.local.git_baseline import Baseline
from leasehold.drivers.local.kept_ref import keep_commit
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.repository import BRANCHES, Repository
from leasehold.drivers.place import Kept
from leasehold.drivers.removal import open_up_tree
from leasehold.drivers.snapshot import Snapshot, Snapshots


@dataclass(frozen=True, slots=True)
class GitTree:
    """A worktree, or a copy of a whole repository.

    Attributes:
        snapshots: looks at the tree in the place.
        repository: the user's checkout.
        start: the commit that the tree began from, if there was one.
        start_ref: the branch that the user's checkout was on then; none for a detached head.
        home: the branch (``refs/heads/…``) that the tree began on; none for a detached head.
        named: it is the user's own branch, on which the run's commits stay.
        shared: tree and checkout are worktrees of one repository.
    """

    snapshots: Snapshots
    repository: Repository
    baseline: Baseline
    lease_id: str
    start: str | None
    start_ref: str | None
    home: str | None
    named: bool
    shared: bool
    excludes: Excludes

    @property
    def branch(self) -> str:
        """The lease's own branch."""
        return f"leasehold/{self.lease_id}"

    @property
    def known(self) -> list[str]:
        """Commits that both sides surely have."""
        return [self.start] if self.start else []

    def look(self) -> Snapshot:
        """The tree as it stands. What the run has closed for reading is opened: the tree is ours.

        Raises ``Damaged`` where git cannot take all of it.
        """
        now = self.snapshots.take()
        if now.unread:
            open_up_tree(self.snapshots.top, self.snapshots.git.check)
            now = self.snapshots.take()
        if now.unread:
            raise Damaged(f"git cannot take the whole tree: {now.unread}", hint="look at the place")
        return now

    def keep(self, place: Place, context: Context) -> tuple[Kept, ...]:
        """Keep what was not brought back; nothing where nothing changed since the baseline.

        Raises ``GitFailed`` and ``Damaged`` where a run has broken its repository, or put another in its stead.
        """
        if self.shared and self.snapshots.repository() != self.repository.common:
            raise Damaged(f"the tree {place.tree} has another repository now")
        now = self.look()

        baseline = self.baseline
        git = self.repository.git
        if not self.shared:
            refs = self.snapshots.refs()
            tips = self.snapshots.commits(new for ref, new in refs.items() if baseline.refs.get(ref) != new)
            return baseline.keep(place, self.snapshots, now, git, context, self.lease_id, tips=tips, had=self.known)
        tip = self.repository.commit(f"{BRANCHES}{self.branch}")
        tips = [tip] if tip and not self.named and not baseline.stays and self._has_own(tip, now.head) else []
        elsewhere = now.ref not in (None, f"{BRANCHES}{self.branch}")
        had = [commit for commit in (self.start, baseline.snapshot.head, now.head, *tips) if commit]
        return baseline.keep(
            place,
            self.snapshots,
            now,
            git,
            context,
            self.lease_id,
            tips=tips,
            had=had,
            safe=baseline.stays or elsewhere,
        )

    def keep_commits(self) -> tuple[Kept, ...]:
        """Keep the commits of the lease's own branch, where the tree cannot be asked."""
        tip = self.repository.commit(f"{BRANCHES}{self.branch}")
        if tip in (None, self.start) or self.named or self.baseline.stays:
            return ()
        return keep_commit(self.repository.git, tip, self.start, self.lease_id)

    def _has_own(self, tip: str, head: str | None) -> bool:
        """Whether a branch has commits that neither the tree began from nor what is checked out has."""
        known = [f"^{commit}" for commit in (self.start, self.baseline.snapshot.head, head) if commit]
        return bool(self.repository.git.text("rev-list", "--max-count=1", tip, *known))
