"""What another process asks of a lease's owner: it is done once, stays until it is, and is nothing to a later owner."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from leasehold.orchestrator import Lease, Orchestrator, StoreError
from leasehold.orchestrator.ledger import Row
from sqlalchemy import update

from .conftest import Opener

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
async def owner(open_orchestrator: Opener) -> AsyncGenerator[Orchestrator]:
    """A process that looks twice a second."""
    async with open_orchestrator(claim_seconds=1.5) as owner:
        await owner.environments.add("default", "place", "scripted", {})
        yield owner


@pytest.fixture
async def other(open_orchestrator: Opener) -> AsyncGenerator[Orchestrator]:
    async with open_orchestrator() as other:
        yield other


@pytest.fixture
async def lease(owner: Orchestrator, tree: Any) -> Lease:
    return await owner.acquire(environment="place", workspace=tree)


async def row(orchestrator: Orchestrator, lease: Lease, until: Callable[[Row], bool]) -> Row:
    """The lease as the store has it, once that is so."""
    async with asyncio.timeout(20):
        while not until(found := await orchestrator.ledger.find("default", lease.id)):
            pass
    return found


async def test_a_wish_outlives_a_store_that_fails_while_it_is_done(
    owner: Orchestrator, other: Orchestrator, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail, failed = owner._life.fail, asyncio.Event()  # pyright: ignore[reportPrivateUsage]

    async def fails(*_: Any) -> None:
        monkeypatch.setattr(owner._life, "fail", fail)  # pyright: ignore[reportPrivateUsage]
        failed.set()
        raise StoreError("the disk of the store is full")

    monkeypatch.setattr(owner._life, "fail", fails)  # pyright: ignore[reportPrivateUsage]
    await other.fail(lease.id, "an operator says so")
    await asyncio.wait_for(failed.wait(), 20)
    ended = await row(other, lease, lambda row: not row.facts.state.live and row.end_requested is None)
    assert ended.facts.error_message == "an operator says so"


async def test_a_wish_outlives_a_look_without_an_answer(
    owner: Orchestrator, other: Orchestrator, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, lost = owner.store.writer.job, asyncio.Event()

    async def loses(work: Any) -> Any:
        answer = await job(work)
        if work == owner._owner._extend and answer[1] and not lost.is_set():  # pyright: ignore[reportPrivateUsage]
            lost.set()
            raise StoreError("the store did not say whether a commit holds")
        return answer

    monkeypatch.setattr(owner.store.writer, "job", loses)
    await other.fail(lease.id, "an operator says so")
    await asyncio.wait_for(lost.wait(), 20)
    ended = await row(other, lease, lambda row: not row.facts.state.live and row.end_requested is None)
    assert ended.facts.error_message == "an operator says so"


async def test_a_wish_is_done_once_however_often_it_is_seen(
    owner: Orchestrator, other: Orchestrator, lease: Lease, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    job, looks = owner.store.writer.job, 0

    async def counts(work: Any) -> Any:
        nonlocal looks
        answer = await job(work)
        looks += work == owner._owner._extend and bool(answer[1])  # pyright: ignore[reportPrivateUsage]
        return answer

    monkeypatch.setattr(owner.store.writer, "job", counts)
    async with lease.lock:  # a step is under way
        await other.extend(lease.id, "1h")
        await eventually(lambda: looks >= 3)
    await row(other, lease, lambda row: row.end_requested is None)
    assert [entry.event for entry in await lease.journal()].count("extend") == 1


async def test_a_refused_wish_is_forgotten(other: Orchestrator, lease: Lease) -> None:
    await wish(other, lease, '{"end": "fail", "code": "no such code"}')
    found = await row(other, lease, lambda row: row.end_requested is None)
    assert found.facts.state.live
    await lease.release()


async def test_a_later_wish_is_not_forgotten_with_the_one_before(
    owner: Orchestrator, other: Orchestrator, lease: Lease, eventually: Eventually
) -> None:
    granting = owner._owner._granting  # pyright: ignore[reportPrivateUsage]
    async with lease.lock:
        await other.extend(lease.id, "1h")
        await eventually(lambda: lease.id in granting)
        await other.release(lease.id)
    await row(other, lease, lambda row: not row.facts.state.live and row.end_requested is None)


async def test_who_takes_a_lease_over_is_not_asked_what_its_owner_was(
    open_orchestrator: Opener, other: Orchestrator, tree: Any
) -> None:
    async with open_orchestrator() as gone:
        await gone.environments.add("default", "place", "scripted", {})
        lease = await gone.acquire(environment="place", workspace=tree)
    await wish(other, lease, '{"end": "release"}')
    before = await other.ledger.find("default", lease.id)
    assert before.end_requested == {"end": "release"}
    taken = other._others.lease_of(before)  # pyright: ignore[reportPrivateUsage]
    await other._others.take(taken, before, force=False)  # pyright: ignore[reportPrivateUsage]
    assert (await other.ledger.find("default", lease.id)).end_requested is None
    await wish(other, lease, '{"end": "release"}')
    await taken.extend("1h")
    assert (await other.ledger.find("default", lease.id)).end_requested is not None, "only a take-over forgets it"
    await other.fail(lease.id, "it is over")


async def wish(orchestrator: Orchestrator, lease: Lease, wish: str) -> None:
    table = orchestrator.store.schema.lease
    query = update(table).where(table.c.id == lease.id).values(end_requested=wish)
    await orchestrator.store.writer.job(lambda connection: connection.execute(query) and None)
