"""What a run changed in a git tree, brought back into the user's checkout: commits, and the rest as files."""

from dataclasses import replace

from leasehold.drivers.context import Context
from leasehold.drivers.errors import SyncConflict
from leasehold.drivers.git import GitFailed
from leasehold.drivers.git_versions import identify
from leasehold.drivers.local.git_plan import GitPlan, count_commits, lay
from leasehold.drivers.local.git_tree import GitTree
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.repository import BRANCHES, Repository
from leasehold.drivers.shown import counted, shown, shown_some
from leasehold.drivers.snapshot import Snapshot
from leasehold.drivers.sync import Applied, bring, remove_traces
from leasehold.drivers.workspace import SyncReport


def bring_back(place: Place, tree: GitTree, context: Context) -> SyncReport:
    """Bring everything back that changed since the baseline, by a plan that is written first.

    Run again after a crash it goes on. Raises ``SyncConflict`` after all else is done, naming the files
    that both sides changed and where the run's versions are.
    """
    baseline = tree.baseline
    now = tree.look()
    if tree.named:
        return _on_named(tree, now)
    plan = GitPlan.read(place)
    if plan is None or (plan.now.tree, plan.now.head) != (now.tree, now.head):
        plan = lay(tree, now)
        plan.write(place)
    repository = tree.repository
    versions = identify(repository.git, len(now.tree))
    applied = bring(plan.items, place.tree, repository.top, versions, context.check, prune=True)
    branch, forwarded = _bring_commits(plan, tree)
    if applied.conflicts:
        _refuse(place, applied, tree, context)
    stays = baseline.stays or (branch is not None and branch.startswith(tree.branch))
    settled = replace(baseline, snapshot=now, explicit=True, stays=stays, kept=None)
    settled.write(place)
    plan.forget(place)
    return SyncReport(
        applied.written, applied.deleted, plan.commits, branch, _summary(plan, applied, branch, forwarded)
    )


def _on_named(tree: GitTree, now: Snapshot) -> SyncReport:
    """Commits are on the user's own branch already; other changes belong to it, and to no checkout here."""
    commits = count_commits(tree, now)
    branch = tree.home.removeprefix(BRANCHES) if tree.home else None
    if not commits:
        return SyncReport()
    summary = f"{counted(commits, 'commit')} on the branch {shown(branch or '')}"
    return SyncReport(commits=commits, branch=branch, summary=summary)


def forget_plan(place: Place, repository: Repository) -> None:
    """Remove what a torn sync-back left beside the user's files."""
    plan = GitPlan.read(place)
    if plan is not None:
        remove_traces(plan.items, repository.top)


def _bring_commits(plan: GitPlan, tree: GitTree) -> tuple[str | None, bool]:
    """The branch on which commits stay, if they do; and whether they were moved onto the branch here."""
    if plan.tip is None:
        return None, False
    git = tree.repository.git
    if plan.tip_made or not tree.shared:
        tree.snapshots.send(git, [plan.tip], tree.known)
    if plan.forward is not None and _fast_forward(*plan.forward, plan.tip, tree.repository):
        return None, True
    if plan.branch is not None:
        return plan.branch, False
    return hold(tree.repository, f"leasehold/{tree.lease_id}", plan.tip), False


def _fast_forward(ref: str, start: str, tip: str, repository: Repository) -> bool:
    """Move index and branch on to the commits; the files are there already."""
    git = repository.git
    at = repository.commit("HEAD")
    if repository.branch() != ref or at not in (start, tip):
        return False
    try:
        # The index first: where somebody has staged a change of the same files, nothing has moved yet.
        git.run("read-tree", "-i", "-m", start, tip)
    except GitFailed as error:
        if "index.lock" in error.lines:
            raise
        return False
    if at != tip:
        try:
            git.run("update-ref", "-m", "leasehold: fast-forward", ref, tip, start)
        except GitFailed:
            git.run("read-tree", "-i", "-m", tip, start)
            return False
    git.run("update-index", "-q", "--refresh", ok=(0, 1))
    return True


def hold(repository: Repository, branch: str, tip: str) -> str:
    """Have a branch of ours at these commits; one that has others gets a namesake."""
    count = 1
    while True:
        name = branch if count == 1 else f"{branch}-{count}"
        at = repository.commit(f"{BRANCHES}{name}")
        if at == tip:
            return name
        if at is None or repository.descends(tip, at):
            repository.git.run("update-ref", "-m", "leasehold: brought back", f"{BRANCHES}{name}", tip, at or "")
            return name
        count += 1


def _refuse(place: Place, applied: Applied, tree: GitTree, context: Context) -> None:
    kept = tree.keep(place, context)
    paths = tuple(shown(path) for path in applied.conflicts)
    where = f"; the run's versions are kept in {kept[0].where}" if kept else ""
    raise SyncConflict(
        f"changed on both sides, and left as they are here: {shown_some(applied.conflicts)}{where}",
        paths=paths,
        hint=f"to see them: {kept[0].how}" if kept else "",
    )


def _summary(plan: GitPlan, applied: Applied, branch: str | None, forwarded: bool) -> str:
    parts: list[str] = []
    if applied.written:
        parts.append(f"{counted(applied.written, 'file')} brought back")
    if applied.deleted:
        parts.append(f"{counted(applied.deleted, 'file')} deleted")
    if plan.commits and forwarded:
        parts.append(f"{counted(plan.commits, 'commit')} fast-forwarded")
    if plan.commits and branch:
        parts.append(f"{counted(plan.commits, 'commit')} on the branch {shown(branch)}")
    if plan.passed_over:
        parts.append(f"submodules left as they are: {shown_some(plan.passed_over)}")
    return "; ".join(parts) or "nothing to bring back"
