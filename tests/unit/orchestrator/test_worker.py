"""The worker's duties: what lost its owner, is overdue, expired, owed or kept for too long is ended, once."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dying import Died, DyingDriver
from leasehold.drivers.scripted import Call, Fault, Provider, ScriptedDriver
from leasehold.orchestrator import Decision, Deed, Lease, Orchestrator, OwnerLost, Settings, StoreError
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, LeaseState, Policy

from .conftest import Opener


@asynccontextmanager
async def scripted(open_orchestrator: Opener, driver: ScriptedDriver | None = None) -> AsyncGenerator[Orchestrator]:
    """A process with an environment named ``place``."""
    async with open_orchestrator(driver) as orchestrator:
        if await orchestrator.environments.find("default", "place") is None:
            await orchestrator.environments.add("default", "place", "scripted", {})
        yield orchestrator


def duties(deeds: list[Deed]) -> dict[str, str]:
    return {deed.lease_id: deed.duty for deed in deeds}


async def test_a_pass_ends_all_that_is_due_and_the_next_finds_nothing(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    async with scripted(open_orchestrator) as first:
        lost = await first.acquire(environment="place", workspace=tree)
        waits = await first.acquire(environment="place", workspace=tree, owner_lost=OwnerLost.WAIT)
        over = await first.acquire(environment="place", workspace=tree)
        await over.detach()
        await first.extend(over.id, 0.001)
        kept = await first.acquire(environment="place", workspace=tree, policy=Policy.RETAIN_ON_FAILURE, keep_for=0.001)
        await kept.fail("to be looked at")
        stays = await first.acquire(environment="place", workspace=tree, policy=Policy.RETAIN_ON_FAILURE)
        await stays.fail("to be looked at")
    async with open_orchestrator(DyingDriver(provider, "release")) as dying:
        torn = await dying.acquire(environment="place", workspace=tree)
        with pytest.raises(Died):
            await torn.release()
    async with open_orchestrator() as second:
        held = await second.acquire(environment="place", workspace=tree)
        deeds = await second.duties()
        assert duties(deeds) == {
            lost.id: "owner_lost",
            waits.id: "owner_lost",
            over.id: "expired",
            kept.id: "keep_over",
            torn.id: "owner_lost",
        }
        assert all(deed.done for deed in deeds)
        facts = {each: (await second.ledger.find("default", each.id)).facts for each in (lost, waits, over, kept)}
        assert (facts[lost].error_code, facts[over].error_code) == ("lease_owner_lost", "lease_expired")
        assert (facts[waits].state, facts[waits].owner) == (LeaseState.TARGETED, None)
        assert facts[kept].cleanup is CleanupState.SUCCEEDED
        assert {each.tags.lease_id for each in provider.standing()} == {waits.id, stays.id, held.id}
        assert await second.duties() == []
        assert [finding async for finding in verify(second.store)] == []
        await held.release()


async def test_a_cleanup_is_tried_again_when_its_time_has_come(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    fault = Fault(verb="release", call=1)
    async with open_orchestrator() as first:
        config = {"script": [fault.model_dump()]}
        await first.environments.add("default", "place", "scripted", config)
        lease = await first.acquire(environment="place", workspace=tree)
        await lease.release()
        assert lease.cleanup is CleanupState.FAILED
        assert await first.duties() == [], "its next try is still to come"
        assert lease.facts.next_try_at is not None
        first.store.clock._offset += 10_000_000  # type: ignore[attr-defined]  # pyright: ignore
        [deed] = await first.duties()
        assert (deed.duty, deed.done) == ("cleanup_failed", True)
        assert provider.standing() == []


async def test_a_step_past_its_deadline_is_taken_from_a_living_owner(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    async with open_orchestrator() as first, open_orchestrator() as second:
        config = {"script": [Fault(verb="realize", what="hang").model_dump()]}
        await first.environments.add("default", "place", "scripted", config)
        hanging = asyncio.create_task(first.acquire(environment="place", workspace=tree, run_id="r"))
        async with asyncio.timeout(30):
            while not (rows := await second.ledger.of_run("default", "r")) or rows[0].facts.pending_event != "realize":
                await asyncio.wait({hanging}, timeout=0.01)
        assert await second.duties() == []
        second.store.clock._offset += 2000 * 1_000_000  # type: ignore[attr-defined]  # pyright: ignore
        # by that clock its owner is gone as well: what counts is that the step is past its deadline
        [deed] = await second.duties()
        assert deed.duty in ("step_overdue", "owner_lost")
        assert provider.standing() == []
        hanging.cancel()
        with pytest.raises((asyncio.CancelledError, Exception)):
            await hanging


async def test_two_workers_do_each_thing_once(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    async with scripted(open_orchestrator) as first:
        leases = [await first.acquire(environment="place", workspace=tree) for _ in range(12)]
    async with open_orchestrator() as one, open_orchestrator() as two:
        deeds = [deed for done in await asyncio.gather(one.duties(), two.duties()) for deed in done]
        assert sorted(deed.lease_id for deed in deeds) == sorted(lease.id for lease in leases)
        assert provider.standing() == []
        assert [finding async for finding in verify(one.store)] == []


async def test_the_loop_tells_writes_its_health_and_stops(
    open_orchestrator: Opener, provider: Provider, tree: Path, tmp_path: Path
) -> None:
    async with scripted(open_orchestrator) as first:
        lease = await first.acquire(environment="place", workspace=tree)
    heard: list[str] = []
    told = asyncio.Event()

    def hear(line: str) -> None:
        heard.append(line)
        told.set()

    health = tmp_path / "health.json"
    async with open_orchestrator(worker_seconds=0.01) as second:
        async with second.worker(told=hear, health=health) as worker, asyncio.timeout(30):
            await told.wait()
        assert worker.deeds == 1
        assert heard == [f"lease {lease.id}: owner_lost: failed (lease_owner_lost), cleanup succeeded"]
        record = json.loads(health.read_text())
        assert (record["deeds"], record["error"]) == (1, None)
        assert record["passes"] == worker.passes
    assert provider.standing() == []


async def test_at_its_end_it_finishes_what_has_begun_and_leaves_the_rest(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    async with scripted(open_orchestrator) as first:
        for _ in range(40):
            await first.acquire(environment="place", workspace=tree)
    driver = ScriptedDriver(provider)
    begun, go_on = asyncio.Event(), asyncio.Event()
    released = list[Call]()

    async def hold(call: Call) -> None:
        released.append(call)
        if len(released) == 32:
            begun.set()
        await go_on.wait()

    driver.at("release", "before", hold)
    async with open_orchestrator(driver, worker_seconds=60) as second:
        async with second.worker() as worker, asyncio.timeout(30):
            await begun.wait()
            worker.stop()
            go_on.set()
        assert (worker.deeds, len(released), len(provider.standing())) == (32, 32, 8)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("the server is gone"), "the store: the server is gone"),
        (RuntimeError("can't start new thread"), "the pass: RuntimeError: can't start new thread"),
    ],
)
async def test_a_pass_that_fails_is_told_and_the_next_goes_on(
    open_orchestrator: Opener, tree: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    async with scripted(open_orchestrator) as first:
        await first.acquire(environment="place", workspace=tree)
    heard: list[str] = []
    done = asyncio.Event()

    def hear(line: str) -> None:
        heard.append(line)
        if len(heard) == 2:
            done.set()

    async with open_orchestrator(worker_seconds=0.01) as second:
        unheld = second.ledger.unheld

        async def fails(*_: object) -> object:
            monkeypatch.setattr(second.ledger, "unheld", unheld)
            raise error

        monkeypatch.setattr(second.ledger, "unheld", fails)
        async with second.worker(told=hear, sweeps="never"), asyncio.timeout(30):
            await done.wait()
        assert heard[0] == said
        assert "owner_lost" in heard[1]


async def test_who_hears_it_and_fails_does_not_stop_it(open_orchestrator: Opener, tree: Path) -> None:
    async with scripted(open_orchestrator) as first:
        lease = await first.acquire(environment="place", workspace=tree)
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
    heard = asyncio.Event()

    def hear(line: str) -> None:
        heard.set()
        raise OSError("the terminal is gone")

    async with open_orchestrator(worker_seconds=0.01) as second, asyncio.timeout(30):
        async with second.worker(told=hear, sweeps="never") as worker:
            await heard.wait()
        assert (worker.deeds, worker.error) == (1, None)
        assert (await second.ledger.find("default", lease.id)).facts.cleanup is CleanupState.SUCCEEDED


async def test_whatever_a_sweep_fails_with_is_told_in_a_line_and_the_worker_goes_on(
    open_orchestrator: Opener,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    heard: list[str] = []
    failed, swept = asyncio.Event(), asyncio.Event()
    async with open_orchestrator(worker_seconds=0.01, sweep_seconds=0.05) as orchestrator:
        look = orchestrator._sweep.sweep  # pyright: ignore[reportPrivateUsage]

        async def works(**options: Any) -> list[Decision]:
            decisions = await look(**options)
            swept.set()
            return decisions

        async def fails(**_: Any) -> list[Decision]:
            raise RuntimeError("one\nand more")

        def hear(line: str) -> None:
            heard.append(line)
            failed.set()

        monkeypatch.setattr(orchestrator._sweep, "sweep", fails)  # pyright: ignore[reportPrivateUsage]
        async with orchestrator.worker(told=hear) as worker, asyncio.timeout(30):
            await failed.wait()
            passes = worker.passes
            await eventually(lambda: worker.passes >= passes + 2)
            assert worker.error == "RuntimeError: one"
            monkeypatch.setattr(orchestrator._sweep, "sweep", works)  # pyright: ignore[reportPrivateUsage]
            await swept.wait()
            await eventually(lambda: worker.error is None)
        assert {*heard} == {"the sweep: RuntimeError: one"}


async def test_old_owners_are_forgotten(open_orchestrator: Opener, tree: Path) -> None:
    async with scripted(open_orchestrator) as first:
        held: Lease = await first.acquire(environment="place", workspace=tree)
        day = 25 * 3600 * 1_000_000
        first.store.clock._offset += day  # type: ignore[attr-defined]  # pyright: ignore
        await first._owner.remove_old()  # pyright: ignore[reportPrivateUsage]
        assert (await first.ledger.find("default", held.id)).owner_pid is not None, "a live lease names it"
        first.store.clock._offset -= day  # type: ignore[attr-defined]  # pyright: ignore
        await held.release()
        first.store.clock._offset += day  # type: ignore[attr-defined]  # pyright: ignore
        await first._owner.remove_old()  # pyright: ignore[reportPrivateUsage]
        assert (await first.ledger.find("default", held.id)).owner_pid is None


def test_settings_of_the_worker() -> None:
    settings = Settings()
    assert (settings.worker_seconds, settings.sweep_seconds, settings.sweep_grace_seconds) == (1.0, 300.0, 600.0)


async def test_what_a_worker_took_and_could_not_settle_is_tried_again(
    open_orchestrator: Opener, provider: Provider, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails between taking over and settling: the lease is the worker's, and is not left there."""
    async with scripted(open_orchestrator) as first:
        lease = await first.acquire(environment="place", workspace=tree)
    async with open_orchestrator() as second:
        settle = second._life.settle  # pyright: ignore[reportPrivateUsage]

        async def fails(*_: object) -> None:
            monkeypatch.setattr(second._life, "settle", settle)  # pyright: ignore[reportPrivateUsage]
            raise StoreError("the disk of the store is full")

        monkeypatch.setattr(second._life, "settle", fails)  # pyright: ignore[reportPrivateUsage]
        [deed] = await second.duties()
        assert (deed.done, deed.outcome) == (False, "not done: the disk of the store is full")
        assert await second.duties() == [], "it is not tried at once"
        left = second._replays._unfinished  # pyright: ignore[reportPrivateUsage]
        left[lease.id] = replace(left[lease.id], at=0.0)  # its time has come
        [deed] = await second.duties()
        assert (deed.duty, deed.done) == ("unfinished", True)
        assert (await second.ledger.find("default", lease.id)).facts.error_code == "lease_owner_lost"
        assert provider.standing() == []


