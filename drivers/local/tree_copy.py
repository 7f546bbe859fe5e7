"""The mode ``copy``: a copy of the whole workspace, its ``.git`` included."""

import shutil
from pathlib import Path
from typing import Any

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Problem
from leasehold.drivers.errors import Damaged, Gone, Unusable
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.git import GitFailed
from leasehold.drivers.local.copied_repository import git_of_copy
from leasehold.drivers.local.file_tree import FileBaseline, FileTree, keep_whole
from leasehold.drivers.local.git_baseline import Baseline
from leasehold.drivers.local.git_return import bring_back, forget_plan
from leasehold.drivers.local.git_tree import GitTree
from leasehold.drivers.local.kept_ref import remove_old_refs
from leasehold.drivers.local.place import DRIVER, Place
from leasehold.drivers.local.repository import Repository
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import Handle
from leasehold.drivers.removal import open_up_tree, remove_tree
from leasehold.drivers.shown import shown
from leasehold.drivers.snapshot import Snapshots
from leasehold.drivers.tree_copying import Earlier, Sink, TreeCopying, special_note
from leasehold.drivers.workspace import Realization, SyncReport, Workspace


class TreeCopy:
    """What git ignores comes along, and stays behind.

    The copy of a whole repository is one of its own: its commits come back as commits. Another folder's
    files are compared by their digests.
    """

    mode = Mode.COPY

    def problems(self, workspace: Workspace) -> list[Problem]:
        return []

    def subjects(self, workspace: Workspace, machine: str) -> tuple[str, ...]:
        return ()

    def make(self, place: Place, workspace: Workspace, context: Context) -> Realization:
        source = workspace.path.resolve()
        before = self._undo(place, context)
        excludes = Excludes(workspace.excludes)
        repository = _whole_repository(place, source, excludes, context)
        if repository is not None:
            remove_old_refs(repository.git)
        facts: dict[str, Any] = {
            "mode": self.mode,
            "made": False,
            "lease_id": context.lease_id,
            "source": str(source),
            "git": repository is not None,
            "start": repository.commit("HEAD") if repository else None,
            "start_ref": repository.branch() if repository else None,
            "excludes": list(workspace.excludes),
            "cwd": str(place.tree),
        }
        place.write_realized(facts)
        context.progress(f"copying {shown(source)}")
        try:
            copied = self._copying(place, source, excludes, context, digests=repository is None).run()
        except (OSError, shutil.Error) as error:
            raise Unusable(f"the workspace cannot be copied: {error}", hint="look at permissions and space") from error
        if repository is None:
            FileBaseline(copied.manifest, explicit=False).write(place)
        else:
            # The index knows the files of the original by their inodes; read once, the copies' are known.
            place.git(place.tree, context).run("update-index", "-q", "--refresh", ok=(0, 1))
            Baseline.take(_snapshots(place, facts, context), explicit=False, own=True).write(place)
        place.write_realized({**facts, "made": True})
        what = f"copy of {shown(source)}: {copied.count} entries, {copied.size / 1e6:.1f} MB"
        return Realization(
            self.mode,
            authoritative_root=str(source),
            cwd=facts["cwd"],
            transport="local",
            provider=DRIVER,
            summary="; ".join([what, *special_note(copied), *before.lines()]),
            local={"path": str(source), "copy_path": str(place.tree)},
            sync={
                "strategy": "provider_defined",
                "prepare": "copy",
                "sync_back": "files" if repository is None else "git",
            },
        )

    def _copying(
        self,
        place: Place,
        source: Path,
        excludes: Excludes,
        context: Context,
        *,
        digests: bool,
        sink: Sink | None = None,
        earlier: Earlier | None = None,
    ) -> TreeCopying:
        return TreeCopying(
            source,
            place.tree,
            excludes=excludes,
            spare=place.root,
            digests=digests,
            check=context.check,
            progress=context.progress,
            sink=sink,
            earlier=earlier,
        )

    def _clear(self, place: Place, context: Context) -> None:
        remove_tree(place.tree, context.check)

    def missing(self, place: Place) -> str | None:
        facts = place.realized()
        if facts is None or not facts["made"] or place.tree.is_dir():
            return None
        return f"the copy {place.tree} is gone"

    def opened_at(self, place: Place, handle: Handle) -> Path:
        return place.tree if place.tree.is_dir() else place.folder

    def baseline(self, place: Place, context: Context) -> None:
        facts = _made(place)
        if facts["git"]:
            Baseline.take(_snapshots(place, facts, context), explicit=True, own=True).write(place)
        else:
            now = _file_tree(place, facts).now(context.check)
            FileBaseline(now, explicit=True).write(place)

    def sync_back(self, place: Place, context: Context) -> SyncReport:
        facts = _made(place)
        if not facts["git"]:
            return _file_tree(place, facts).bring_back(place, context)
        if not Path(facts["source"], ".git").is_dir():
            raise Gone(f"the repository {shown(facts['source'])} is gone")
        return bring_back(place, _git_tree(place, facts, context), context)

    def end(self, place: Place, handle: Handle, context: Context) -> Ended:
        facts = place.realized() if place.stands() else None
        return self._end(place, facts, context) if facts is not None else Ended()

    def _undo(self, place: Place, context: Context) -> Ended:
        """End what an earlier call made. What a run changed there is kept; what provisioning did is not."""
        facts = place.realized()
        ended = Ended()
        if facts is not None:
            baseline = FileBaseline.read(place) if not facts["git"] else Baseline.read(place)
            if baseline is not None and not baseline.explicit:
                Baseline.forget(place)
            ended = self._end(place, facts, context)
            Baseline.forget(place)
            place.forget_realized()
        self._clear(place, context)
        return ended

    def _end(self, place: Place, facts: dict[str, Any], context: Context) -> Ended:
        ended = Ended.once(place, facts, lambda: self._keep(place, facts, context))
        self._clear(place, context)
        return ended

    def _keep(self, place: Place, facts: dict[str, Any], context: Context) -> Ended:
        if not place.tree.is_dir():
            return Ended()
        if facts["git"] and Baseline.read(place) is not None:
            source = Path(facts["source"])
            if not (source / ".git").is_dir():
                return keep_whole(place, facts["lease_id"], context, f"the repository {shown(source)} is gone")
            try:
                tree = _git_tree(place, facts, context)
                forget_plan(place, tree.repository)
                return Ended(tree.keep(place, context))
            except (GitFailed, Damaged) as error:
                return keep_whole(place, facts["lease_id"], context, f"the tree is kept whole: {error}")
        if facts["git"] or FileBaseline.read(place) is None:
            return Ended()  # half-made: no command has run there
        files = _file_tree(place, facts)
        files.forget_plan(place)
        try:
            now = files.now(context.check)
        except PermissionError:
            open_up_tree(place.tree, context.check)
            now = files.now(context.check)
        return Ended(files.keep(files.changes(now, context.check), context))


