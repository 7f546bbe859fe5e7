"""Environments: named, configured places of one driver, owned by a company."""

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from leasehold.orchestrator.errors import NoSuch, WrongUsage
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.store.encoding import decode, encode
from leasehold.orchestrator.store.insertion import unless_there
from leasehold.orchestrator.store.store import Store
from leasehold.states import Policy
from sqlalchemy import Connection, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

LOCAL = "local"

SELECTS = {"plugin": ("plugin", ""), "sandbox": ("provider", "bubblewrap")}
"""Words for whole kinds of drivers: the setting that names the one that does the work, and its default."""

_MOST_LEASES = 10_000


class EnvironmentStatus(StrEnum):
    """Whether an environment takes new leases."""

    ACTIVE = "active"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, as it was read. ``ttl`` is seconds; ``version`` grows with each change.

    ``max_leases`` is how many places it has room for; none: it does not say.
    """

    id: str
    company_id: str
    name: str
    driver: str
    config: dict[str, Any]
    policy: Policy
    ttl: float | None
    status: EnvironmentStatus
    version: int
    created_at: int
    updated_at: int
    max_leases: int | None = None

    @property
    def inactive(self) -> str:
        """The original's words for one that takes no leases."""
        return f'Environment "{self.name}" is not active (status: {self.status}).'

    @property
    def way_back(self) -> str:
        """What to do about one that is archived."""
        add = shlex.join(("leasehold", "env", "add", self.name, "--driver", self.driver))
        return f"{add} takes its name up again, with settings anew; leasehold env list shows the others"

    @property
    def provider(self) -> str:
        """The driver that does the work: for ``plugin`` and ``sandbox``, the one that the config names."""
        if self.driver not in SELECTS:
            return self.driver
        setting, default = SELECTS[self.driver]
        return str(self.config.get(setting, default))

    @property
    def driver_config(self) -> dict[str, Any]:
        """The config as that driver reads it."""
        setting, _ = SELECTS.get(self.driver, (None, ""))
        return {key: value for key, value in self.config.items() if key != setting}

    def record(self) -> dict[str, Any]:
        """As shown to people and scripts."""
        return {
            "id": self.id,
            "company_id": self.company_id,
            "name": self.name,
            "driver": self.driver,
            "provider": self.provider,
            "config": self.config,
            "policy": self.policy.value,
            "ttl": self.ttl,
            "max_leases": self.max_leases,
            "status": self.status.value,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }


