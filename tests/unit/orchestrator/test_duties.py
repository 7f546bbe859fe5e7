"""What is due is read by pages, and what cannot be done yet hides nothing behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from dying import Died, DyingDriver
from leasehold.drivers.scripted import Fault, Provider
from leasehold.orchestrator import Deed, News, Orchestrator, StoreError, duties
from leasehold.states import CleanupState, LeaseState, Policy

from .conftest import Opener

PAGE = 3


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "_MOST", PAGE)


async def done(orchestrator: Orchestrator, lease_id: str) -> None:
    """Pass after pass, as a worker makes them, until something was done for that lease."""
    heard: list[Deed] = []
    async with asyncio.timeout(30):
        while not any(deed.done and deed.lease_id == lease_id for deed in heard):
            await asyncio.gather(*await orchestrator._duties.begin(heard.append))  # pyright: ignore[reportPrivateUsage]


async def test_who_rightly_waits_hides_no_lost_lease(
    open_orchestrator: Opener,
    tree: Path,
    eventually: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    heard: list[News] = []

    def hear(news: News) -> None:
        if news.text.startswith("waits"):
            heard.append(news)

    async with open_orchestrator() as first:
        for company in ("default", "zz"):
            await first.environments.add(company, "place", "scripted", {}, max_leases=1)
        request: dict[str, Any] = {"environment": "place", "workspace": tree}
        async with first.lease(**request):
            waiting = [first.acquire(**request, wait="60s", listener=hear) for _ in range(2 * PAGE)]
            tasks = [asyncio.create_task(each) for each in waiting]
            await eventually(lambda: len(heard) == 2 * PAGE)
            async with open_orchestrator() as other:
                lost = await other.acquire(**request, company_id="zz")
            await done(first, lost.id)
            async with open_orchestrator() as other:
                lost = await other.acquire(**request, company_id="zz")
            assert [deed.lease_id for deed in await first.duties()] == [lost.id], "the whole ledger, at once"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _elsewhere(_: Path) -> str:
    return "gone"


@pytest.mark.parametrize("owed", ["untried", "failed", "kept"])
async def test_places_of_a_machine_that_is_gone_hide_none_of_another(
    open_orchestrator: Opener, provider: Provider, tree: Path, monkeypatch: pytest.MonkeyPatch, owed: str
) -> None:
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "keep_for": 0.001}
    faults = [Fault(verb="release", call=call) for call in range(1, 2 * PAGE + 2)] if owed == "failed" else []
    config = {"machine_bound": True, "script": [fault.model_dump() for fault in faults]}
    policy = Policy.RETAIN_ON_FAILURE if owed == "kept" else Policy.EPHEMERAL
    gone: list[str] = []
    with monkeypatch.context() as there:
        there.setattr("leasehold.orchestrator.verbs.machine_id", _elsewhere)
        driver = DyingDriver(provider, "release") if owed == "untried" else None
        async with open_orchestrator(driver) as first:
            await first.environments.add("default", "place", "scripted", config, policy=policy)
            for _ in range(2 * PAGE):
                lease = await first.acquire(**request)
                gone.append(lease.id)
                await _end(lease.fail("it went wrong"), dies=owed == "untried")
    async with open_orchestrator(DyingDriver(provider, "release") if owed == "untried" else None) as second:
        lease = await second.acquire(**request)
        await _end(lease.fail("it went wrong"), dies=owed == "untried")
    async with open_orchestrator() as third:
        await done(third, lease.id)
        assert (await third.ledger.find("default", lease.id)).facts.cleanup is CleanupState.SUCCEEDED
        assert all(row.facts.cleanup.open for row in await third.ledger.of_ids(gone))


async def _end(ending: Awaitable[None], *, dies: bool) -> None:
    if dies:
        with pytest.raises(Died):
            await ending
    else:
        await ending


async def test_what_another_took_meanwhile_is_not_looked_for_again(
    open_orchestrator: Opener, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_orchestrator() as first:
        await first.environments.add("default", "place", "scripted", {})
        lease = await first.acquire(environment="place", workspace=tree)
    async with open_orchestrator() as second, open_orchestrator() as third:

        async def fails(*_: object) -> None:
            raise StoreError("the disk of the store is full")

        monkeypatch.setattr("leasehold.orchestrator.replay._TRY_AGAIN_SECONDS", 0.0)
        with monkeypatch.context() as full:
            full.setattr(second._life, "settle", fails)  # pyright: ignore[reportPrivateUsage]
            [deed] = await second.duties()
            assert not deed.done
        await third.replay(lease.id, force=True)
        assert await second.duties() == []
        assert second._replays._unfinished == {}  # pyright: ignore[reportPrivateUsage]
        assert (await second.ledger.find("default", lease.id)).facts.state is LeaseState.FAILED
