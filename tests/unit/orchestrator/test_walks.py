"""Every walk through the machine up to five rows, driven through drafts and the writer onto each store.

Each row is a commit of its own. Afterwards the lease's row is the fold of its journal, and both are those
of the model; a move that the model forbids is refused and leaves the store as it was.
"""

import asyncio

import pytest
from leasehold.orchestrator.commits import entry_of
from leasehold.orchestrator.draft import Draft
from leasehold.orchestrator.ledger import facts_of
from leasehold.orchestrator.request import Request
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.terms import Terms
from leasehold.states import Entry, Facts, IllegalTransition, Policy, fold
from sqlalchemy import Connection, select
from walks import MOVES, Move, World, entry, lawful, walks

NOTED = ("attach", "detach", "extend", "asked", "warning")  # of the notes, one that changes the holder is enough


def add(draft: Draft, row: Entry) -> None:
    draft.add(
        row.event,
        row.kind,
        at=row.at,
        owner=row.owner,
        epoch=row.epoch,
        dest=row.dest,
        attempt=row.attempt,
        error_code=row.error_code,
        details=dict(row.details),
    )


async def drive(store: Store, number: int, moves: tuple[Move, ...]) -> tuple[str, Facts]:
    """One walk, a commit a row; gives the lease's id and the facts that it ended with."""
    lease_id = f"walk{number:05}"
    terms = Terms(lease_id, Request("c", "r", "/w"), Policy.EPHEMERAL)
    facts = Facts()
    for move in moves:
        draft = Draft(lease_id, facts)
        row = entry(facts, move)
        add(draft, row)
        after = draft.facts
        handle = None if after.handle is None else encode(after.handle)
        papers = {"handle": handle, "provider_lease_id": None if handle is None else lease_id}
        new = facts.version == 0
        write = Write(
            lease_id=lease_id,
            version=None if new else facts.version,
            epoch=None if new else facts.epoch,
            changing=[
                *(getattr(after, name) for name in columns.FACTS),
                *(papers.get(name) for name in columns.PAPERS),
            ],
            entries=draft.entries,
            terms=terms.columns(after.created_at or 0) if new else None,
        )
        await store.writer.write(write)
        facts = after
    return lease_id, facts


async def test_every_walk_is_the_same_in_the_store(store_url: str) -> None:
    store = await Store.open(store_url)
    # what differs on PostgreSQL is how a commit is made: shorter walks show every kind of it
    length = 5 if store.engine.dialect.name == "sqlite" else 4
    every = list(walks(length, [move for move in MOVES if move.event not in NOTED]))
    assert len(every) > 100
    ended = dict(await asyncio.gather(*(drive(store, number, moves) for number, moves in enumerate(every))))
    lease, journal = store.schema.lease, store.schema.journal

    def compare(connection: Connection) -> int:
        seen = 0
        rows = connection.execute(select(lease)).mappings()
        for row in rows:
            entries = connection.execute(select(journal).where(journal.c.lease_id == row["id"]).order_by(journal.c.seq))
            folded, stored, model = fold(entry_of(line) for line in entries), facts_of(row), ended[row["id"]]
            for name in (*columns.FACTS, "created_at", "handle"):
                assert getattr(stored, name) == getattr(folded, name) == getattr(model, name), (row["id"], name)
            seen += 1
        return seen

    assert await store.read(compare) == len(every)
    await store.close()


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_what_the_model_forbids_is_refused_and_changes_nothing(world: World) -> None:
    refused = 0
    for facts in world.facts.values():
        for move in MOVES:
            if not lawful(facts, move) and move.event != "dance":
                draft = Draft("l1", facts)
                with pytest.raises(IllegalTransition):
                    add(draft, entry(facts, move))
                assert draft.entries == []
                refused += 1
    assert refused > 10_000