def _whole_repository(place: Place, source: Path, excludes: Excludes, context: Context) -> Repository | None:
    """The repository whose top this is, where it comes along whole and git is there to look after it."""
    git = source / ".git"
    if git.is_symlink() or not git.is_dir() or b".git" in excludes or shutil.which("git") is None:
        return None
    repository = Repository.around(source, place.git(source, context))
    return repository if repository.top.resolve() == source else None


def _git_tree(place: Place, facts: dict[str, Any], context: Context) -> GitTree:
    source = Path(facts["source"])
    return GitTree(
        _snapshots(place, facts, context),
        Repository.around(source, place.git(source, context)),
        Baseline.demand(place),
        facts["lease_id"],
        facts["start"],
        facts["start_ref"],
        facts["start_ref"],
        named=False,
        shared=False,
        excludes=Excludes(facts["excludes"]),
    )


def _file_tree(place: Place, facts: dict[str, Any]) -> FileTree:
    baseline, excludes = FileBaseline.demand(place), Excludes(facts["excludes"])
    return FileTree(place.tree, Path(facts["source"]), facts["lease_id"], baseline, excludes)


def _made(place: Place) -> dict[str, Any]:
    facts = place.realized()
    if facts is None or not facts["made"]:
        raise Gone(f"the place {place.key} has no tree yet", hint="realize the workspace again")
    if not place.tree.is_dir():
        raise Gone(f"the copy {place.tree} is gone")
    return facts


def _snapshots(place: Place, facts: dict[str, Any], context: Context) -> Snapshots:
    # A run may prune its copy: what it began from is still in the source.
    source = Path(facts["source"])
    return Snapshots(git_of_copy(place, source, context), place.objects, source / ".git" / "objects")
