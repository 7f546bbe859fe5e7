"""Verifying: every lease's row against the fold of its journal, and the store's own rules.

Reads leases in pages, so memory is bounded. What it does not check is free, and says so in
docs/reference/verify.md: settings, wishes of other processes, and what only people read.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from typing import Any

from leasehold.orchestrator.commits import entry_of
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.encoding import decode, digest
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.terms import terms_digest
from leasehold.states import BrokenJournal, CleanupState, Entry, Facts, LeaseEvent, fold
from sqlalchemy import Connection, Table, func, select

_PAGE = 500
_OPEN = frozenset(state.value for state in CleanupState if state.open)
# a column whose change breaks a rule of its own; any other breaks invariant 6
_INVARIANT = {"owner": 1, "epoch": 1, "resource_key": 3, "error_code": 8, "error_message": 8, "error_stage": 8}

# what verify does not check, and why
FREE: dict[tuple[str, str], str] = {
    ("lease", "metadata"): "the host's own: Leasehold carries it and never interprets it",
    ("lease", "end_requested"): "a wish of another process, which the owner may still refuse",
    ("journal", "duration_ms"): "read by people only: no decision depends on how long a step took",
    ("journal", "at"): "free between the rows before and after it, within which no decision depends on it",
    ("journal", "attempt"): "on a row that closes no step it says nothing",
    ("owner", "*"): "owners come and go; a lease's own row says under which epoch it is held",
    ("environment", "*"): "an operator's settings: each lease pins what it was resolved with",
    ("boot", "*"): "how this boot counts time: a new one is anchored when it is missing",
    ("activity", "*"): "a log for people and the host; nothing is decided by it",
    ("execution_workspace", "*"): "a platform's own records: Leasehold carries them and never interprets them",
    ("sighting", "*"): "what sweeps remember; each decision asks the leases once more",
    ("ledger", "created_at"): "read by people only",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant. ``lease_id`` is empty where it is the store's own."""

    lease_id: str
    invariant: int
    why: str


async def verify(store: Store, counted: Callable[[int], None] | None = None) -> AsyncIterator[Finding]:
    """Everything that is wrong in the store, lease by lease; nothing where all is well.

    ``counted`` hears how many leases were read, page by page.
    """
    for finding in await store.read(lambda connection: list(_orphans(connection, store.schema))):
        yield finding
    after = ""
    while True:
        last, count, findings = await store.read(partial(_page, store=store, after=after))
        if counted is not None:
            counted(count)
        for finding in findings:
            yield finding
        if last is None:
            return
        after = last


def _orphans(connection: Connection, tables: Schema) -> Iterator[Finding]:
    """Rows that belong to no lease, and the sequence of epochs."""
    lease, journal, hold, ledger = tables.lease, tables.journal, tables.hold, tables.ledger
    highest = connection.scalar(select(func.max(lease.c.epoch))) or 0
    drawn = connection.scalar(tables.drawn) or 0
    if drawn < highest:
        yield Finding("", 1, f"the ledger has drawn epochs up to {drawn}, but a lease has {highest}")
    if (connection.scalar(select(func.count()).select_from(ledger)) or 0) != 1:
        yield Finding("", 6, "a store has one ledger")
    lost = (
        select(journal.c.lease_id)
        .outerjoin(lease, journal.c.lease_id == lease.c.id)
        .where(lease.c.id.is_(None), journal.c.seq == 1)
    )
    for row in connection.execute(lost):
        yield Finding(row.lease_id, 6, "its journal stands without its row")
    held = select(hold.c.lease_id, hold.c.subject, lease.c.cleanup).outerjoin(lease, hold.c.lease_id == lease.c.id)
    for row in connection.execute(held):
        if row.cleanup not in _OPEN:
            yield Finding(row.lease_id, 2, f"{row.subject} is held by a lease that owes no place")


