"""Why a workspace cannot be used, seen before anything is made."""

import os
from collections.abc import Callable, Mapping

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.driver import Problem
from leasehold.drivers.errors import DriverError
from leasehold.drivers.local.tree import Tree
from leasehold.drivers.looking import bound
from leasehold.drivers.shown import shown
from leasehold.drivers.workspace import Workspace

BOUND = 20.0
"""Seconds that questions to git may take before a lease exists."""


def problems(workspace: Workspace, trees: Mapping[Mode, Tree]) -> list[Problem]:
    """Every reason, each in a line that says what to do. A link to a folder is followed; no side effects."""
    found = workspace_problems(workspace, tuple(trees), "local")
    if found:
        return found
    try:
        return trees[workspace.mode].problems(workspace)
    except DriverError as error:
        return [Problem("workspace", f"{error}: {error.hint}" if error.hint else str(error))]


def workspace_problems(workspace: Workspace, modes: tuple[Mode, ...], driver: str) -> list[Problem]:
    """Why a driver that knows these modes cannot use a workspace, whatever a mode asks besides."""
    if workspace.mode not in modes:
        known = ", ".join(modes)
        return [Problem("request", f"the {driver} driver knows no mode {workspace.mode}: use one of {known}")]
    if workspace.branch is not None and workspace.mode is not Mode.GIT_WORKTREE:
        return [Problem("request", f"a branch needs the mode git_worktree, not {workspace.mode}")]
    path, name = workspace.path, shown(workspace.path)
    if not path.is_absolute():
        return [Problem("workspace", f"the workspace {name} is not an absolute path: give the whole path")]
    if path.is_symlink() and not path.exists():
        return [Problem("workspace", f"the workspace {name} is a link to nothing: mend or replace the link")]
    if not path.exists():
        return [Problem("workspace", f"the workspace {name} does not exist: make it, or name another")]
    if not path.is_dir():
        return [Problem("workspace", f"the workspace {name} is not a folder: name the folder that it is in")]
    if not os.access(path, os.R_OK | os.X_OK):
        return [Problem("workspace", f"the workspace {name} cannot be read: change its owner or permissions")]
    return []


def bounded() -> Callable[[], None]:
    """A ``check`` for questions to git that come without a context."""
    return bound("git", BOUND, hint="look at the disk and the repository")
