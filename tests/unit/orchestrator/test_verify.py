"""verify: each column of a good store is altered in turn; it names lease and invariant, or it is free."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.store.schema import schema
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.verify import FREE, Finding, verify
from sqlalchemy import Connection, Integer, text

TABLES = schema()
COLUMNS = [
    (table.name.removeprefix(TABLES.prefix), column.name)
    for table in TABLES.metadata.sorted_tables
    for column in table.columns
]


async def found(orchestrator: Orchestrator) -> list[Finding]:
    return [finding async for finding in verify(orchestrator.store)]


async def fill(orchestrator: Orchestrator, tree: Path) -> str:
    """A store with a held lease, a released one and a failed one; gives the held one's id."""
    config = {"modes": ["in_place"], "exclusive_modes": ["in_place"]}
    await orchestrator.environments.add("default", "place", "scripted", config)
    await orchestrator.execution_workspaces.add("default", mode="shared_workspace")
    async with orchestrator.lease(environment="place", workspace=tree, provision="make", share=True):
        pass
    failed = await orchestrator.acquire(environment="place", workspace=tree, share=True)
    await failed.fail("exit code 1")
    held = await orchestrator.acquire(environment="place", workspace=tree, issue_id="I-1", agent_id="A-1")
    return held.id


def alter(connection: Connection, table: str, column: str, lease_id: str) -> None:
    """Change one value of that column, of the held lease where there is one."""
    name = f"{TABLES.prefix}{table}"
    key = "lease_id" if table in ("journal", "hold", "activity") else "id" if table == "lease" else None
    where = f"WHERE {key} = '{lease_id}'" if key else ""
    if table == "journal":
        where += f" AND seq = (SELECT max(seq) FROM {TABLES.prefix}journal WHERE lease_id = '{lease_id}')"
    row = connection.execute(text(f"SELECT {column} FROM {name} {where} LIMIT 1")).first()
    if row is None:
        assert (table, "*") in FREE, f"nothing stands in {table}"
        return
    before: Any = row[0]
    if (table, column) == ("ledger", "epoch"):
        before = -2  # epochs may be drawn and never used; going back is what breaks
    changed: Any = before + 1 if isinstance(before, int) else f"{before}x"
    if column in ("details", "handle", "request", "config", "realization", "target") and table != "environment":
        changed = '{"altered": true}'
    if before is None and isinstance(TABLES.metadata.tables[name].columns[column].type, Integer):
        changed = 1
    connection.execute(text(f"UPDATE {name} SET {column} = :changed {where}"), {"changed": changed})


def check(findings: list[Finding], table: str, column: str, lease_id: str) -> None:
    if (table, column) in FREE or (table, "*") in FREE:
        assert findings == []
    else:
        assert findings, f"{table}.{column} was altered, and nothing was found"
        assert all(1 <= finding.invariant <= 13 and finding.why for finding in findings)
        if table not in ("ledger",) and column not in ("id", "lease_id"):
            assert {finding.lease_id for finding in findings} - {""} == {lease_id}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}.{column}" for table, column in COLUMNS])
async def test_an_altered_column_is_found_or_free(
    orchestrator: Orchestrator, tree: Path, table: str, column: str
) -> None:
    lease_id = await fill(orchestrator, tree)
    assert await found(orchestrator) == []
    with orchestrator.store.engine.begin() as connection:
        alter(connection, table, column, lease_id)
    check(await found(orchestrator), table, column, lease_id)


class Seen:
    """A store as one open transaction sees it."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self.schema = store.schema
        self._connection = connection

    async def read(self, query: Callable[[Connection], Any]) -> Any:
        return query(self._connection)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_each_altered_column_is_found_or_free_on_postgresql(orchestrator: Orchestrator, tree: Path) -> None:
    lease_id = await fill(orchestrator, tree)
    store = orchestrator.store
    for table, column in COLUMNS:
        if table == "boot" or (table, column) == ("ledger", "epoch"):
            continue  # the server's clock and a sequence stand in their place
        with store.engine.connect() as connection, connection.begin() as altered:
            alter(connection, table, column, lease_id)
            seen: Any = Seen(store, connection)
            check([finding async for finding in verify(seen)], table, column, lease_id)
            altered.rollback()
    with store.engine.begin() as connection:
        connection.execute(text(f"SELECT setval('{store.schema.prefix}epoch', 1)"))
    assert {finding.invariant for finding in await found(orchestrator)} == {1}


def test_every_free_column_has_its_reason() -> None:
    assert all(reason for reason in FREE.values())
    known = {*COLUMNS, *((table, "*") for table, _ in COLUMNS)}
    assert set(FREE) <= known


async def test_a_missing_journal_row_is_a_gap(orchestrator: Orchestrator, tree: Path) -> None:
    lease_id = await fill(orchestrator, tree)
    with orchestrator.store.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM leasehold_journal WHERE lease_id = '{lease_id}' AND seq = 2"))
    [finding] = await found(orchestrator)
    assert (finding.lease_id, finding.invariant) == (lease_id, 6)


async def test_a_lost_hold_is_found(orchestrator: Orchestrator, tree: Path) -> None:
    lease_id = await fill(orchestrator, tree)
    with orchestrator.store.engine.begin() as connection:
        connection.execute(text("DELETE FROM leasehold_hold"))
    [finding] = await found(orchestrator)
    assert (finding.lease_id, finding.invariant) == (lease_id, 2)


async def test_a_store_is_verified_while_leases_live(orchestrator: Orchestrator, tree: Path) -> None:
    await orchestrator.environments.add("default", "place", "scripted", {})

    enough, lived = asyncio.Event(), 0

    async def lives() -> None:
        nonlocal lived
        while not enough.is_set():
            async with orchestrator.lease(environment="place", workspace=tree, share=True):
                lived += 1

    living = [asyncio.ensure_future(lives()) for _ in range(8)]
    try:
        for _ in range(5):
            before = lived
            while lived == before:  # each look has new lives behind it
                await asyncio.wait(living, timeout=0.01)
                assert not any(each.done() for each in living)
            assert await found(orchestrator) == []
    finally:
        enough.set()
        await asyncio.gather(*living)
