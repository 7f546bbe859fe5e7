"""Whether sandboxes of bubblewrap would work on this machine now."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from leasehold.drivers.confinement import Confinement
from leasehold.drivers.driver import Check, Health
from leasehold.drivers.local.probe import look as look_at_places
from leasehold.drivers.looking import Sick, timed
from leasehold.drivers.sandbox.bubblewrap.config import BubblewrapConfig
from leasehold.drivers.sandbox.bubblewrap.namespaces import INSTALL, MISSING, PROGRAM, confined
from leasehold.drivers.sandbox.cgroup import CgroupLimits
from leasehold.drivers.sandbox.limits import Limits

_BOUND = 10.0
_NO_NAMESPACES = (
    "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000 "
    "kernel.apparmor_restrict_unprivileged_userns=0 (those that this kernel knows)"
)
_ALL = Limits(memory=1 << 30, pids=1000, cpus=1.0)


async def look(config: BubblewrapConfig, state_folder: Path) -> Health:
    """Look at the program, namespaces, places, the supervisor within, and limits. Leaves nothing."""
    program = await timed("program", lambda: asyncio.to_thread(_program))
    if not program.ok:
        return Health((program,))
    namespaces = await timed("namespaces", lambda: asyncio.to_thread(_namespaces))
    if not namespaces.ok:
        return Health((program, namespaces))
    places = await look_at_places(config, state_folder, _within)
    return Health((program, namespaces, *places.checks, _limits(config)))


def _program() -> str:
    if sys.platform != "linux":
        raise Sick("bubblewrap is for Linux", "use docker or podman here, or ssh to a Linux host")
    if shutil.which(PROGRAM) is None:
        raise Sick(MISSING, INSTALL)
    return _said([PROGRAM, "--version"])


def _namespaces() -> str:
    _said([*confined([], [], network=False, marker="probe").argv, "/bin/true"])
    return "user, pid, ipc, uts and net"


def _within(folder: Path) -> Confinement:
    return confined([], ["--bind", str(folder), str(folder)], network=False, marker="probe")


def _limits(config: BubblewrapConfig) -> Check:
    """Limits that cannot be held are told, and nothing is sick for that."""
    lost = CgroupLimits(config if config.any else _ALL).advisory
    return Check("limits", True, f"advisory: {'; '.join(lost)}" if lost else "memory, pids and cpu hold by cgroup")


def _said(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=_BOUND, check=False,
            stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Sick(f"{PROGRAM} gave no answer within {_BOUND:g} s", "look at the machine's load") from None
    if done.returncode != 0:
        raise Sick(f"{PROGRAM}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}", _NO_NAMESPACES)
    return done.stdout.strip()
