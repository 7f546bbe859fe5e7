# ruff: noqa: PTH118
# Paths are bytes here, because names of files need not be text.
"""The user's repository: where it is, and what of ours stands in it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from leasehold.drivers.errors import Unusable
from leasehold.drivers.git import Git, GitFailed
from leasehold.drivers.removal import remove_empty, remove_tree
from leasehold.drivers.shown import shown
from leasehold.drivers.waiting_lock import lock

BRANCHES = "refs/heads/"


class NoRepository(Unusable):
    """The folder lies in no git repository."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A checkout of a repository.

    Attributes:
        git: git at the checkout's top.
        common: the repository's own folder, one for all its worktrees.
        prefix: where the workspace lies below the top; empty for the top itself.
    """

    git: Git
    common: Path
    prefix: str = ""

    @classmethod
    def around(cls, folder: Path, git: Git) -> "Repository":
        """The repository that a folder lies in. Raises ``Unusable``."""
        git = git.at(folder)
        name = shown(folder)
        if not folder.is_dir():
            raise NoRepository(f"the folder {name} is gone")
        try:
            inside = git.text("rev-parse", "--is-inside-work-tree") == "true"
        except GitFailed as error:
            if "not a git repository" in error.lines:
                hint = "run git init there, or use the mode copy"
                raise NoRepository(f"{name} is in no git repository", hint=hint) from error
            hint = next((line.strip() for line in error.lines.splitlines() if "git config" in line), "")
            raise Unusable(f"git cannot read {name}: {error}", hint=hint) from error
        if not inside:
            raise Unusable(f"{name} is no checkout: a bare repository or a .git folder", hint="name a checkout")
        top = Path(git.text("rev-parse", "--path-format=absolute", "--show-toplevel"))
        common = Path(git.text("rev-parse", "--path-format=absolute", "--git-common-dir"))
        return cls(git.at(top), common.resolve(), git.text("rev-parse", "--show-prefix"))

    @property
    def top(self) -> Path:
        return self.git.folder

    @contextmanager
    def alone(self) -> Generator["Repository", None, None]:
        """Keep out other verbs of ours that list, add or remove worktrees here.

        Git itself fails, or takes another's half-made worktree for broken, when two of these meet. The
        repository's own folder is what is locked, so nothing is written, whatever places others have.
        """
        descriptor = os.open(self.common, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(descriptor, self.git.check)
            yield replace(self, git=replace(self.git, locks=(*self.git.locks, descriptor)))
        finally:
            os.close(descriptor)

    def commit(self, name: str) -> str | None:
        """The commit that a name stands for, if there is one."""
        return self.git.maybe("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")

    def branch(self) -> str | None:
        """The branch checked out (``refs/heads/…``), none for a detached head."""
        return self.git.maybe("symbolic-ref", "--quiet", "HEAD")

    def descends(self, commit: str, ancestor: str) -> bool:
        done = self.git.run("merge-base", "--is-ancestor", ancestor, commit, ok=(0, 1))
        return done.code == 0

    def checked_out_at(self, branch: str) -> Path | None:
        """The worktree that has a branch checked out."""
        with self.alone() as alone:
            where = alone.git.text("for-each-ref", "--format=%(worktreepath)", f"{BRANCHES}{branch}")
        return Path(where) if where else None

    def add_worktree(self, tree: Path, reason: str, branch: str, start: str | None) -> None:
        """Add a worktree that is locked for a reason, on a new branch from ``start`` or on an existing one."""
        words: list[str | Path] = ["worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", reason]
        words += [tree, branch] if start is None else ["--no-track", "-b", branch, tree, start]
        with self.alone() as alone:
            alone.git.run(*words)
        # Outside of the lock, for it takes long; it is what git does itself at the end of an add.
        self.git.at(tree).run("reset", "--hard", "--no-recurse-submodules", "--quiet")

    def remove_worktree(self, tree: Path, reason: str) -> None:
        """Remove one worktree, its folder and the repository's record of it, or what is left of either."""
        remove_tree(tree, self.git.check)
        with self.alone() as alone:
            record = self._record(tree, reason)
            if record is None:
                return
            tree.parent.mkdir(parents=True, exist_ok=True)  # git looks the worktree up by its real path
            done = alone.git.run("worktree", "remove", "--force", "--force", tree, ok=(0, 128))
            if done.code != 0:
                remove_tree(record, self.git.check)
                if not any(record.parent.iterdir()):
                    record.parent.rmdir()

    def drop_branch(self, branch: str, tip: str) -> None:
        """Delete a branch that still is at ``tip``, and the empty folders that it leaves."""
        name = f"{BRANCHES}{branch}"
        self.git.run("update-ref", "--no-deref", "-d", name, tip)
        for top in (self.common, self.common / "logs"):
            remove_empty(top / Path(name).parent, top / "refs" / "heads")

    def _record(self, tree: Path, reason: str) -> Path | None:
        """The repository's own folder on a worktree: by its path or, half-made, by the reason of its lock."""
        pointer = os.fsencode(os.path.join(os.path.realpath(tree), ".git"))
        try:
            records = list((self.common / "worktrees").iterdir())
        except FileNotFoundError:
            return None
        for record in records:
            named = _content(record / "gitdir")
            if named == pointer or (named is None and _content(record / "locked") == reason.encode()):
                return record
        return None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes().strip(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
