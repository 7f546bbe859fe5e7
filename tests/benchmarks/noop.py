"""A driver that does nothing, except to look, once in fifty calls, whether its intent is committed."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from leasehold.drivers import (
    Absent,
    Capabilities,
    Command,
    Condition,
    Context,
    Handle,
    Health,
    Mode,
    Observed,
    Outcome,
    Output,
    PlaceRequest,
    Problem,
    Realization,
    Released,
    ReleaseMode,
    Resource,
    Result,
    Tags,
    Target,
    Transport,
    Unknown,
    Workspace,
)
from pydantic import BaseModel, ConfigDict

_OFFER = Capabilities(transport=Transport.LOCAL, modes=(Mode.IN_PLACE,), keeps=True, blocking_validate=False)
_RESULT = Result(0, None, Output(), Output(), Outcome.EXITED, (), 0.0)


class NoConfig(BaseModel):
    """Nothing to say."""

    model_config = ConfigDict(extra="forbid")


class NoopTarget:
    """Every command exits with 0."""

    __slots__ = ()

    async def execute(self, command: Command) -> Result:
        return _RESULT

    async def put(self, source: Path, path: str) -> None: ...

    async def get(self, path: str, dest: Path) -> None: ...

    async def read(self, path: str, limit: int | None = None) -> bytes:
        return b""

    async def write(self, path: str, data: bytes) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {"kind": "local"}

    async def detach(self) -> None: ...

    async def close(self) -> None: ...


class NoopDriver:
    """Gives places at once. ``store`` is the SQLite file in which its intents must stand.

    ``looked`` counts how often one was looked for, and found. The connection for that stays open: opening
    one costs more than the life around it.
    """

    name = "noop"
    version = "1"
    Config = NoConfig

    def __init__(self, store: Path, *, look: bool = True) -> None:
        self._store = store
        self._look_at_all = look
        self._second: sqlite3.Connection | None = None
        self._calls = 0
        self.looked = 0

    def close(self) -> None:
        """Look no more."""
        if self._second is not None:
            self._second.close()

    def capabilities(self, config: Any) -> Capabilities:
        return _OFFER

    def validate(self, request: PlaceRequest, config: Any) -> list[Problem]:
        return []

    async def probe(self, config: Any) -> Health:
        return Health(())

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        self._look(context, "acquire")
        return Handle("noop", key)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Absent | Unknown:
        return Absent()

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        return Observed(Condition.READY)

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        self._look(context, "realize")
        return Realization(workspace.mode, "/", "/", "local", "noop", "stands")

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        return NoopTarget()

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        self._look(context, "clean")
        return Released()

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        return
        yield

    async def destroy(self, resource: Resource, context: Context) -> None: ...

    def _look(self, context: Context, event: str) -> None:
        self._calls += 1
        if self._calls % 50 or not self._look_at_all:
            return
        if self._second is None:
            self._second = sqlite3.connect(self._store)
        query = "SELECT pending_event FROM leasehold_lease WHERE id = ?"
        rows = self._second.execute(query, (context.lease_id,)).fetchall()
        if rows != [(event,)]:
            raise AssertionError(f"{event} of {context.lease_id} was called without its intent: {rows}")
        self.looked += 1
