"""The mode ``git_worktree``: a worktree of the user's repository, on a branch of the lease's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Problem
from leasehold.drivers.errors import Conflict, Damaged, Gone, Unusable
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.git import Git, GitFailed, executable
from leasehold.drivers.local.carrying import Carried, carry
from leasehold.drivers.local.file_tree import keep_whole
from leasehold.drivers.local.git_baseline import Baseline
from leasehold.drivers.local.git_return import bring_back, forget_plan
from leasehold.drivers.local.git_tree import GitTree
from leasehold.drivers.local.kept_ref import keep_commit, remove_old_refs
from leasehold.drivers.local.place import DRIVER, Place
from leasehold.drivers.local.repository import BRANCHES, NoRepository, Repository
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.local.validate import bounded
from leasehold.drivers.place import Handle
from leasehold.drivers.removal import remove_tree
from leasehold.drivers.shown import shown
from leasehold.drivers.snapshot import Snapshots
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

OURS = "leasehold/"


class Worktree:
    """Made from the workspace's HEAD, with its uncommitted changes, or on an existing branch without them.

    The worktree is locked with the lease as reason, so that no prune takes it; the repository's hooks do
    not run. Where the workspace is a folder below the checkout's top, commands run in the same folder.
    """

    mode = Mode.GIT_WORKTREE

    def problems(self, workspace: Workspace) -> list[Problem]:
        executable()
        name = shown(workspace.path)
        repository = Repository.around(workspace.path, Git(workspace.path, bounded()))
        if workspace.branch is None:
            if repository.commit("HEAD") is None:
                return [Problem("workspace", f"the repository of {name} has no commit yet: make a first one")]
            return []
        branch = shown(workspace.branch)
        if repository.commit(f"{BRANCHES}{workspace.branch}") is None:
            return [Problem("workspace", f"the repository of {name} has no branch {branch}: make it first")]
        where = repository.checked_out_at(workspace.branch)
        # Another lease's worktree is no problem of the workspace: who holds the branch, the leases know.
        if where is not None and not (where.parent / "place.json").exists():
            message = f"the branch {branch} is checked out at {shown(where)}: switch to another one there"
            return [Problem("workspace", message)]
        return []

    def subjects(self, workspace: Workspace, machine: str) -> tuple[str, ...]:
        if workspace.branch is None:
            return ()
        repository = Repository.around(workspace.path, Git(workspace.path, bounded()))
        return (f"branch:{machine}:{shown(repository.common)}:{shown(workspace.branch)}",)

    def make(self, place: Place, workspace: Workspace, context: Context) -> Realization:
        repository = Repository.around(workspace.path.resolve(), place.git(workspace.path, context))
        before = self._undo(place, context)
        remove_old_refs(repository.git)
        branch = workspace.branch or f"{OURS}{context.lease_id}"
        start = repository.commit("HEAD" if workspace.branch is None else f"{BRANCHES}{branch}")
        if start is None:
            raise Unusable(f"there is no commit to begin from in {shown(repository.top)}")
        if workspace.branch is None and repository.commit(f"{BRANCHES}{branch}") is not None:
            hint = f"look at it, then: git -C {shown(repository.top)} branch -D {branch}"
            raise Conflict(f"the branch {branch} is there already", hint=hint)
        facts: dict[str, Any] = {
            "mode": self.mode,
            "made": False,
            "lease_id": context.lease_id,
            "top": str(repository.top),
            "common": str(repository.common),
            "prefix": repository.prefix,
            "start": start,
            "start_ref": repository.branch(),
            "branch": branch,
            "named": workspace.branch is not None,
            "excludes": list(workspace.excludes),
            "cwd": str(place.tree / repository.prefix),
        }
        place.write_realized(facts)
        context.progress(f"git worktree add {shown(branch)}")
        repository.add_worktree(place.tree, _reason(context.lease_id), branch, None if facts["named"] else start)
        inside = place.git(place.tree, context)
        snapshots = Snapshots(inside, place.objects)
        if workspace.branch is None:
            excludes = Excludes(workspace.excludes)
            carried = carry(repository, inside, place, start, excludes, untracked=workspace.untracked)
        else:
            carried = Carried()
        Path(facts["cwd"]).mkdir(parents=True, exist_ok=True)
        Baseline.take(snapshots, explicit=False).write(place)
        place.write_realized({**facts, "made": True})
        parts = [f"worktree on {shown(branch)} from {start[:10]}", *carried.lines(), *before.lines()]
        return Realization(
            self.mode,
            authoritative_root=str(workspace.path.resolve()),
            cwd=facts["cwd"],
            transport="local",
            provider=DRIVER,
            summary="; ".join(parts),
            local={
                "path": str(workspace.path.resolve()),
                "repository": str(repository.top),
                "worktree_path": str(place.tree),
                "branch": branch,
                "base": start,
            },
            sync={"strategy": "provider_defined", "prepare": "git_worktree", "sync_back": "git"},
            rebuild={"branch": branch, "start": start},
        )

    def missing(self, place: Place) -> str | None:
        facts = place.realized()
        if facts is None or not facts["made"]:
            return None
        return None if (place.tree / ".git").exists() else f"the worktree {place.tree} is gone"

    def opened_at(self, place: Place, handle: Handle) -> Path:
        facts = place.realized()
        return Path(facts["cwd"]) if facts and facts["made"] else place.folder

    def baseline(self, place: Place, context: Context) -> None:
        _made(place)
        Baseline.take(_snapshots(place, context), explicit=True).write(place)

    def sync_back(self, place: Place, context: Context) -> SyncReport:
        facts = _made(place)
        if not Path(facts["top"]).is_dir():
            raise Gone(f"the checkout {shown(facts['top'])} is gone")
        return bring_back(place, _git_tree(place, facts, repository_of(place, facts, context), context), context)

    def end(self, place: Place, handle: Handle, context: Context) -> Ended:
        facts = place.realized() if place.stands() else None
        if facts is not None:
            return self._end(place, facts, context)
        return self._end_lost(place, handle, context)

    def _undo(self, place: Place, context: Context) -> Ended:
        """End what an earlier call made. What a run changed there is kept; what provisioning did is not."""
        facts = place.realized()
        if facts is None:
            return Ended()
        baseline = Baseline.read(place)
        if baseline is not None and not baseline.explicit:
            Baseline.forget(place)
        ended = self._end(place, facts, context)
        Baseline.forget(place)
        place.forget_realized()
        return ended

    def _end(self, place: Place, facts: dict[str, Any], context: Context) -> Ended:
        if not Path(facts["common"]).is_dir():
            return self._end_without_repository(place, facts, context)
        repository = repository_of(place, facts, context)
        ended = Ended.once(place, facts, lambda: self._keep(place, facts, repository, context))
        repository.remove_worktree(place.tree, _reason(facts["lease_id"]))
        tip = repository.commit(f"{BRANCHES}{facts['branch']}")
        if tip is None or facts["named"] or ended.stays:
            return ended
        return ended.noting(_drop(repository, facts["branch"], tip))

    def _end_without_repository(self, place: Place, facts: dict[str, Any], context: Context) -> Ended:
        why = f"the repository {shown(facts['common'])} is gone"
        ended = Ended.once(place, facts, lambda: keep_whole(place, facts["lease_id"], context, why))
        remove_tree(place.tree, context.check)
        return ended

    def _keep(self, place: Place, facts: dict[str, Any], repository: Repository, context: Context) -> Ended:
        baseline = Baseline.read(place)
        if baseline is None:
            return Ended()  # half-made: no command has run there
        forget_plan(place, repository)
        tree = _git_tree(place, facts, repository, context)
        if not place.tree.is_dir():
            kept = tree.keep_commits()
            return Ended(kept, ("the worktree was gone: its commits alone are left",) if kept else (), baseline.stays)
        try:
            return Ended(tree.keep(place, context), stays=baseline.stays)
        except (GitFailed, Damaged) as error:
            whole = keep_whole(place, facts["lease_id"], context, f"the tree is kept whole: {error}")
            return replace(whole, kept=(*whole.kept, *tree.keep_commits()), stays=baseline.stays)

    def _end_lost(self, place: Place, handle: Handle, context: Context) -> Ended:
        """The place's folder is gone, or realizing never began: what is ours is found by name."""
        workspace = Path(handle.data["workspace"])
        try:
            repository = Repository.around(workspace, place.git(workspace, context))
        except NoRepository:
            return Ended()
        ended = Ended()
        for lease_id in dict.fromkeys((str(handle.data["lease_id"]), context.lease_id)):
            branch = f"{OURS}{lease_id}"
            repository.remove_worktree(place.tree, _reason(lease_id))
            tip = repository.commit(f"{BRANCHES}{branch}")
            if tip is not None and repository.checked_out_at(branch) is None:
                kept = keep_commit(repository.git, tip, None, lease_id)
                ended = Ended((*ended.kept, *kept)).noting(_drop(repository, branch, tip))
        return ended


