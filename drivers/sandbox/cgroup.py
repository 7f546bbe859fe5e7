"""Limits on what a place's processes use together, by the kernel's control groups of either version.

A group is made below our own, so that whatever limits us goes on doing so; where that cannot be, at the
nearest group above. Its folder is written down in the place before it is made, and goes with it.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leasehold.drivers.capabilities import Limiting
from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.local.place import Place
from leasehold.drivers.sandbox.limits import Limits

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
_RECORD = "cgroups.json"
_PREFIX = "leasehold-"
_BOUND = 5.0
_VARIABLE = "LEASEHOLD_CGROUPS"
_ENTER = f'for f in ${_VARIABLE}; do echo $$ >"$f/cgroup.procs" || exit 126; done; unset {_VARIABLE}; exec "$@"'


@dataclass(frozen=True, slots=True)
class _Group:
    """One control group to be made: its folder, and what is written there, name to value."""

    folder: Path
    settings: dict[str, str]
    given_down: list[str]

    def make(self) -> None:
        switch = self.folder.parent / "cgroup.subtree_control"
        for controller in self.given_down:
            if controller not in _words(switch):
                switch.write_text(f"+{controller}")
        self.folder.mkdir(exist_ok=True)
        for name, value in self.settings.items():
            try:
                (self.folder / name).write_text(value)
            except OSError:
                if name not in _OPTIONAL:
                    raise


class CgroupLimits:
    """The limits of a config on this machine.

    Attributes:
        advisory: a sentence for each limit that cannot be held here, with the reason.
    """

    def __init__(self, limits: Limits, root: Path = _ROOT, own: str | None = None) -> None:
        self._limits = limits
        wanted = {name for name, value in _wanted(limits).items() if value is not None}
        text = Path("/proc/self/cgroup").read_text() if own is None and wanted else own or ""
        memberships = dict(_memberships(text))
        self._bases = {name: base for name in sorted(wanted) if (base := _base(root, memberships, name)) is not None}
        self.advisory = tuple(
            f"{name} is not limited: no control group for it can be made here"
            for name in sorted(wanted - self._bases.keys())
        )

    @property
    def holding(self) -> Limiting:
        """Whether the kernel holds the limits."""
        if not self._limits.any:
            return Limiting.NONE
        return Limiting.ADVISORY if self.advisory else Limiting.ENFORCED

    def enter(self, place: Place) -> list[str]:
        """Make the place's groups; the words before a command line by which its process enters them.

        Raises ``Unavailable``.
        """
        groups = list(self._groups(_name(place)))
        write_json(place.folder / _RECORD, [str(group.folder) for group in groups])
        try:
            for group in groups:
                group.make()
        except OSError as error:
            raise Unavailable(
                f"the limits cannot be set: {error.filename}: {error.strerror}", hint="set others, or none"
            ) from error
        folders = " ".join(str(group.folder) for group in groups)
        return ["/usr/bin/env", f"{_VARIABLE}={folders}", "/bin/sh", "-c", _ENTER, "sh"] if groups else []

    @staticmethod
    def remove(place: Place) -> None:
        """Remove the place's groups; what ran there has ended. Raises ``Unavailable`` where one is in use."""
        for name in read_json(place.folder / _RECORD) or ():
            _remove(Path(name))

    def _groups(self, name: str) -> Iterator[_Group]:
        settings: dict[Path, _Group] = {}
        for controller, (base, version) in self._bases.items():
            group = settings.setdefault(base / name, _Group(base / name, {}, []))
            group.given_down.extend([controller] if version == 2 else [])
            group.settings.update(_settings(controller, version, self._limits))
        yield from settings.values()


def _name(place: Place) -> str:
    """A name that no place of another root has, whatever its key."""
    return f"{_PREFIX}{place.key}-{hashlib.sha256(os.fsencode(place.folder)).hexdigest()[:8]}"


_OPTIONAL = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})


def _wanted(limits: Limits) -> dict[str, object]:
    return {"memory": limits.memory, "pids": limits.pids, "cpu": limits.cpus}


def _settings(controller: str, version: int, limits: Limits) -> dict[str, str]:
    if controller == "pids":
        return {"pids.max": str(limits.pids)}
    if controller == "memory":
        memory = str(limits.memory)
        if version == 1:
            return {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}
        return {"memory.max": memory, "memory.swap.max": "0"}
    quota = max(1000, int((limits.cpus or 0) * _PERIOD))
    if version == 1:
        return {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)}
    return {"cpu.max": f"{quota} {_PERIOD}"}


def _memberships(text: str) -> Iterator[tuple[str, str]]:
    """Controller to our own group, as ``/proc/self/cgroup`` tells it; version 2's has no name."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _base(root: Path, memberships: dict[str, str], controller: str) -> tuple[Path, int] | None:
    """The nearest group, our own or above it, below which one with this controller can be made."""
    if controller in memberships and (root / controller).is_dir():
        return next(((base, 1) for base in _upwards(root / controller, memberships[controller]) if _ours(base)), None)
    top = root / "unified" if (root / "unified").is_dir() else root
    for base in _upwards(top, memberships.get("", "/")):
        if controller in _words(base / "cgroup.controllers") and _ours(base) and _gives_down(base, controller):
            return base, 2
    return None


def _upwards(top: Path, own: str) -> list[Path]:
    here = top / own.strip("/")
    return [base for base in (here, *here.parents) if base.is_dir() and base.is_relative_to(top)]


def _ours(base: Path) -> bool:
    return os.access(base, os.W_OK | os.X_OK) and os.access(base / "cgroup.procs", os.W_OK)


def _gives_down(base: Path, controller: str) -> bool:
    """Whether groups below have the controller, or it can be switched on: not where processes are in the group."""
    if controller in _words(base / "cgroup.subtree_control"):
        return True
    return not (base / "cgroup.type").exists() or not _words(base / "cgroup.procs")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _remove(folder: Path) -> None:
    """The kernel takes a moment after its last process has ended."""
    deadline = time.monotonic() + _BOUND
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                hint = f"end the processes that cat {folder}/cgroup.procs lists"
                raise Unavailable(f"{folder} cannot be removed: {error.strerror}", hint=hint) from error
            time.sleep(0.02)
        else:
            return
