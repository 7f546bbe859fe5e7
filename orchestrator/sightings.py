"""Sightings: whose each listed place is, and since when a place belongs to nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from leasehold.drivers import Resource
from leasehold.orchestrator.store.insertion import unless_there
from leasehold.orchestrator.store.store import Store
from leasehold.states import CleanupState
from sqlalchemy import ColumnElement, Connection, Table, TextClause, and_, delete, select, text, update

_KINDS = ("plugin", "sandbox")  # words for whole kinds of drivers, under which a driver's leases may stand
_OPEN = ", ".join(f"'{state}'" for state in CleanupState if state.open)

_REMEMBERED = 7 * 24 * 3600 * 1_000_000  # microseconds: what nobody saw for so long is seen anew


class Whose(StrEnum):
    """Whose a place is."""

    BELONGS = "belongs"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    NOBODY = "seen"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place that a driver listed.

    ``first_seen`` is when a sweep first saw it belong to nobody, in the store's time; ``is_first`` whether that
    is this look. ``why`` says whose it is.
    """

    resource: Resource
    whose: Whose
    why: str
    first_seen: int = 0
    is_first: bool = False


class Sightings:
    """Remembers, in the store, what sweeps have seen."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def owed(self) -> list[tuple[str, str]]:
        """Each provider and pinned config, as JSON text, under which a place is owed."""
        lease = self._store.schema.lease
        query = select(lease.c.provider, lease.c.config).where(_open(lease.name), lease.c.provider.is_not(None))
        return await self._store.read(
            lambda connection: [(row.provider, row.config) for row in connection.execute(query.distinct())]
        )

    async def look(
        self, listed: Sequence[Resource], *, unknown: bool, ledgers: Sequence[str]
    ) -> tuple[list[Sighting], list[Sighting]]:
        """Those that are somebody's, and those that are nobody's, whose sighting is written down.

        Whose they are is read beside the writer, which many places would hold up; ``decide`` looks once more.
        """

        def look(connection: Connection) -> tuple[list[Sighting], list[Sighting], set[tuple[str, str]]]:
            sorted_ = self._sorted(connection, listed, unknown=unknown, ledgers=ledgers)
            known = connection.execute(select(self._table.c.driver, self._table.c.place))
            return *sorted_, {(row.driver, row.place) for row in known}

        found, orphans, known = await self._store.read(look)
        again = [each.resource for each in found if (each.resource.driver, each.resource.place) in known]

        def work(connection: Connection) -> list[Sighting]:
            long_ago = self._store.clock.now() - _REMEMBERED
            connection.execute(delete(self._table).where(self._table.c.last_seen < long_ago))
            for resource in again:
                connection.execute(delete(self._table).where(self._named(resource)))
            return [self._seen(connection, sighting) for sighting in orphans]

        seen: list[Sighting] = await self._store.writer.job(work)
        return found, seen

    async def whose(self, listed: Sequence[Resource]) -> tuple[list[Sighting], list[Sighting]]:
        """The same, with nothing written."""
        return await self._store.read(lambda connection: self._sorted(connection, listed, unknown=False, ledgers=()))

    async def decide(self, sighting: Sighting) -> bool:
        """Commit that a place is destroyed now, unless a lease has it after all."""
        resource = sighting.resource

        def work(connection: Connection) -> bool:
            if self._holder(connection, resource) is not None:
                return False
            now = self._store.clock.now()
            connection.execute(update(self._table).where(self._named(resource)).values(decided_at=now))
            return True

        decided: bool = await self._store.writer.job(work)
        return decided

    async def forget(self, sighting: Sighting) -> None:
        """It is gone."""
        query = delete(self._table).where(self._named(sighting.resource))
        await self._store.writer.job(lambda connection: connection.execute(query) and None)

    # --- beneath them

    @property
    def _table(self) -> Table:
        return self._store.schema.sighting

    def _sorted(
        self, connection: Connection, listed: Sequence[Resource], *, unknown: bool, ledgers: Sequence[str]
    ) -> tuple[list[Sighting], list[Sighting]]:
        found: list[Sighting] = []
        orphans: list[Sighting] = []
        for resource in listed:
            whose, why = self._whose(connection, resource)
            tags = resource.tags
            if whose is Whose.UNKNOWN and unknown:
                whose, why = Whose.NOBODY, f"this ledger knows no lease {tags.lease_id}"
            if whose is Whose.FOREIGN and tags.ledger in ledgers:
                whose, why = Whose.NOBODY, f"it is of ledger {tags.ledger}, which was named"
            (orphans if whose is Whose.NOBODY else found).append(Sighting(resource, whose, why))
        return found, orphans

    def _whose(self, connection: Connection, resource: Resource) -> tuple[Whose, str]:
        tags = resource.tags
        holder = self._holder(connection, resource)
        if holder is not None:
            return Whose.BELONGS, f"lease {holder} has it"
        if tags.ledger != self._store.ledger:
            return Whose.FOREIGN, f"it is of another ledger, {tags.ledger}: --ledger {tags.ledger} would name it"
        lease = self._store.schema.lease
        row = connection.execute(select(lease.c.state, lease.c.cleanup).where(lease.c.id == tags.lease_id)).first()
        if row is None:
            return Whose.UNKNOWN, f"this ledger knows no lease {tags.lease_id}: --unknown would end it"
        return Whose.NOBODY, f"lease {tags.lease_id} is {row.state}, its cleanup {row.cleanup}"

    def _holder(self, connection: Connection, resource: Resource) -> str | None:
        """The lease that owes this place: by the provider's id of it, or by its key. One statement, one moment."""
        lease, tags = self._store.schema.lease, resource.tags
        by_place = and_(
            lease.c.driver.in_((resource.driver, *_KINDS)),
            lease.c.provider_lease_id == resource.place,
        )
        by_key = and_(lease.c.id == tags.lease_id, lease.c.resource_key == tags.key)
        owed = _open(lease.name)
        one = select(lease.c.id).where(by_place, owed).union_all(select(lease.c.id).where(by_key, owed)).limit(1)
        holder: str | None = connection.scalar(one) if tags.ledger == self._store.ledger else None
        return holder

    def _seen(self, connection: Connection, sighting: Sighting) -> Sighting:
        resource, table, now = sighting.resource, self._table, self._store.clock.now()
        connection.execute(delete(table).where(self._named(resource), table.c.key != resource.tags.key))
        row = {"driver": resource.driver, "place": resource.place, "key": resource.tags.key}
        fresh = unless_there(connection, table).values(**row, first_seen=now, last_seen=now)
        if connection.execute(fresh.returning(table.c.place)).first() is not None:
            return Sighting(resource, sighting.whose, sighting.why, now, is_first=True)
        # it was seen before, or another sweep sees it just now
        again = update(table).where(self._named(resource)).values(last_seen=now).returning(table.c.first_seen)
        return Sighting(resource, sighting.whose, sighting.why, connection.scalar(again) or now)

    def _named(self, resource: Resource) -> ColumnElement[bool]:
        return and_(self._table.c.driver == resource.driver, self._table.c.place == resource.place)


def _open(lease: str) -> TextClause:
    """As the partial index has it, to the letter."""
    return text(f"{lease}.cleanup IN ({_OPEN})")
