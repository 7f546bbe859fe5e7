"""What is deleted from a store: ended leases after their time, and a whole company.

A lease that is live, or whose place is owed, kept or parked, is never deleted; nor, by its age alone, one whose
changes are kept yet.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from leasehold.orchestrator.environments import EnvironmentStatus
from leasehold.orchestrator.errors import StillHeld
from leasehold.orchestrator.store.encoding import decode
from leasehold.orchestrator.store.ids import Ids
from leasehold.orchestrator.store.store import Store
from leasehold.states import CleanupEvent, CleanupState, Kind
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update

_PAGE = 500
_OPEN = [state.value for state in CleanupState if state.open]


class Retention:
    """Deletes in small commits, so that the lives of other leases go on between them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def prune(self, company_id: str, seconds: float, told: Callable[[str], None]) -> int:
        """Delete the company's leases that ended more than ``seconds`` ago, with their journals; how many.

        One whose changes are kept yet stays, for its journal alone says where; ``told`` hears its id.
        """
        lease, before = self._store.schema.lease, self._store.clock.now() - int(seconds * 1e6)
        # ids grow with the time of their making: what is younger is not looked at
        old = and_(lease.c.company_id == company_id, lease.c.id < Ids.first_of(before), lease.c.ended_at < before)
        return await self._delete(and_(old, lease.c.cleanup.not_in(_OPEN)), told)

    async def drop_company(self, company_id: str) -> int:
        """Delete everything of a company; how many leases that were.

        Its environments are archived first, so that none is leased meanwhile. Raises ``StillHeld`` where
        a lease is live, or its place is not ended.
        """
        lease, environment = self._store.schema.lease, self._store.schema.environment

        def archive(connection: Connection) -> str | None:
            connection.execute(
                update(environment)
                .where(environment.c.company_id == company_id)
                .values(status=EnvironmentStatus.ARCHIVED.value, version=environment.c.version + 1)
            )
            undone = or_(lease.c.ended_at.is_(None), lease.c.cleanup.in_(_OPEN))
            held: str | None = connection.scalar(
                select(func.min(lease.c.id)).where(lease.c.company_id == company_id, undone)
            )
            return held

        held = await self._store.writer.job(archive)
        if held is not None:
            raise StillHeld(
                f"lease {held} of the company is live, or its place is not ended",
                hint="end its leases and their places first; its environments take no new ones",
            )
        dropped = await self._delete(lease.c.company_id == company_id)

        def rest(connection: Connection) -> None:
            late = select(lease.c.id).where(lease.c.company_id == company_id)  # refused since: they have a journal, too
            self._delete_now(connection, _ids(connection, page=late))
            for table in self._store.schema.metadata.sorted_tables:
                if "company_id" in table.c:
                    connection.execute(delete(table).where(table.c.company_id == company_id))

        await self._store.writer.job(rest)
        return dropped

    async def _delete(self, condition: ColumnElement[bool], spared: Callable[[str], None] | None = None) -> int:
        lease, deleted, after = self._store.schema.lease, 0, ""
        while True:
            page = select(lease.c.id).where(condition, lease.c.id > after).order_by(lease.c.id).limit(_PAGE)
            ids: list[str] = await self._store.read(partial(_ids, page=page))
            if not ids:
                return deleted
            after = ids[-1]
            if spared is not None:
                kept = await self._store.read(partial(self._keeping, ids=ids))
                ids = [each for each in ids if each not in kept]
                for each in sorted(kept):
                    spared(each)
            deleted += await self._store.writer.job(partial(self._delete_now, ids=ids))

    def _keeping(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        """Those of the leases whose changes were kept until a time that is not over."""
        journal, now = self._store.schema.journal, self._store.clock.now() / 1e6
        ended = and_(journal.c.event == CleanupEvent.CLEAN.value, journal.c.kind == Kind.DONE.value)
        rows = connection.execute(
            select(journal.c.lease_id, journal.c.details).where(journal.c.lease_id.in_(ids), ended)
        )
        return {
            row.lease_id for row in rows if any(kept["until"] > now for kept in decode(row.details).get("kept", ()))
        }

    def _delete_now(self, connection: Connection, ids: Sequence[str]) -> int:
        tables = self._store.schema
        for table in (tables.journal, tables.activity):
            connection.execute(delete(table).where(table.c.lease_id.in_(ids)))
        return connection.execute(delete(tables.lease).where(tables.lease.c.id.in_(ids))).rowcount


def _ids(connection: Connection, page: Select[Any]) -> list[str]:
    return [*connection.scalars(page)]