def _page(connection: Connection, store: Store, after: str) -> tuple[str | None, int, list[Finding]]:
    lease, journal, hold = store.schema.lease, store.schema.journal, store.schema.hold
    rows = connection.execute(select(lease).where(lease.c.id > after).order_by(lease.c.id).limit(_PAGE)).all()
    if not rows:
        return None, 0, []
    ledger = connection.scalar(select(store.schema.ledger.c.id)) or ""
    first, last = rows[0].id, rows[-1].id
    between = select(journal).where(journal.c.lease_id.between(first, last))
    ordered = connection.execute(between.order_by(journal.c.lease_id, journal.c.seq))
    journals = {lease_id: list(entries) for lease_id, entries in groupby(ordered, key=lambda row: str(row.lease_id))}
    holds: dict[str, set[str]] = {}
    for row in connection.execute(select(hold).where(hold.c.lease_id.between(first, last))):
        holds.setdefault(row.lease_id, set()).add(row.subject)
    findings: list[Finding] = []
    for row in rows:
        findings += _lease(row, journals.get(row.id, []), holds.get(row.id, set()), ledger)
        if row.cleanup == CleanupState.HANDED_OVER.value:
            findings += _handed_over(connection, lease, row, journals.get(row.id, []))
    return last, len(rows), findings


def _handed_over(connection: Connection, lease: Table, row: Any, journal: Sequence[Any]) -> Iterator[Finding]:
    """The place, under its key, is the one that the other lease recorded."""
    taker = decode(journal[-1].details).get("to") if journal else None
    found = connection.execute(select(lease.c.resource_key).where(lease.c.id == taker)).first()
    if found is not None and found.resource_key != row.resource_key:  # one that was pruned has nothing to say
        yield Finding(row.id, 2, f"its place was handed over to lease {taker}, which has {found.resource_key}")


def _lease(row: Any, journal: Sequence[Any], holds: set[str], ledger: str) -> Iterator[Finding]:
    try:
        entries = [entry_of(line) for line in journal]
        facts = fold(entries)
        handle = decode(row.handle)
    except BrokenJournal as broken:
        yield Finding(row.id, broken.invariant, str(broken).partition(": ")[2])
        return
    except (ValueError, KeyError, TypeError) as error:
        yield Finding(row.id, 6, f"its journal cannot be read: {error}")
        return
    if not entries:
        yield Finding(row.id, 6, "it has no journal")
        return
    for name in (*columns.FACTS, "created_at"):
        folded, stored = getattr(facts, name), getattr(row, name)
        if folded != stored:
            yield Finding(row.id, _INVARIANT.get(name, 6), f"{name} is {stored!r}, its journal gives {folded!r}")
    for earlier, later in pairwise(entries):
        if later.at < earlier.at:
            yield Finding(row.id, 6, f"journal row {later.seq} is older than row {earlier.seq}")
    if handle != facts.handle:
        yield Finding(row.id, 3, "its handle is not the one that its journal recorded")
    yield from _papers(row, facts)
    yield from _place(row, facts, entries, holds, ledger)


def _papers(row: Any, facts: Facts) -> Iterator[Finding]:
    terms = tuple(getattr(row, name) for name in columns.TERMS)
    if terms_digest(terms) != facts.digests.get("terms"):
        yield Finding(row.id, 6, "its terms are not those that were resolved")
    for name in ("realization", "target"):
        text = getattr(row, name)
        if facts.digests.get(name) != (None if text is None else digest(text)):
            yield Finding(row.id, 6, f"its {name} is not the one that its journal recorded")
    place = None if facts.handle is None else facts.handle["place"]
    if row.provider_lease_id != place:
        yield Finding(row.id, 3, f"its place is {row.provider_lease_id!r}, its handle says {place!r}")


def _place(row: Any, facts: Facts, entries: Sequence[Entry], holds: set[str], ledger: str) -> Iterator[Finding]:
    key = facts.resource_key
    taken = any("from" in entry.details for entry in entries if entry.event == LeaseEvent.ACQUIRE.value)
    if key is not None and not key.startswith(f"{ledger}-" if taken else f"{ledger}-{row.id}-"):
        yield Finding(row.id, 3, f"its resource key {key} is not one of this ledger and lease")
    owed = facts.cleanup.open
    if facts.acquired_at is not None and facts.state.live and not owed:
        yield Finding(row.id, 3, "it has a place that nobody owes the end of")
    wanted: set[str] = set()
    for entry in entries:
        if owed:
            wanted.update(entry.details.get("holds", ()))
    if holds != wanted:
        for subject in sorted(wanted - holds):
            yield Finding(row.id, 2, f"it should hold {subject}, and does not")
        for subject in sorted(holds - wanted) if owed else ():
            yield Finding(row.id, 2, f"it holds {subject}, which it never took")