class Environments:
    """The environments of a store. Each call names the company; what is not its own does not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = store.schema.environment
        self._known: dict[tuple[str, str], Environment] = {}

    async def find(self, company_id: str, name: str | None) -> Environment | None:
        """By name or id; none asks for the company's local default, which is made on first need."""
        if name is None:
            return await self.local_default(company_id)
        known = self._known.get((company_id, name))
        if known is None:
            known = await self._store.read(lambda connection: self._select(connection, company_id, name))
            if known is None and name == LOCAL:
                known = await self.local_default(company_id)
            if known is not None:
                self._known[company_id, name] = known
        return known

    def forget(self, company_id: str) -> None:
        """Read the company's environments anew next time."""
        for key in [key for key in self._known if key[0] == company_id]:
            del self._known[key]

    async def get(self, company_id: str, name: str) -> Environment:
        """As it is now in the store. Raises ``NoSuch``."""
        self.forget(company_id)
        environment = await self.find(company_id, name)
        if environment is None:
            raise NoSuch(f'Environment "{name}" not found.', hint="leasehold env list shows what there is")
        return environment

    async def local_default(self, company_id: str) -> Environment:
        """The company's local environment; made once, also under concurrent calls."""
        known = self._known.get((company_id, LOCAL))
        if known is None:
            values = self._values(company_id, LOCAL, LOCAL, {}, Policy.EPHEMERAL, None)

            def make(connection: Connection) -> Environment | None:
                connection.execute(unless_there(connection, self._table).values(values))
                return self._select(connection, company_id, LOCAL)

            known = await self._store.read(lambda connection: self._select(connection, company_id, LOCAL))
            known = known or await self._store.writer.job(make)
            assert known is not None
            self._known[company_id, LOCAL] = known
        return known

    async def add(
        self,
        company_id: str,
        name: str,
        driver: str,
        config: dict[str, Any],
        *,
        policy: Policy = Policy.EPHEMERAL,
        ttl: float | None = None,
        max_leases: int | None = None,
    ) -> Environment:
        """Make one, or take an archived one's name up again, with these settings in the place of its own.

        Raises ``WrongUsage`` where the name is taken or not usable, or has room for none.
        """
        if max_leases is not None and not 0 < max_leases <= _MOST_LEASES:
            raise WrongUsage(f"an environment has room for 1 to {_MOST_LEASES} leases, not for {max_leases}")
        if not name or name != name.strip() or len(name) > 200 or not name.isprintable():
            raise WrongUsage(f"not a name for an environment: {name!r}")
        values = {**self._values(company_id, name, driver, config, policy, ttl), "max_leases": max_leases}

        table = self._table
        archived = and_(
            table.c.company_id == company_id, table.c.name == name, table.c.status == EnvironmentStatus.ARCHIVED.value
        )
        again = {key: value for key, value in values.items() if key not in ("id", "created_at")}

        def make(connection: Connection) -> None:
            change = update(table).where(archived).values({**again, "version": table.c.version + 1})
            if connection.execute(change).rowcount == 0:
                connection.execute(insert(table).values(values))

        try:
            await self._store.writer.job(make)
        except IntegrityError:
            raise WrongUsage(
                f'an environment "{name}" exists already',
                hint="choose another name, or archive that one and add it again",
            ) from None
        return await self.get(company_id, name)

    async def archive(self, company_id: str, name: str) -> Environment:
        """Stop new leases; what is leased goes on under its pinned config."""
        environment = await self.get(company_id, name)
        table = self._table

        def change(connection: Connection) -> None:
            connection.execute(
                update(table)
                .where(table.c.id == environment.id)
                .values(
                    status=EnvironmentStatus.ARCHIVED.value,
                    version=table.c.version + 1,
                    updated_at=self._store.clock.now(),
                )
            )

        await self._store.writer.job(change)
        return await self.get(company_id, environment.id)

    async def listing(self, company_id: str) -> list[Environment]:
        """The company's environments, by name."""
        table = self._table
        query = select(table).where(table.c.company_id == company_id).order_by(table.c.name)
        return await self._store.read(lambda connection: [_environment(row) for row in connection.execute(query)])

    async def everywhere(self) -> list[Environment]:
        """Those of every company, archived ones too: for the duties of the whole ledger."""
        query = select(self._table)
        return await self._store.read(lambda connection: [_environment(row) for row in connection.execute(query)])

    def _select(self, connection: Connection, company_id: str, name: str) -> Environment | None:
        table = self._table
        query = select(table).where(table.c.company_id == company_id, (table.c.id == name) | (table.c.name == name))
        rows = connection.execute(query).all()
        return _environment(rows[0]) if rows else None

    def _values(
        self,
        company_id: str,
        name: str,
        driver: str,
        config: dict[str, Any],
        policy: Policy,
        ttl: float | None,
    ) -> dict[str, Any]:
        now = self._store.clock.now()
        return {
            "id": self._store.ids.random(),
            "company_id": company_id,
            "name": name,
            "driver": driver,
            "config": encode(config),
            "policy": policy.value,
            "ttl": None if ttl is None else int(ttl * 1_000_000),
            "status": EnvironmentStatus.ACTIVE.value,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }


def _environment(row: Any) -> Environment:
    return Environment(
        id=row.id,
        company_id=row.company_id,
        name=row.name,
        driver=row.driver,
        config=decode(row.config),
        policy=Policy(row.policy),
        ttl=None if row.ttl is None else row.ttl / 1_000_000,
        status=EnvironmentStatus(row.status),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        max_leases=row.max_leases,
    )