def repository_of(place: Place, facts: dict[str, Any], context: Context) -> Repository:
    """The checkout that the worktree was made from; its repository, where the checkout is gone."""
    top, common = Path(facts["top"]), Path(facts["common"])
    return Repository(place.git(top if top.is_dir() else common, context), common)


def _git_tree(place: Place, facts: dict[str, Any], repository: Repository, context: Context) -> GitTree:
    return GitTree(
        _snapshots(place, context),
        repository,
        Baseline.demand(place),
        facts["lease_id"],
        facts["start"],
        facts["start_ref"],
        f"{BRANCHES}{facts['branch']}",
        named=facts["named"],
        shared=True,
        excludes=Excludes(facts["excludes"]),
    )


def _made(place: Place) -> dict[str, Any]:
    facts = place.realized()
    if facts is None or not facts["made"]:
        raise Gone(f"the place {place.key} has no tree yet", hint="realize the workspace again")
    if not (place.tree / ".git").exists():
        raise Gone(f"the worktree {place.tree} is gone")
    return facts


def _snapshots(place: Place, context: Context) -> Snapshots:
    return Snapshots(place.git(place.tree, context), place.objects)


def _drop(repository: Repository, branch: str, tip: str) -> tuple[str, ...]:
    if (where := repository.checked_out_at(branch)) is not None:
        return (f"the branch {shown(branch)} stays: it is checked out at {shown(where)}",)
    repository.drop_branch(branch, tip)
    return ()


def _reason(lease_id: str) -> str:
    return f"leasehold lease {lease_id}"
