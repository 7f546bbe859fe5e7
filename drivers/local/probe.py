"""Whether places would stand and run on this machine now."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from leasehold.drivers.command import Command
from leasehold.drivers.driver import Check, Health
from leasehold.drivers.errors import DriverError
from leasehold.drivers.execution import Supervision
from leasehold.drivers.git import Git
from leasehold.drivers.local.config import LocalConfig
from leasehold.drivers.local.validate import bounded
from leasehold.drivers.secret import SecretRef
from leasehold.drivers.shown import shown
from platformdirs import user_state_path

_LEAST_SPACE = 256 * 1024 * 1024
_OLDEST_GIT = (2, 31)
_BOUND = 10.0


async def look(config: LocalConfig) -> Health:
    """Look at the root, git, secrets and the supervisor, one after the other. Leaves nothing."""
    checks = [
        await _timed("root", lambda: asyncio.to_thread(_root, config)),
        await _timed("git", lambda: asyncio.to_thread(_git)),
        await _timed("supervisor", _supervisor),
    ]
    if config.variables:
        checks.append(await _timed("variables", lambda: asyncio.to_thread(_variables, config)))
    return Health(tuple(checks))


class _Sick(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.mend = mend


async def _timed(name: str, ask: Callable[[], Awaitable[str]]) -> Check:
    begun = time.monotonic()
    try:
        detail, mend, ok = await ask(), "", True
    except _Sick as sick:
        detail, mend, ok = str(sick), sick.mend, False
    except DriverError as error:
        detail, mend, ok = str(error), error.hint, False
    except OSError as error:
        detail, mend, ok = str(error), "look at the folder, its permissions and the disk", False
    return Check(name, ok, detail, mend, time.monotonic() - begun)


def _root(config: LocalConfig) -> str:
    root = (config.root or user_state_path("leasehold") / "places").expanduser().absolute()
    standing = next(folder for folder in (root, *root.parents) if folder.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise _Sick(f"{shown(root)} cannot be made or written", f"make {shown(standing)} a folder that you may write")
    free = shutil.disk_usage(standing).free
    if free < _LEAST_SPACE:
        raise _Sick(f"{free / 1e6:.0f} MB are free at {shown(standing)}", "make room, or set another root")
    return f"{shown(root)}, {free / 1e9:.1f} GB free"


def _git() -> str:
    if shutil.which("git") is None:
        return "not installed: the mode git_worktree cannot be used until it is"
    version = Git(Path("/"), bounded()).text("--version").removeprefix("git version ")
    parts = version.split()[0].split(".")
    if tuple(int(part) for part in parts[:2]) < _OLDEST_GIT:
        raise _Sick(f"git {version} is too old", "install git 2.31 or newer, or use in_place and copy alone")
    return version


async def _supervisor() -> str:
    with tempfile.TemporaryDirectory(prefix="leasehold-probe-") as folder:
        supervision = Supervision(Path(folder), "probe")
        try:
            result = await supervision.execute(
                Command(("true",), timeout=_BOUND), cwd=Path(folder), env={"PATH": os.environ.get("PATH", "")}
            )
        finally:
            await supervision.close(time.monotonic() + _BOUND)
    if not result.ok:
        raise _Sick(f"true ended {result.outcome} with {result.exit_code}", "look at the limits on processes")
    return "a command runs and ends"


def _variables(config: LocalConfig) -> str:
    for value in config.variables.values():
        SecretRef(value).resolve()
    return f"{len(config.variables)} can be read"
