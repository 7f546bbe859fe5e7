"""What leaves a store: ended leases after their time, and a whole company; never a lease that owes a place."""

from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.errors import StillHeld
from leasehold.orchestrator.verify import verify
from leasehold.states import Policy
from sqlalchemy import Connection, func, select

AT_ONCE = 1e-6


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def life(orchestrator: Orchestrator, tree: Path, **request: Any) -> str:
    """A lease that has ended; its id."""
    async with orchestrator.lease(environment="place", workspace=tree, **request) as lease:
        return lease.id


async def standing(orchestrator: Orchestrator, company: str = "default") -> set[str]:
    return {row.terms.id for row in await orchestrator.ledger.listing(company)}


async def counts(orchestrator: Orchestrator) -> dict[str, int]:
    """The rows of each table that a company has a part in."""
    tables = orchestrator.store.schema
    counted = (tables.environment, tables.lease, tables.journal, tables.hold, tables.activity)

    def query(connection: Connection) -> dict[str, int]:
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in counted}

    return await orchestrator.store.read(query)


async def test_only_what_has_ended_for_long_enough_is_pruned(orchestrator: Orchestrator, tree: Path) -> None:
    await orchestrator.environments.add("default", "place", "scripted", {})
    before = await counts(orchestrator)
    for _ in range(3):
        await life(orchestrator, tree)
    assert await orchestrator.prune("1h") == 0
    async with orchestrator.lease(environment="place", workspace=tree) as live:
        assert await orchestrator.prune(AT_ONCE) == 3
        assert await standing(orchestrator) == {live.id}
    assert await orchestrator.prune(AT_ONCE) == 1
    assert await counts(orchestrator) == before


@pytest.mark.parametrize("policy", [Policy.RETAIN_ON_FAILURE, Policy.REUSE_BY_ENVIRONMENT])
async def test_a_place_that_stands_keeps_its_lease(orchestrator: Orchestrator, tree: Path, policy: Policy) -> None:
    await orchestrator.environments.add("default", "place", "scripted", {}, policy=policy)
    lease = await orchestrator.acquire(environment="place", workspace=tree)
    await (lease.fail("look") if policy is Policy.RETAIN_ON_FAILURE else lease.release())
    assert await orchestrator.prune(AT_ONCE) == 0
    with pytest.raises(StillHeld, match=lease.id):
        await orchestrator.drop_company("default")
    await orchestrator.release(lease.id)
    assert await orchestrator.prune(AT_ONCE) == 1


async def test_what_was_handed_over_is_pruned_apart(orchestrator: Orchestrator, tree: Path) -> None:
    policy = Policy.REUSE_BY_ENVIRONMENT
    await orchestrator.environments.add("default", "place", "scripted", {"transport": "sandbox"}, policy=policy)
    first = await life(orchestrator, tree)
    second = await life(orchestrator, tree)
    assert await orchestrator.prune(AT_ONCE) == 1
    assert await standing(orchestrator) == {second} != {first}


async def test_a_company_is_dropped_whole_and_no_other(orchestrator: Orchestrator, tree: Path) -> None:
    for company in ("default", "other"):
        await orchestrator.environments.add(company, "place", "scripted", {})
        await life(orchestrator, tree, company_id=company)
    lease = await orchestrator.acquire(environment="place", workspace=tree, company_id="other")
    with pytest.raises(StillHeld, match="is live"):
        await orchestrator.drop_company("other")
    await lease.release()
    assert await orchestrator.drop_company("other") == 2
    assert await standing(orchestrator, "other") == set()
    assert await orchestrator.environments.listing("other") == []
    assert len(await standing(orchestrator)) == 1
    assert [row.name for row in await orchestrator.environments.listing("default")] == ["place"]
    assert await orchestrator.drop_company("other") == 0
