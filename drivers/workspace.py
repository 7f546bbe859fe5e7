"""A workspace: the tree that a run works on, and the record of how it stands in a place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leasehold.drivers.capabilities import Mode


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tree that a run works on, on the caller's side.

    ``path`` is absolute. ``branch`` names an existing branch for a ``git_worktree`` (none: a branch of
    the lease's own). ``untracked`` takes along what git does not track and does not ignore.
    ``excludes`` are globs, relative to the tree, that are neither sent nor brought back.
    """

    path: Path
    mode: Mode
    branch: str | None = None
    untracked: bool = False
    excludes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "excludes": list(self.excludes)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Workspace":
        return cls(
            Path(value["path"]),
            Mode(value["mode"]),
            value["branch"],
            value["untracked"],
            tuple(value["excludes"]),
        )


@dataclass(frozen=True, slots=True)
class Realization:
    """How the workspace stands in the place: the original's realization record, version 1.

    ``cwd`` is where commands run. ``sync`` has ``strategy``, ``prepare`` and ``sync_back``.
    """

    mode: Mode
    authoritative_root: str
    cwd: str
    transport: str
    provider: str
    summary: str
    local: Mapping[str, Any] = field(default_factory=dict[str, Any])
    remote: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sync: Mapping[str, Any] = field(default_factory=dict[str, Any])
    path_aliases: tuple[str, ...] = ()
    outbound_restore_paths: tuple[str, ...] = ()
    bootstrap: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rebuild: Mapping[str, Any] = field(default_factory=dict[str, Any])
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in self.__slots__}
        record["path_aliases"] = list(self.path_aliases)
        record["outbound_restore_paths"] = list(self.outbound_restore_paths)
        return record

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Realization":
        fields = {name: value[name] for name in cls.__slots__ if name in value}  # a newer version may write more
        fields["mode"] = Mode(fields["mode"])
        fields["path_aliases"] = tuple(fields["path_aliases"])
        fields["outbound_restore_paths"] = tuple(fields["outbound_restore_paths"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync-back did. ``branch`` names commits that could not be fast-forwarded."""

    applied: int = 0
    deleted: int = 0
    commits: int = 0
    branch: str | None = None
    summary: str = "nothing to bring back"
