"""Listings, however many leases there are."""

from pathlib import Path

import pytest
from leasehold.orchestrator import Orchestrator, ledger
from sqlalchemy import Connection, insert, literal, select


async def test_a_listing_reads_page_after_page(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes a condition of at most 1,000 parts."""
    monkeypatch.setattr(ledger, "_PAGE", 1)
    await orchestrator.environments.add("default", "place", "scripted", {})
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    await lease.release()
    table = orchestrator.store.schema.lease

    def copy(connection: Connection) -> None:
        for number in range(1_020):
            changed = {"id": literal(f"{lease.id}x{number:04}"), "provider_lease_id": literal(str(number))}
            row = select(*(changed.get(column.name, column) for column in table.columns)).where(table.c.id == lease.id)
            connection.execute(insert(table).from_select([*table.columns], row))

    await orchestrator.store.writer.job(copy)
    assert len(await orchestrator.ledger.listing("default", limit=2_000)) == 1_021
