"""Reading leases: rows as they stand, made into leases, records and listings."""

import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from leasehold.drivers import Mode
from leasehold.orchestrator.errors import NoSuch
from leasehold.orchestrator.request import OwnerLost, Request
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.encoding import decode
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.terms import STORED, Terms
from leasehold.states import (
    CleanupState,
    Facts,
    LeaseState,
    Open,
    Policy,
    Status,
    Stuck,
    held,
    open_step,
    status,
    stuck,
)
from sqlalchemy import ColumnElement, Connection, and_, or_, select, text, tuple_

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A lease as its row stands: terms, facts and papers, and what the store knows of its owner.

    ``alive_until`` is when its owner's claim ends, where that owner is known, and not before one claim time
    after the store came back from an outage; ``alive`` whether that is still to come. ``owner_here`` says that
    the owner is, or was, for sure a process of this machine.
    """

    terms: Terms
    facts: Facts
    papers: dict[str, str | None]
    end_requested: dict[str, Any] | None
    alive: bool
    alive_until: int | None
    now: int
    owner_host: str | None = None
    owner_pid: int | None = None
    grace: int = 0
    owner_here: bool = False

    @property
    def status(self) -> Status:
        """The operator's word for it."""
        return status(self.facts.state, self.facts.cleanup, self.facts.error_code)

    @property
    def held(self) -> bool:
        """Whether a living owner has it in hand."""
        return held(self.facts, self.now, owner_alive=self.alive, grace=self.grace, waits_until=self.waits_until)

    @property
    def owner_gone(self) -> bool:
        """Whether its owner's process has ended on this machine: its claim holds all the same until it is over."""
        if not self.owner_here or self.owner_pid is None:
            return False
        try:
            os.kill(self.owner_pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # another user's
        return False

    @property
    def stuck(self) -> Stuck | None:
        """Why it is stuck; none where it is not."""
        return stuck(self.facts, self.now, owner_alive=self.alive, waits_until=self.waits_until)

    @property
    def over(self) -> bool:
        """Whether it is past its own end."""
        return self.facts.expires_at is not None and self.facts.expires_at < self.now

    @property
    def kept_over(self) -> bool:
        """Whether its place was kept until a time that is over."""
        return self.facts.keep_until is not None and self.facts.keep_until <= self.now

    @property
    def awaits_attach(self) -> bool:
        """Whether it lost its owner at rest, and its platform said that it will attach it again."""
        waits = self.terms.request.owner_lost is OwnerLost.WAIT and open_step(self.facts) is Open.TARGETED
        return waits and self.stuck is Stuck.OWNER_LOST and not self.over

    @property
    def waits_until(self) -> int:
        """How long it may wait for its place, in the store's time."""
        return (self.facts.created_at or 0) + int(self.terms.request.wait * 1e6)


class Ledger:
    """Finds leases of one store. Each call names the company; what is not its own does not exist.

    ``claim`` is the claim time in seconds.
    """

    def __init__(self, store: Store, claim: float) -> None:
        self._store = store
        self._claim = int(claim * 1e6)
        self._host = socket.gethostname()
        self._one_machine = store.engine.dialect.name == "sqlite"  # elsewhere a host's name may be another's, too

    async def find(self, company_id: str | None, prefix: str) -> Row:
        """The lease of that id, or of that unique beginning of one. Raises ``NoSuch``."""
        lease = self._store.schema.lease

        def query(connection: Connection) -> list[Row]:
            condition = [lease.c.id >= prefix, lease.c.id < prefix + "\x7f"]
            if company_id is not None:
                condition.append(lease.c.company_id == company_id)
            return self._rows(connection, and_(*condition), limit=2)

        rows = await self._store.read(query) if prefix else []
        if not rows:
            raise NoSuch(f"there is no lease {prefix}", hint="leasehold ls shows what there is")
        if len(rows) > 1 and rows[0].terms.id != prefix:
            raise NoSuch(f"more than one lease begins with {prefix}", hint="give more of its id")
        return rows[0]

    async def listing(
        self,
        company_id: str,
        *,
        state: LeaseState | None = None,
        status: Status | None = None,
        environment: str | None = None,
        run_id: str | None = None,
        stuck: bool = False,
        limit: int = 200,
    ) -> Sequence[Row]:
        """Leases, newest first, that fit all that is given."""
        lease = self._store.schema.lease
        condition = [lease.c.company_id == company_id]
        if state is not None:
            condition.append(lease.c.state == state.value)
            condition.append(lease.c.ended_at.is_(None) if state.live else lease.c.ended_at.is_not(None))
        if run_id is not None:
            condition.append(lease.c.run_id == run_id)
        if environment is not None:
            condition.append(or_(lease.c.environment_id == environment, lease.c.environment_name == environment))
        if stuck or status is Status.PENDING_CLEANUP:
            open_ = [CleanupState.PENDING.value, CleanupState.FAILED.value]
            due = and_(lease.c.ended_at.is_not(None), lease.c.cleanup.in_(open_))
            condition.append(or_(lease.c.ended_at.is_(None), due) if stuck else due)
        if status is Status.ACTIVE:
            condition.append(lease.c.ended_at.is_(None))
        found: list[Row] = []
        page = and_(*condition)
        while True:
            rows = await self._store.read(partial(self._rows, condition=page, limit=_PAGE))
            found += [row for row in rows if _fits(row, status, stuck=stuck)]
            if len(found) >= limit or len(rows) < _PAGE:
                return found[:limit]
            page = and_(*condition, lease.c.id < rows[-1].terms.id)

    async def live_of_run(self, company_id: str, run_id: str) -> Sequence[Row]:
        """A run's leases that have not ended, oldest first."""
        lease = self._store.schema.lease
        condition = and_(lease.c.run_id == run_id, lease.c.company_id == company_id, lease.c.ended_at.is_(None))
        rows = await self._store.read(lambda connection: self._rows(connection, condition, limit=None))
        return rows[::-1]

    async def of_run(self, company_id: str, run_id: str) -> Sequence[Row]:
        """All leases of a run, newest first."""
        return await self.listing(company_id, run_id=run_id)

    async def of_ids(self, ids: Iterable[str]) -> Sequence[Row]:
        """The leases of these ids, of whatever company, newest first."""
        condition = self._store.schema.lease.c.id.in_([*ids])
        return await self._store.read(lambda connection: self._rows(connection, condition, limit=None))

    # What is due, of every company, comes by pages: at most ``most`` rows, after the row ``after``.

    async def unheld(self, most: int, after: Row | None = None) -> Sequence[Row]:
        """Live leases that no living owner moves on, or whose step is past its deadline."""
        lease, owner = self._store.schema.lease, self._store.schema.owner
        now = self._store.clock.now()
        gone = or_(owner.c.id.is_(None), owner.c.alive_until < now, owner.c.boot != self._store.boot)
        lost = and_(lease.c.owner.is_not(None), gone)
        over = and_(lease.c.owner.is_(None), lease.c.expires_at < now)
        # what a living owner has forgotten: the rows say which, here only those that may be it are read
        waiting = and_(lease.c.state == LeaseState.RESOLVED.value, lease.c.pending_event.is_(None))
        forgotten = or_(lease.c.expires_at < now - self._claim, waiting)
        unheld = or_(lost, over, forgotten, lease.c.pending_deadline < now)
        condition = and_(lease.c.ended_at.is_(None), unheld)
        last = (after.terms.request.company_id, after.terms.id) if after else None
        return await self._page(condition, most, (lease.c.company_id, lease.c.id), last)

    async def untried(self, most: int, after: Row | None = None) -> Sequence[Row]:
        """Ended leases whose places are owed, and that nobody has tried to end, or is just trying to."""
        lease = self._store.schema.lease
        condition = and_(self._owed, lease.c.next_try_at.is_(None))
        by_id = lease.c.id.concat("")  # not by the index of all ids, most of which owe nothing
        return await self._page(condition, most, (by_id,), (after.terms.id,) if after else None)

    async def due(self, most: int, after: Row | None = None) -> Sequence[Row]:
        """Ended leases whose places are owed, and were to be tried again by now."""
        lease = self._store.schema.lease
        condition = and_(self._owed, lease.c.next_try_at <= self._store.clock.now())
        last = (after.facts.next_try_at, after.terms.id) if after else None
        return await self._page(condition, most, (lease.c.next_try_at, lease.c.id), last)

    async def kept_over(self, most: int, after: Row | None = None) -> Sequence[Row]:
        """Leases whose places were kept until a time that is over."""
        lease = self._store.schema.lease
        condition = and_(lease.c.keep_until.is_not(None), lease.c.keep_until <= self._store.clock.now())
        last = (after.facts.keep_until, after.terms.id) if after else None
        return await self._page(condition, most, (lease.c.keep_until, lease.c.id), last)

    async def open(self) -> Sequence[Row]:
        """Leases, of every company, that are live or whose places are owed; kept and parked places stay kept."""
        live = await self._page(self._store.schema.lease.c.ended_at.is_(None), None, (), None)
        return [*live, *await self._page(self._owed, None, (), None)]

    @property
    def _owed(self) -> ColumnElement[bool]:
        """Ended, and the place is to be ended: to the letter as the index has it."""
        lease = self._store.schema.lease
        return and_(lease.c.ended_at.is_not(None), text(f"{lease.name}.cleanup IN ('pending', 'failed')"))

    async def _page(
        self,
        condition: ColumnElement[bool],
        most: int | None,
        order: Sequence[ColumnElement[Any]],
        last: tuple[Any, ...] | None,
    ) -> Sequence[Row]:
        """In an order that the condition's index gives, after that of the ``last``: by id alone, SQLite would walk
        all ids.
        """
        if last is not None:
            condition = and_(condition, tuple_(*order) > tuple_(*last))
        return await self._store.read(partial(self._rows, condition=condition, limit=most, order=order))

    async def parked_in(self, company_id: str, environment_id: str | None) -> Sequence[Row]:
        """The leases whose places are parked in an environment. Oldest first."""
        lease = self._store.schema.lease
        kept = and_(lease.c.keep_until.is_not(None), lease.c.cleanup == CleanupState.PARKED.value)
        here = and_(kept, lease.c.company_id == company_id, lease.c.environment_id == environment_id)
        return (await self._store.read(partial(self._rows, condition=here, limit=None)))[::-1]

    async def parked(self, terms: Terms, *, by_workspace: bool) -> Sequence[Row]:
        """Those that may serve another lease of the same agent and adapter, and of the same workspace where
        that counts.
        """
        asked = terms.request
        return [
            row
            for row in await self.parked_in(asked.company_id, terms.environment_id)
            if (row.terms.request.agent_id, row.terms.request.adapter_type) == (asked.agent_id, asked.adapter_type)
            and (not by_workspace or row.terms.request.tree_id == asked.tree_id)
        ]

    async def line(self, terms: Terms, slots: str) -> tuple[dict[str, str], int]:
        """An environment's line: the holds whose subjects begin with ``slots``, by their lease, and how many
        living leases stand there at ``resolved`` that came before this one.
        """
        hold, lease = self._store.schema.hold, self._store.schema.lease
        waiting = and_(
            lease.c.ended_at.is_(None),
            lease.c.company_id == terms.request.company_id,
            lease.c.environment_id == terms.environment_id,
            lease.c.state == LeaseState.RESOLVED.value,
            lease.c.pending_event.is_(None),
            lease.c.id < terms.id,
        )

        def query(connection: Connection) -> tuple[dict[str, str], int]:
            rows = connection.execute(select(hold).where(hold.c.subject >= slots, hold.c.subject < slots + "\x7f"))
            taken = {row.subject: row.lease_id for row in rows}
            return taken, sum(row.held for row in self._rows(connection, waiting, limit=None))

        return await self._store.read(query)

    def _rows(
        self,
        connection: Connection,
        condition: Any,
        *,
        limit: int | None,
        order: Sequence[ColumnElement[Any]] | None = None,
    ) -> list[Row]:
        """Newest first, where no other ``order`` is given."""
        lease, owner = self._store.schema.lease, self._store.schema.owner
        query = (
            select(lease, owner.c.alive_until, owner.c.boot, owner.c.host, owner.c.pid)
            .select_from(lease.outerjoin(owner, lease.c.owner == owner.c.id))
            .where(condition)
            .order_by(*([lease.c.id.desc()] if order is None else order))
            .limit(limit)
        )
        now = self._store.clock.now()
        return [self._row(row, now) for row in connection.execute(query).mappings()]

    def _row(self, row: Any, now: int) -> Row:
        alive_until = row["alive_until"]
        if row["boot"] is not None and row["boot"] != self._store.boot:
            alive_until = 0  # an owner of an earlier boot is gone, whatever its claim said
        elif alive_until is not None:
            alive_until = max(alive_until, self._store.clock.back_since + self._claim)
        return Row(
            terms=terms_of(row),
            facts=facts_of(row),
            papers={name: row[name] for name in columns.PAPERS},
            end_requested=decode(row["end_requested"]),
            alive=alive_until is not None and alive_until >= now,
            alive_until=alive_until,
            now=now,
            owner_host=row["host"],
            owner_pid=row["pid"],
            grace=self._claim,
            owner_here=self._one_machine and (row["boot"], row["host"]) == (self._store.boot, self._host),
        )


def _fits(row: Row, status: Status | None, *, stuck: bool) -> bool:
    return (status is None or row.status is status) and (not stuck or row.stuck is not None)


def terms_of(row: Any) -> Terms:
    """The terms of a lease's row."""
    stored = decode(row["request"])
    return Terms(
        id=row["id"],
        request=Request.restored(row, stored),
        policy=Policy(row["policy"]),
        environment_id=row["environment_id"],
        environment_name=row["environment_name"],
        driver=row["driver"],
        provider=row["provider"],
        mode=Mode(row["mode"]) if row["mode"] else None,
        config=row["config"],
        **{name: stored.get(name) for name in STORED},
    )


def facts_of(row: Any) -> Facts:
    """The facts of a lease's row. Digests are not in it."""
    facts = Facts(**{name: row[name] for name in columns.FACTS}, created_at=row["created_at"])
    facts.state, facts.cleanup = LeaseState(facts.state), CleanupState(facts.cleanup)
    facts.handle = decode(row["handle"])
    return facts


def new_run_id() -> str:
    """A run's id, for who has none of its own."""
    return f"run-{secrets.token_hex(6)}"