def _elsewhere(_: Path) -> str:
    return "another"


async def test_a_place_of_another_machine_is_left_to_its_own(
    open_orchestrator: Opener, provider: Provider, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody elsewhere could see that it stands: its lease ends, and its cleanup stays owed."""
    async with open_orchestrator() as first:
        await first.environments.add("default", "place", "scripted", {"machine_bound": True})
        lease = await first.acquire(environment="place", workspace=tree)
    with monkeypatch.context() as there:
        there.setattr("leasehold.orchestrator.verbs.machine_id", _elsewhere)
        async with open_orchestrator() as second:
            [deed] = await second.duties()
            assert (deed.duty, deed.done) == ("owner_lost", False)
            row = await second.ledger.find("default", lease.id)
            assert (row.facts.error_code, row.facts.cleanup) == ("lease_owner_lost", CleanupState.PENDING)
            second.store.clock._offset += 60_000_000  # type: ignore[attr-defined]  # pyright: ignore
            assert await second.duties() == []
            ended = await second.release(lease.id)
            assert ended is not None
            [tried] = [entry for entry in await ended.journal() if entry.kind == "failed"][-1:]
            assert "is on another machine" in tried.details["message"]
            assert len(provider.standing()) == 1
    async with open_orchestrator() as third:
        third.store.clock._offset += 600_000_000  # type: ignore[attr-defined]  # pyright: ignore
        [deed] = await third.duties()
        assert (deed.duty, deed.done) == ("cleanup_failed", True)
        assert provider.standing() == []
