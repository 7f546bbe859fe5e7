"""Execution workspaces: a platform's trees, its own record of each, and where those records are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.store.encoding import decode, encode
from leasehold.orchestrator.store.store import Store
from sqlalchemy import Connection, delete, insert, select, update


class WorkspaceMode(StrEnum):
    """How a platform uses a tree. Leasehold carries it, and never interprets it."""

    SHARED_WORKSPACE = "shared_workspace"
    ISOLATED_WORKSPACE = "isolated_workspace"
    OPERATOR_BRANCH = "operator_branch"
    ADAPTER_MANAGED = "adapter_managed"
    CLOUD_SANDBOX = "cloud_sandbox"


class Strategy(StrEnum):
    """How a platform made a tree. Carried only."""

    PROJECT_PRIMARY = "project_primary"
    GIT_WORKTREE = "git_worktree"


class SourceKind(StrEnum):
    """Where a tree comes from. Carried only."""

    PROJECT_PRIMARY = "project_primary"
    TASK_SESSION = "task_session"
    AGENT_HOME = "agent_home"


@dataclass(frozen=True, slots=True)
class RealizedWorkspace:
    """The tree as the platform has made it; ``cwd`` is its folder on this machine."""

    cwd: str
    source: str = SourceKind.PROJECT_PRIMARY
    strategy: str = Strategy.PROJECT_PRIMARY
    project_id: str | None = None
    workspace_id: str | None = None
    repo_url: str | None = None
    repo_ref: str | None = None
    branch_name: str | None = None
    worktree_path: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionWorkspaceConfig:
    """What a platform has configured for a tree. ``provision_command`` is run; the others are carried."""

    environment_id: str | None = None
    provision_command: str | None = None
    teardown_command: str | None = None
    cleanup_command: str | None = None
    workspace_runtime: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ExecutionWorkspaceConfig":
        return cls(**{name: value[name] for name in cls.__slots__ if name in value})  # a newer version may write more


@dataclass(frozen=True, slots=True)
class ExecutionWorkspace:
    """A platform's record of a tree, as it was read."""

    id: str
    company_id: str
    mode: str
    strategy: str = Strategy.PROJECT_PRIMARY
    config: ExecutionWorkspaceConfig = ExecutionWorkspaceConfig()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Workspaces(Protocol):
    """A host's own execution workspaces, of whatever class; coroutines or plain functions.

    A workspace has ``id``, ``mode``, ``config`` and ``metadata``, as attributes or keys.
    """

    def get(self, workspace_id: str, /) -> Any:
        """The workspace of that id; none where it is gone."""
        ...

    def update_metadata(self, workspace_id: str, metadata: dict[str, Any], /) -> Any:
        """Replace its metadata; gives it as it is now, or none where it is gone."""
        ...


class ExecutionWorkspaces:
    """The execution workspaces of a store. Each call names the company; what is not its own does not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = store.schema.execution_workspace

    async def add(
        self,
        company_id: str,
        *,
        mode: str,
        strategy: str = Strategy.PROJECT_PRIMARY,
        config: ExecutionWorkspaceConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ExecutionWorkspace:
        """Make one. Raises ``WrongUsage`` for a mode or strategy that there is none of."""
        for kind, value in ((WorkspaceMode, mode), (Strategy, strategy)):
            if value not in set(kind):
                raise WrongUsage(f"there is no {value!r}", hint=f"use one of: {', '.join(kind)}")
        now = self._store.clock.now()
        workspace_id = self._store.ids.random()
        values = {
            "id": workspace_id,
            "company_id": company_id,
            "mode": str(mode),
            "strategy": str(strategy),
            "config": encode(asdict(config or ExecutionWorkspaceConfig())),
            "metadata": encode(dict(metadata or {})),
            "created_at": now,
            "updated_at": now,
        }

        def make(connection: Connection) -> ExecutionWorkspace | None:
            connection.execute(insert(self._table).values(values))
            return self._select(connection, company_id, workspace_id)

        made: ExecutionWorkspace | None = await self._store.writer.job(make)
        assert made is not None
        return made

    async def get(self, company_id: str, workspace_id: str) -> ExecutionWorkspace | None:
        """The company's workspace of that id; none where there is none."""
        return await self._store.read(lambda connection: self._select(connection, company_id, workspace_id))

    async def update_metadata(
        self, company_id: str, workspace_id: str, metadata: Mapping[str, Any]
    ) -> ExecutionWorkspace | None:
        """Replace its metadata; none where there is none of that id."""
        table = self._table

        def change(connection: Connection) -> ExecutionWorkspace | None:
            connection.execute(
                update(table)
                .where(table.c.company_id == company_id, table.c.id == workspace_id)
                .values(metadata=encode(dict(metadata)), updated_at=self._store.clock.now())
            )
            return self._select(connection, company_id, workspace_id)

        updated: ExecutionWorkspace | None = await self._store.writer.job(change)
        return updated

    async def remove(self, company_id: str, workspace_id: str) -> bool:
        """Remove one that its platform needs no more; whether there was one. Leases that name it stay as they are."""
        table = self._table
        query = delete(table).where(table.c.company_id == company_id, table.c.id == workspace_id)
        removed: int = await self._store.writer.job(lambda connection: connection.execute(query).rowcount)
        return removed == 1

    def of(self, company_id: str) -> Workspaces:
        """One company's, as a host's own would be."""
        return _OfCompany(self, company_id)

    def _select(self, connection: Connection, company_id: str, workspace_id: str) -> ExecutionWorkspace | None:
        table = self._table
        query = select(table).where(table.c.company_id == company_id, table.c.id == workspace_id)
        row = connection.execute(query).first()
        if row is None:
            return None
        return ExecutionWorkspace(
            id=row.id,
            company_id=row.company_id,
            mode=row.mode,
            strategy=row.strategy,
            config=ExecutionWorkspaceConfig.from_json(decode(row.config)),
            metadata=decode(row.metadata),
        )


class _OfCompany:
    def __init__(self, all_: ExecutionWorkspaces, company_id: str) -> None:
        self._all = all_
        self._company_id = company_id

    async def get(self, workspace_id: str, /) -> ExecutionWorkspace | None:
        return await self._all.get(self._company_id, workspace_id)

    async def update_metadata(self, workspace_id: str, metadata: dict[str, Any], /) -> ExecutionWorkspace | None:
        return await self._all.update_metadata(self._company_id, workspace_id, metadata)
