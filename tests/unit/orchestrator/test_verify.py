"""verify: each column of a good store is altered in turn; it names lease and invariant, or it is free."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.store.schema import schema
from leasehold.orchestrator.verify import FREE, Finding, verify

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


def alter(path: Path, table: str, column: str, lease_id: str) -> bool:
    """Change one value of that column, of the held lease where there is one; whether there was any."""
    name = f"{TABLES.prefix}{table}"
    with closing(sqlite3.connect(path)) as raw, raw:
        key = "lease_id" if table in ("journal", "hold", "activity") else "id" if table == "lease" else None
        where = f"WHERE {key} = '{lease_id}'" if key else ""
        if table == "journal":
            where += " AND seq = (SELECT max(seq) FROM leasehold_journal WHERE lease_id = '" + lease_id + "')"
        before = raw.execute(f"SELECT {column} FROM {name} {where} LIMIT 1").fetchone()
        if before is None:
            return False
        if (table, column) == ("ledger", "epoch"):
            before = (-1,)  # epochs may be drawn and never used; going back is what breaks
        changed: Any = before[0] + 1 if isinstance(before[0], int) else f"{before[0]}x"
        if column in ("details", "handle", "request", "config", "realization", "target") and table != "environment":
            changed = '{"altered": true}'
        raw.execute(f"UPDATE {name} SET {column} = ? {where}", (changed,))
    return True


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}.{column}" for table, column in COLUMNS])
async def test_an_altered_column_is_found_or_free(
    orchestrator: Orchestrator, store_path: Path, tree: Path, table: str, column: str
) -> None:
    lease_id = await fill(orchestrator, tree)
    assert await found(orchestrator) == []
    assert alter(store_path, table, column, lease_id)
    findings = await found(orchestrator)
    if (table, column) in FREE or (table, "*") in FREE:
        assert findings == []
    else:
        assert findings, f"{table}.{column} was altered, and nothing was found"
        assert all(1 <= finding.invariant <= 13 and finding.why for finding in findings)
        if table not in ("ledger",) and column not in ("id", "lease_id"):
            assert {finding.lease_id for finding in findings} - {""} == {lease_id}


def test_every_free_column_has_its_reason() -> None:
    assert all(reason for reason in FREE.values())
    known = {*COLUMNS, *((table, "*") for table, _ in COLUMNS)}
    assert set(FREE) <= known


async def test_a_missing_journal_row_is_a_gap(orchestrator: Orchestrator, store_path: Path, tree: Path) -> None:
    lease_id = await fill(orchestrator, tree)
    with closing(sqlite3.connect(store_path)) as raw, raw:
        raw.execute("DELETE FROM leasehold_journal WHERE lease_id = ? AND seq = 2", (lease_id,))
    [finding] = await found(orchestrator)
    assert (finding.lease_id, finding.invariant) == (lease_id, 6)


async def test_a_lost_hold_is_found(orchestrator: Orchestrator, store_path: Path, tree: Path) -> None:
    lease_id = await fill(orchestrator, tree)
    with closing(sqlite3.connect(store_path)) as raw, raw:
        raw.execute("DELETE FROM leasehold_hold")
    [finding] = await found(orchestrator)
    assert (finding.lease_id, finding.invariant) == (lease_id, 2)
