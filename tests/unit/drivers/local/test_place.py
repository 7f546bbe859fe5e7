"""Keyed places, their fences, and what may be removed."""

import asyncio
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from bench import LEDGER, Bench, both, runs, sh
from leasehold.drivers import (
    Absent,
    Command,
    Condition,
    Conflict,
    Damaged,
    Found,
    Gone,
    Handle,
    Mode,
    Refused,
    ReleaseMode,
    Stale,
    Stopped,
    Tags,
    TimedOut,
    Unknown,
    Workspace,
)
from leasehold.drivers.local import LocalConfig
from leasehold.drivers.local.fence import STALE_AFTER, Fence

KEY = f"{LEDGER}-lease1-1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "tree").mkdir()
    return Workspace(tmp_path / "tree", Mode.IN_PLACE)


async def test_an_ordinary_life_leaves_nothing_not_even_a_fence(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    assert bench.places() == {KEY, f"fence {KEY}"}
    assert await life.run("pwd; echo $LEASEHOLD_LEASE") == f"{workspace.path}\nlease1\n"
    assert (await life.release()).was_there
    assert bench.places() == set()
    assert not (await life.release()).was_there
    assert bench.places() == set()


async def test_the_folder_of_places_is_this_user_s_alone(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    place = bench.root / KEY
    assert {path.stat().st_mode & 0o777 for path in (bench.root, bench.root / ".fences", place)} == {0o700}
    await life.release()


async def test_the_fence_stays_after_a_takeover_and_refuses_the_frozen_owner(
    bench: Bench, workspace: Workspace
) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    target = await bench.driver.target(life.handle, life.realization, life.context())
    life.epoch = 2
    await life.release()
    assert bench.places() == {f"fence {KEY}"}
    life.epoch = 1
    for late in (bench.acquire("lease1", workspace), life.realize(), life.baseline(), life.release()):
        with pytest.raises(Stale, match="epoch 2"):
            await late
    with pytest.raises(Stale):
        await target.read("x")
    await target.close()


async def test_recover_shuts_a_key_against_older_epochs_until_its_fence_is_old(
    bench: Bench, workspace: Workspace
) -> None:
    assert await bench.driver.recover(KEY, None, bench.context("lease1", 5)) == Absent()
    with pytest.raises(Stale):
        await bench.acquire("lease1", workspace, 4)
    assert await bench.driver.recover(KEY, await bench.acquire("lease1", workspace, 5), bench.context("lease1", 6))
    fence = bench.root / ".fences" / "old"
    fence.write_text(f"{7:020d} stays\n")
    before = time.time() - STALE_AFTER - 1
    os.utime(fence, (before, before))
    os.utime(bench.root / ".fences" / KEY, (before, before))
    await bench.acquire("lease2", workspace)
    assert not fence.exists()
    assert (bench.root / ".fences" / KEY).exists(), "its place stands"


async def test_one_verb_at_a_time_and_waiting_ends_by_the_deadline_or_a_stop(
    bench: Bench, workspace: Workspace
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with Fence(bench.root, KEY).held(bench.context("lease1"), stands=lambda: True):
            entered.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert await asyncio.to_thread(entered.wait, 20)
    with pytest.raises(TimedOut):
        await bench.acquire("lease1", workspace, seconds=0.2)
    stop = asyncio.Event()
    waiting = asyncio.create_task(bench.acquire("lease1", workspace, stop=stop))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(Stopped):
        await waiting
    cancelled = asyncio.create_task(bench.acquire("lease1", workspace))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert bench.places() == {f"fence {KEY}"}
    waiting = asyncio.create_task(bench.acquire("lease1", workspace))
    leave.set()
    assert (await waiting).place == KEY
    holder.join()


async def test_the_same_key_at_once_is_one_place(bench: Bench, workspace: Workspace) -> None:
    handles = await both(*[bench.acquire("lease1", workspace) for _ in range(8)])
    assert all(handle == handles[0] for handle in handles)


async def test_only_what_bears_our_tags_is_removed(bench: Bench, workspace: Workspace) -> None:
    theirs = bench.root / KEY
    theirs.mkdir(parents=True)
    (theirs / "precious").write_text("x")
    with pytest.raises(Conflict, match="no place of ours"):
        await bench.acquire("lease1", workspace)
    handle = Handle("local", KEY, {"folder": str(theirs), "mode": "in_place", "workspace": "/", "lease_id": "lease1"})
    with pytest.raises(Conflict):
        await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context("lease1"))
    assert isinstance(await bench.driver.recover(KEY, None, bench.context("lease1")), Unknown)
    assert (theirs / "precious").read_text() == "x"
    assert [found async for found in bench.driver.owned(None, bench.context("lease1"))] == []


async def test_a_place_of_another_ledger_stays(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    stranger = replace(life.context(), ledger="another")
    with pytest.raises(Conflict, match="another ledger"):
        await bench.driver.release(life.handle, ReleaseMode.DESTROY, stranger)
    with pytest.raises(Conflict, match="another ledger"):
        await bench.driver.acquire(
            KEY, bench.request("lease1", workspace), Tags("another", "lease1", KEY, 1, 0), stranger
        )
    assert [found.place async for found in bench.driver.owned(LEDGER, life.context())] == [KEY]
    assert [found.place async for found in bench.driver.owned("another", life.context())] == []
    assert [found.place async for found in bench.driver.owned(None, life.context())] == [KEY]


@pytest.mark.parametrize("folder", ["/", "/etc", "", "/tmp/../etc"])
async def test_a_handle_that_is_not_ours_is_damaged(bench: Bench, folder: str) -> None:
    handle = Handle("local", KEY, {"folder": folder, "mode": "copy", "workspace": "/", "lease_id": "lease1"})
    with pytest.raises(Damaged):
        await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context("lease1"))


@pytest.mark.parametrize("key", ["", "..", "a/b", ".hidden", "x" * 300, "a\0b"])
async def test_a_key_that_is_no_name_is_refused(bench: Bench, workspace: Workspace, key: str) -> None:
    request = bench.request("lease1", workspace)
    with pytest.raises(Refused):
        await bench.driver.acquire(key, request, Tags(LEDGER, "lease1", key, 1, 0), bench.context("lease1"))
    assert bench.places() == set()


async def test_place_json_that_is_torn_is_for_a_person(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    (bench.root / KEY / "place.json").write_text("{")
    with pytest.raises(Damaged, match=r"place\.json"):
        await life.release()
    assert (await bench.driver.inspect(life.handle, life.context())).condition is Condition.UNKNOWN


async def test_what_a_crash_left_of_making_or_removing_is_no_hindrance(bench: Bench, workspace: Workspace) -> None:
    (bench.root / f".{KEY}.new").mkdir(parents=True)
    (bench.root / f".{KEY}.new" / "place.json").write_text("{}")
    (bench.root / KEY).mkdir()
    assert await bench.driver.recover(KEY, None, bench.context("lease1")) == Absent()
    assert bench.places() == {f"fence {KEY}"}
    (bench.root / KEY).mkdir()
    handle = await bench.acquire("lease1", workspace)
    assert await bench.driver.recover(KEY, None, bench.context("lease1")) == Found(handle)
    await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context("lease1"))
    (bench.root / KEY).mkdir()
    assert not (await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context("lease1"))).was_there
    assert bench.places() == {f"fence {KEY}"}


async def test_verbs_on_a_place_that_is_gone_say_so(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    await life.release()
    for verb in (life.realize(), life.baseline(), life.sync_back(), life.release(ReleaseMode.KEEP)):
        with pytest.raises(Gone):
            await verb
    with pytest.raises(Gone):
        await bench.driver.target(life.handle, life.realization, life.context())
    assert bench.places() == set()


async def test_keep_and_park_end_what_runs_and_say_where(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "it's here"
    path.mkdir()
    life = await bench.begin(path, Mode.IN_PLACE)
    for mode in (ReleaseMode.KEEP, ReleaseMode.PARK):
        target = await bench.driver.target(life.handle, life.realization, life.context())
        left = await target.execute(Command(("sleep 600 >/dev/null 2>&1 & echo $!",), shell=True))
        await target.detach()
        assert runs(left.stdout.text)
        released = await life.release(mode)
        assert not runs(left.stdout.text)
        assert released.open_with is not None
        assert sh(tmp_path, f"{released.open_with} && pwd") == str(path)
        assert (await bench.driver.inspect(life.handle, life.context())).condition is Condition.READY
    await life.release()
    assert bench.places() == set()


async def test_a_status_that_was_recorded_is_read_by_whoever_comes(bench: Bench, workspace: Workspace) -> None:
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    target = await bench.driver.target(life.handle, life.realization, life.context())
    await target.execute(Command(("exit 3",), shell=True, record="provision"))
    await target.close()
    later = Bench(bench.folder)
    assert await later.driver.recorded(life.handle, "provision", life.context()) == 3
    assert await later.driver.recorded(life.handle, "another", life.context()) is None


async def test_a_command_gets_the_allowed_variables_and_no_secret_is_told(
    bench: Bench, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HIDDEN", "SHOWN", "TOKEN"):
        monkeypatch.setenv(name, f"value of {name}")
    bench.config = LocalConfig(pass_variables=("SHOWN",), variables={"SECRET": "env:TOKEN"})
    life = await bench.begin(workspace.path, Mode.IN_PLACE)
    target = await bench.driver.target(life.handle, life.realization, life.context(variables={"OWN": "mine"}))
    told = (await target.execute(Command(("env",)))).stdout.text
    await target.close()
    for line in ("SHOWN=value of SHOWN", "SECRET=value of TOKEN", "OWN=mine", "LEASEHOLD_LEASE=lease1"):
        assert line in told.splitlines()
    assert "HIDDEN" not in told
    assert "\nTOKEN=" not in told
    written = [path.read_text() for path in (bench.root / KEY).rglob("*.json")]
    assert not any("value of TOKEN" in text for text in written)
    assert target.describe() == {
        "kind": "local",
        "environment_id": None,
        "lease_id": "lease1",
        "cwd": str(workspace.path),
    }
