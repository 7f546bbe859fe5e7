"""What a caller asks for: one lease, in words that are stored with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from leasehold.drivers import Mode, Workspace


class SyncBack(StrEnum):
    """When what the run changed is brought back into the workspace."""

    ON_SUCCESS = "on-success"
    ALWAYS = "always"
    NEVER = "never"


class OwnerLost(StrEnum):
    """What becomes of a lease at ``targeted`` whose owner is lost."""

    FAIL = "fail"
    WAIT = "wait"


class SweepBy(StrEnum):
    """What a worker does with what a sweep finds."""

    APPLY = "apply"
    REPORT = "report"
    NEVER = "never"


NOTHING: Mapping[str, Any] = MappingProxyType({})
"""One empty mapping for all leases: thousands are held at a time."""


@dataclass(frozen=True, slots=True)
class Request:
    """One lease, as asked for. Durations are seconds.

    ``environment`` is a name or id (none: the company's local default). ``workspace`` is empty where a
    platform names its tree only when it is realized; the execution workspace is that platform's own, and
    only carried. ``variables`` are given to every command of the lease; their values stay in this
    process, only their names are stored: elsewhere they are ``unknown_variables``.
    """

    company_id: str
    run_id: str
    workspace: str
    environment: str | None = None
    mode: Mode | None = None
    branch: str | None = None
    untracked: bool = False
    excludes: tuple[str, ...] = ()
    provision: str | None = None
    provision_timeout: float = 300.0
    policy: str | None = None
    keep_for: float = 86400.0
    ttl: float | None = None
    wait: float = 0.0
    share: bool = False
    sync_back: SyncBack | None = None
    owner_lost: OwnerLost = OwnerLost.FAIL
    issue_id: str | None = None
    agent_id: str | None = None
    adapter_type: str | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    execution_workspace_id: str | None = None
    execution_workspace_mode: str | None = None
    unknown_variables: tuple[str, ...] = ()

    @property
    def late(self) -> bool:
        """Whether the tree is named only when it is realized."""
        return not self.workspace

    @property
    def tree_id(self) -> str:
        """What two leases on the same tree have in common."""
        return self.workspace or f"execution workspace {self.execution_workspace_id}"

    def knowing(self, variables: Mapping[str, str]) -> "Request":
        """The request with these values, where there are any, of whom only the names were known."""
        if not variables:
            return self
        unknown = tuple(name for name in self.unknown_variables if name not in variables)
        return replace(self, variables=variables, unknown_variables=unknown)

    def stored(self) -> dict[str, Any]:
        """What the lease's row keeps of it, beside the columns of its own."""
        carried = {
            "execution_workspace_id": self.execution_workspace_id,
            "execution_workspace_mode": self.execution_workspace_mode,
        }
        return {
            **{name: value for name, value in carried.items() if value is not None},
            "workspace": self.workspace,
            "environment": self.environment,
            "branch": self.branch,
            "untracked": self.untracked,
            "excludes": list(self.excludes),
            "provision": self.provision,
            "provision_timeout": self.provision_timeout,
            "keep_for": self.keep_for,
            "ttl": self.ttl,
            "wait": self.wait,
            "share": self.share,
            "sync_back": self.sync_back,
            "owner_lost": self.owner_lost,
            "variables": sorted(self.variables),
        }

    @classmethod
    def restored(cls, columns: Mapping[str, Any], stored: Mapping[str, Any]) -> "Request":
        """The request of a lease's row. Values of variables are not stored: they are empty.

        What stands there beside it, or a later version keeps there, is passed over.
        """
        fields = {name: value for name, value in stored.items() if name in cls.__slots__ or name == "variables"}
        fields["unknown_variables"] = tuple(fields.pop("variables"))
        fields["excludes"] = tuple(fields["excludes"])
        fields["sync_back"] = SyncBack(fields["sync_back"]) if fields["sync_back"] else None
        fields["owner_lost"] = OwnerLost(fields["owner_lost"])
        return cls(
            company_id=columns["company_id"],
            run_id=columns["run_id"],
            mode=Mode(columns["mode"]) if columns["mode"] else None,
            policy=columns["policy"],
            issue_id=columns["issue_id"],
            agent_id=columns["agent_id"],
            adapter_type=columns["adapter_type"],
            **fields,
        )

    def tree(self, path: Any, mode: Mode) -> Workspace:
        """The workspace at ``path``, as drivers know it."""
        return Workspace(path, mode, self.branch, self.untracked, self.excludes)
