"""Leases of others: whoever is cancelled while it takes one tears nothing, and leaves none that nobody has."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import NotInstalled
from leasehold.drivers.scripted import Fault, Provider
from leasehold.orchestrator import Lease, LeaseLost, Orchestrator
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, LeaseState

from .conftest import Opener

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def detached(orchestrator: Orchestrator, tree: Path, *faults: Fault, **request: Any) -> Lease:
    config = {"script": [fault.model_dump() for fault in faults], "syncs_back": True}
    await orchestrator.environments.add("default", "place", "scripted", config)
    lease = await orchestrator.acquire(environment="place", workspace=tree, **request)
    await lease.detach()
    return lease


async def cancelled_in_a_commit(
    orchestrator: Orchestrator, event: str, asked: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ask, and be cancelled as soon as a row of that event is on its way to the store."""
    write, tasks = orchestrator.store.writer.write, list[asyncio.Task[object]]()

    def cancels(each: Write) -> "asyncio.Future[int]":
        if any(entry.event == event for entry in each.entries):
            asyncio.get_running_loop().call_soon(tasks[0].cancel)
        return write(each)

    async def ask() -> object:
        return await asked()

    with monkeypatch.context() as watched:
        watched.setattr(orchestrator.store.writer, "write", cancels)
        tasks.append(asyncio.create_task(ask()))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]


async def test_an_attach_that_is_cancelled_lets_go(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await detached(orchestrator, tree)
    await cancelled_in_a_commit(orchestrator, "attach", lambda: orchestrator.attach(lease.id), monkeypatch)
    row = await orchestrator.ledger.find("default", lease.id)
    assert (row.facts.state, row.facts.owner, row.held) == (LeaseState.TARGETED, None, False)
    await (await orchestrator.attach(lease.id)).release()


async def test_an_extension_of_what_nobody_holds_is_one_commit(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await detached(orchestrator, tree)
    await cancelled_in_a_commit(orchestrator, "extend", lambda: orchestrator.extend(lease.id, "2h"), monkeypatch)
    row = await orchestrator.ledger.find("default", lease.id)
    assert (row.facts.owner, row.held) == (None, False)
    assert row.facts.expires_at != lease.facts.expires_at
    assert [entry.event for entry in await orchestrator.journal(lease.id)][-3:] == ["attach", "extend", "detach"]
    await orchestrator.release(lease.id)


@pytest.mark.parametrize("by", ["release", "fail", "again", "replay"])
async def test_an_end_that_is_cancelled_is_settled_first(
    orchestrator: Orchestrator, tree: Path, provider: Provider, eventually: Eventually, by: str
) -> None:
    """The verb has begun: it comes to its end, and so does the lease, whoever waited for it."""
    faults = [Fault(verb="release", call=1)] if by in ("again", "replay") else []
    call = len(faults) + 1
    lease = await detached(orchestrator, tree, *faults, Fault(verb="release", what="hang", call=call))
    if faults:
        await orchestrator.release(lease.id)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "release": lambda: orchestrator.release(lease.id),
        "fail": lambda: orchestrator.fail(lease.id, "enough"),
        "again": lambda: orchestrator.release(lease.id),
        "replay": lambda: orchestrator.replay(lease.id),
    }

    async def ask() -> None:
        await asked[by]()

    orchestrator.settings.cleanup_seconds = 1.0
    task = asyncio.create_task(ask())
    await eventually(lambda: provider.shelf.get("counts/release") == str(call).encode())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    row = await orchestrator.ledger.find("default", lease.id)
    assert (row.facts.cleanup, row.facts.pending_event) == (CleanupState.FAILED, None)
    await orchestrator.release(lease.id)
    assert provider.standing() == []


async def test_the_same_run_gets_its_own_lease_with_what_it_gave_now(
    orchestrator: Orchestrator, tree: Path, open_orchestrator: Opener
) -> None:
    await orchestrator.environments.add("default", "here", "local", {})
    request: dict[str, Any] = {"environment": "here", "workspace": tree, "mode": "in_place", "run_id": "r"}
    heard: list[str] = []
    async with open_orchestrator() as first:
        lease = await first.acquire(**request, env={"TOKEN": "before"})
        await lease.detach()
    again = await orchestrator.acquire(**request, env={"TOKEN": "now"}, listener=lambda news: heard.append(news.event))
    assert again.id == lease.id
    assert (await again.exec("sh", "-c", "echo $TOKEN")).stdout.text == "now\n"
    heard.clear()
    await again.release()
    assert "clean" in heard


@pytest.mark.parametrize("sync_back", [None, "always"])
async def test_a_driver_that_is_gone_stops_no_end(
    orchestrator: Orchestrator,
    tree: Path,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    sync_back: str | None,
) -> None:
    """What was asked to be brought back by name, and cannot be, is an error; the place is owed either way."""
    lease = await detached(orchestrator, tree, sync_back=sync_back)
    assert lease.facts.state is LeaseState.TARGETED

    def gone(name: str) -> None:
        raise NotInstalled(f"driver {name} is not installed")

    with monkeypatch.context() as without:
        without.setattr(orchestrator.registry, "get", gone)
        if sync_back:
            with pytest.raises(Exception, match="scripted is not installed"):
                await orchestrator.release(lease.id)
        else:
            await orchestrator.release(lease.id)
        row = await orchestrator.ledger.find("default", lease.id)
        code = "workspace_sync_failed" if sync_back else None
        assert (row.facts.state.live, row.facts.error_code) == (False, code)
        assert (row.facts.cleanup, row.facts.cleanup_error_code) == (CleanupState.FAILED, "lease_release_failed")
        last = (await orchestrator.journal(lease.id))[-1]
        assert last.details["message"] == "driver scripted is not installed"
    await orchestrator.release(lease.id)
    assert provider.standing() == []


async def test_a_lease_that_was_lost_meanwhile_stays_with_who_has_it(
    orchestrator: Orchestrator, tree: Path, open_orchestrator: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await detached(orchestrator, tree)
    row = await orchestrator.ledger.find("default", lease.id)
    async with open_orchestrator() as other:
        theirs = await other.attach(lease.id)
        with pytest.raises(LeaseLost):
            await orchestrator._others.take_up(row, force=False)  # pyright: ignore[reportPrivateUsage]
        assert (await theirs.exec("true")).ok
        await theirs.release()
