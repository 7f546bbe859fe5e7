"""Whether places would stand and run on this machine now."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from leasehold.drivers.command import Command
from leasehold.drivers.confinement import Confinement
from leasehold.drivers.driver import Health
from leasehold.drivers.execution import Supervision
from leasehold.drivers.git import Git
from leasehold.drivers.local.config import LocalConfig
from leasehold.drivers.local.validate import bounded
from leasehold.drivers.looking import Sick, timed
from leasehold.drivers.secret import can_be_read
from leasehold.drivers.shown import shown

_LEAST_SPACE = 256 * 1024 * 1024
_OLDEST_GIT = (2, 31)
_BOUND = 10.0


async def look(
    config: LocalConfig, state_folder: Path, supervisor: Callable[[Path], Confinement | None] = lambda _: None
) -> Health:
    """Look at the root, git, secrets and the supervisor, one after the other. Leaves nothing.

    ``supervisor`` is asked for the namespaces of a supervisor that may write in a folder.
    """
    checks = [
        await timed("root", lambda: asyncio.to_thread(_root, config, state_folder)),
        await timed("git", lambda: asyncio.to_thread(_git)),
        await timed("supervisor", lambda: _supervisor(supervisor)),
    ]
    if config.variables:
        checks.append(await timed("variables", lambda: asyncio.to_thread(can_be_read, config.variables.values())))
    return Health(tuple(checks))


def _root(config: LocalConfig, state_folder: Path) -> str:
    root = (config.root.expanduser() if config.root else state_folder / "places").absolute()
    standing = next(folder for folder in (root, *root.parents) if folder.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise Sick(f"{shown(root)} cannot be made or written", f"make {shown(standing)} a folder that you may write")
    free = shutil.disk_usage(standing).free
    if free < _LEAST_SPACE:
        raise Sick(f"{free / 1e6:.0f} MB are free at {shown(standing)}", "make room, or set another root")
    return f"{shown(root)}, {free / 1e9:.1f} GB free"


def _git() -> str:
    if shutil.which("git") is None:
        return "not installed: the mode git_worktree cannot be used until it is"
    version = Git(Path("/"), bounded()).text("--version").removeprefix("git version ")
    parts = version.split()[0].split(".")
    if tuple(int(part) for part in parts[:2]) < _OLDEST_GIT:
        raise Sick(f"git {version} is too old", "install git 2.31 or newer, or use in_place and copy alone")
    return version


async def _supervisor(confine: Callable[[Path], Confinement | None]) -> str:
    with tempfile.TemporaryDirectory(prefix="leasehold-probe-") as folder:
        supervision = Supervision(Path(folder), "probe", confinement=confine(Path(folder)))
        try:
            result = await supervision.execute(
                Command(("true",), timeout=_BOUND), cwd=Path(folder), env={"PATH": os.environ.get("PATH", "")}
            )
        finally:
            await supervision.close(time.monotonic() + _BOUND)
    if not result.ok:
        raise Sick(f"true ended {result.outcome} with {result.exit_code}", "look at the limits on processes")
    return "a command runs and ends"
