"""A store restored from a backup: it notices, does nothing, and is brought together with what stands."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from leasehold.drivers.place import Tags
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import Orchestrator, Settings, StoreBehind, Verdict
from leasehold.orchestrator.verify import verify

Opened = Callable[[], AbstractAsyncContextManager[Orchestrator]]

_BITS = 36


@pytest.fixture
def opened(store_path: Path, state_folder: Path, provider: Provider) -> Opened:
    def again() -> AbstractAsyncContextManager[Orchestrator]:
        return Orchestrator.open(
            f"sqlite:///{store_path}",
            drivers=[ScriptedDriver(provider)],
            settings=Settings(state_folder=state_folder),
        )

    return again


async def test_a_backup_is_noticed_and_settled(
    opened: Opened, store_path: Path, tmp_path: Path, provider: Provider, tree: Path
) -> None:
    backup = tmp_path / "backup.db"
    async with opened() as before:
        await before.environments.add("default", "place", "scripted", {})
        old = await before.acquire(environment="place", workspace=tree)
        await asyncio.to_thread(_back_up, store_path, backup)
        later = [await before.acquire(environment="place", workspace=tree) for _ in range(3)]
        await before.replay(old.id, force=True)  # a newer epoch was at the old one's place
    lost = {lease.id for lease in later}
    for path in store_path.parent.glob(f"{store_path.name}*"):
        path.unlink()
    shutil.copy(backup, store_path)

    async with opened() as after:
        with pytest.raises(StoreBehind):
            await after.sweep(apply=True, grace=0, unknown=True)
        standing = {each.tags.lease_id for each in provider.standing()}
        assert standing == lost
        plan = await after.restored()
        assert [each.lease_id for each in plan.leases] == [old.id]
        assert {each.lease_id: each.verdict for each in plan.places} == dict.fromkeys(lost, Verdict.UNKNOWN)
        assert (await after.ledger.find("default", old.id)).facts.state.live, "nothing was done yet"

        done = await after.restored(apply=True)
        assert [each.done for each in done.leases] == [True]
        assert (await after.store.drawn()) >> _BITS == done.incarnation
        swept = await after.sweep(apply=True, grace=0, unknown=True)
        assert {each.verdict for each in swept} == {Verdict.DESTROYED}
        assert provider.standing() == []
        lease = await after.acquire(environment="place", workspace=tree)
        assert lease.facts.epoch > done.incarnation << _BITS
        await lease.release()
        assert [finding async for finding in verify(after.store)] == []


async def test_a_place_that_has_seen_more_stops_its_replay(opened: Opened, provider: Provider, tree: Path) -> None:
    async with opened() as first:
        await first.environments.add("default", "place", "scripted", {})
        lease = await first.acquire(environment="place", workspace=tree)
        provider.fence(lease.facts.resource_key or "", lease.facts.epoch + 1000)
    async with opened() as second:
        version = (await second.ledger.find("default", lease.id)).facts.version
        with pytest.raises(StoreBehind, match="has seen epoch"):
            await second.replay(lease.id)
        row = await second.ledger.find("default", lease.id)
        assert row.facts.cleanup.open
        assert len(provider.standing()) == 1
        assert version < row.facts.version, "the takeover is all that was written, and the cleanup's intent"
        assert (await second.restored(apply=True)).leases[0].done
        assert provider.standing() == []


async def test_an_incarnation_on_each_store(store_url: str, state_folder: Path) -> None:
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        first = (await orchestrator.restored(apply=True)).incarnation
        assert await orchestrator.store.draw() == (first << _BITS) + 1
        second = (await orchestrator.restored(apply=True)).incarnation
        assert second > first
        assert await orchestrator.store.draw() == (second << _BITS) + 1


def _back_up(store: Path, backup: Path) -> None:
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(backup)) as dest:
        source.backup(dest)


@pytest.mark.parametrize("later", [0, 10], ids=["this minute's", "what a run wrote"])
async def test_an_incarnation_that_another_store_has_begun_is_not_begun_again(
    opened: Opened, provider: Provider, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    minute = int(now // 60)
    epoch = ((minute + later) << _BITS) + 4
    provider.make(Tags("0ther000", "l0gone", "0ther000-l0gone-1", epoch, 0), keyed=True, looks=0)
    async with opened() as orchestrator:
        await orchestrator.environments.add("default", "place", "scripted", {})
        assert (await orchestrator.restored(apply=True)).incarnation == minute + 1
        assert (await orchestrator.store.drawn()) >> _BITS == minute + 1
