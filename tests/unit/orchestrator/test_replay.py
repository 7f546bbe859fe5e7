"""Replay: every open step, whatever the driver answers, by the plan; and what is not for it to settle."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dying import Died, DyingDriver
from leasehold.drivers.scripted import Fault, Provider, Reply
from leasehold.orchestrator import (
    EnvironmentRunError,
    LeaseLost,
    News,
    NoSuch,
    NotStuck,
    OwnerLost,
    Replay,
    StillHeld,
)
from leasehold.orchestrator.capacity import Capacity
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.verify import verify
from leasehold.states import Answer, CleanupState, LeaseState, Move, Open, Policy, Stuck

from .conftest import Opener

ENDED = "succeeded"


async def left_by_a_death(
    open_orchestrator: Opener,
    provider: Provider,
    tree: Path,
    verb: str,
    *,
    after: bool = False,
    policy: str = "ephemeral",
    script: tuple[Fault, ...] = (),
    config: dict[str, Any] | None = None,
    max_leases: int | None = None,
    **request: Any,
) -> str:
    """The id of a lease whose process died at a verb of its driver."""
    async with open_orchestrator(DyingDriver(provider, verb, after=after)) as first:
        written = {**(config or {}), "script": [fault.model_dump() for fault in script], "syncs_back": True}
        if await first.environments.find("default", "place") is None:
            await first.environments.add(
                "default", "place", "scripted", written, policy=Policy(policy), max_leases=max_leases
            )
        with pytest.raises(Died):
            await _live(first, tree, request)
        row, *_ = await first.ledger.of_run("default", "r")
        # a process that dies unregisters nothing; closing the orchestrator, which does, is as good as the claim's end
        return row.terms.id


async def _live(orchestrator: Orchestrator, tree: Path, request: dict[str, Any]) -> None:
    async with orchestrator.lease(environment="place", workspace=tree, run_id="r", provision="make", **request):
        pass


async def settled(orchestrator: Orchestrator, lease_id: str) -> Row:
    """The lease's row; verify is content with all of the store."""
    assert [finding async for finding in verify(orchestrator.store)] == []
    return await orchestrator.ledger.find("default", lease_id)


@pytest.mark.parametrize(
    ("verb", "after", "found", "answer", "moves"),
    [
        ("acquire", False, Open.ACQUIRE, Answer.ABSENT, (Move.FAIL, Move.ABSOLVE)),
        ("acquire", True, Open.ACQUIRE, Answer.FOUND, (Move.FAIL, Move.CLEAN)),
        ("realize", False, Open.REALIZE, Answer.NOT_ASKED, (Move.FAIL, Move.CLEAN)),
        ("realize", True, Open.REALIZE, Answer.NOT_ASKED, (Move.FAIL, Move.CLEAN)),
        ("execute", False, Open.PROVISION, Answer.UNKNOWN, (Move.FAIL, Move.CLEAN)),
        ("execute", True, Open.PROVISION, Answer.KNOWN, (Move.FAIL, Move.CLEAN)),
        ("sync_back", False, Open.SYNC_BACK, Answer.NOT_ASKED, (Move.FAIL, Move.KEEP)),
        ("sync_back", True, Open.SYNC_BACK, Answer.NOT_ASKED, (Move.FAIL, Move.KEEP)),
    ],
)
async def test_what_was_left_open_is_ended(
    open_orchestrator: Opener,
    provider: Provider,
    tree: Path,
    verb: str,
    after: bool,
    found: Open,
    answer: Answer,
    moves: tuple[Move, ...],
) -> None:
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, verb, after=after)
    async with open_orchestrator() as second:
        assert (await second.ledger.find("default", lease_id)).stuck is Stuck.OWNER_LOST
        done = await second.replay(lease_id)
        assert (done.open, done.answer, done.moves, done.done) == (found, answer, moves, True)
        row = await settled(second, lease_id)
        assert (row.facts.state, row.facts.error_code) == (LeaseState.FAILED, "lease_owner_lost")
        kept = Move.KEEP in moves
        absent = Move.ABSOLVE in moves
        wanted = CleanupState.RETAINED if kept else CleanupState.NOT_NEEDED if absent else CleanupState.SUCCEEDED
        assert row.facts.cleanup is wanted
        assert len(provider.standing()) == (1 if kept else 0)
        again = await second.replay(lease_id)
        assert (again.done, again.open, again.moves) == (True, None, ())


@pytest.mark.parametrize(
    ("verb", "after", "moves", "calls"),
    [
        ("acquire", False, (Move.AGAIN,), ["acquire", "realize", "target", "execute"]),
        ("acquire", True, (Move.ADOPT,), ["realize", "target", "execute"]),
        ("realize", False, (Move.AGAIN,), ["realize", "target", "execute"]),
        ("realize", True, (Move.AGAIN,), ["realize", "target", "execute"]),
        ("execute", False, (Move.REALIZE_AFRESH,), ["realize", "target", "execute"]),
        ("execute", True, (Move.USE,), ["target"]),
    ],
)
async def test_what_was_left_open_is_resumed(
    open_orchestrator: Opener,
    provider: Provider,
    tree: Path,
    verb: str,
    after: bool,
    moves: tuple[Move, ...],
    calls: list[str],
) -> None:
    """Invariant 9: a step that is done is never done again."""
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, verb, after=after)
    driver = DyingDriver(provider)
    async with open_orchestrator(driver) as second:
        done = await second.replay(lease_id, resume=True)
        assert (done.moves, done.done) == (moves, True)
        acted = [call for call in driver.acted if call not in ("recover", "recorded", "baseline")]
        assert acted == calls
        row = await settled(second, lease_id)
        assert (row.facts.state, row.facts.owner, row.stuck) == (LeaseState.TARGETED, None, None)
        lease = await second.attach(lease_id)
        assert (await lease.exec("true")).ok
        await lease.release()
        assert (await settled(second, lease_id)).facts.cleanup is CleanupState.SUCCEEDED
        assert provider.standing() == []


@pytest.mark.parametrize("run_failed", [False, True])
async def test_a_torn_sync_back_goes_on_to_the_end_that_it_was_part_of(
    open_orchestrator: Opener, provider: Provider, tree: Path, run_failed: bool
) -> None:
    wanted = "always" if run_failed else None
    async with open_orchestrator(DyingDriver(provider, "sync_back")) as first:
        await first.environments.add("default", "place", "scripted", {"syncs_back": True})
        lease = await first.acquire(environment="place", workspace=tree, run_id="r", sync_back=wanted)
        with pytest.raises(Died):
            await (lease.fail("its tests failed") if run_failed else lease.release())
    async with open_orchestrator() as second:
        done = await second.replay(lease.id, resume=True)
        assert (done.open, done.moves, done.done) == (Open.SYNC_BACK, (Move.AGAIN,), True)
        row = await settled(second, lease.id)
        assert row.facts.cleanup is CleanupState.SUCCEEDED
        expected = (LeaseState.FAILED, "run_failed", "its tests failed") if run_failed else ("released", None, None)
        assert (row.facts.state, row.facts.error_code, row.facts.error_message) == expected


async def test_a_provision_command_that_failed_unheard_is_not_run_again(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    reply = Reply(match="make", exit_code=3)
    config = {"results": [reply.model_dump()]}
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "execute", after=True, config=config)
    driver = DyingDriver(provider)
    async with open_orchestrator(driver) as second:
        done = await second.replay(lease_id, resume=True)
        assert (done.answer, done.moves, done.done) == (Answer.KNOWN, (Move.USE,), True)
        row = await settled(second, lease_id)
        assert (row.facts.error_code, row.facts.error_stage) == ("workspace_realization_failed", "provision")
        assert row.facts.error_message is not None
        assert row.facts.error_message.endswith("exit code 3")
        assert "execute" not in driver.acted
        assert provider.standing() == []


@pytest.mark.parametrize("verb", ["release", "end"])
async def test_a_cleanup_that_was_left_open_is_tried_again(
    open_orchestrator: Opener, provider: Provider, tree: Path, verb: str
) -> None:
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "release", after=verb == "end")
    async with open_orchestrator() as second:
        done = await second.replay(lease_id)
        assert (done.open, done.moves, done.done) == (Open.CLEAN, (Move.AGAIN,), True)
        row = await settled(second, lease_id)
        assert (row.facts.state, row.facts.error_code) == (LeaseState.RELEASED, None)
        assert row.facts.cleanup is CleanupState.SUCCEEDED
        assert provider.standing() == []


async def test_a_keeping_that_was_left_open_is_kept(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    async with open_orchestrator(DyingDriver(provider, "release")) as first:
        await first.environments.add("default", "place", "scripted", {}, policy=Policy.RETAIN_ON_FAILURE)
        lease = await first.acquire(environment="place", workspace=tree)
        with pytest.raises(Died):
            await lease.fail("its tests failed")
    async with open_orchestrator() as second:
        assert (await second.replay(lease.id)).open is Open.KEEP
        row = await settled(second, lease.id)
        assert (row.facts.cleanup, row.facts.error_code) == (CleanupState.RETAINED, "run_failed")
        assert len(provider.standing()) == 1


async def test_a_parking_that_was_left_open_is_no_parking(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    """Only a lease that had one owner all its life parks."""
    async with open_orchestrator(DyingDriver(provider, "release")) as first:
        await first.environments.add("default", "place", "scripted", {}, policy=Policy.REUSE_BY_ENVIRONMENT)
        lease = await first.acquire(environment="place", workspace=tree)
        with pytest.raises(Died):
            await lease.release()
    async with open_orchestrator() as second:
        assert (await second.replay(lease.id)).open is Open.PARK
        assert (await settled(second, lease.id)).facts.cleanup is CleanupState.SUCCEEDED
        assert provider.standing() == []


async def test_a_place_that_may_still_appear_is_waited_for(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    """An accepted create that shows late: the lease fails at once, its cleanup stays owed until it is sure."""
    late = Fault(verb="acquire", what="late", looks=3)
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "acquire", after=True, script=(late,))
    async with open_orchestrator() as second:
        done = await second.replay(lease_id, resume=True)
        assert (done.answer, done.moves, done.done) == (Answer.UNKNOWN, (Move.WAIT,), False)
    async with open_orchestrator() as third:
        done = await third.replay(lease_id)
        assert (done.answer, done.done) == (Answer.UNKNOWN, False)
        row = await settled(third, lease_id)
        assert (row.facts.state, row.facts.cleanup) == (LeaseState.FAILED, CleanupState.PENDING)
        assert row.facts.next_try_at is not None
        done = await third.replay(lease_id)
        assert (done.open, done.done) == (Open.CLEAN, True)
        assert (await settled(third, lease_id)).facts.cleanup is CleanupState.SUCCEEDED
        assert provider.standing() == []


async def test_a_lease_at_targeted(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    """The run's process died: the lease ends; or stays for attach, where that was asked for or said before."""
    for number, (resume, owner_lost) in enumerate([(False, "fail"), (True, "fail"), (False, "wait")]):
        async with open_orchestrator() as first:
            if not number:
                await first.environments.add("default", "place", "scripted", {})
            lease = await first.acquire(environment="place", workspace=tree, owner_lost=OwnerLost(owner_lost))
        async with open_orchestrator() as second:
            done = await second.replay(lease.id, resume=resume)
            left = resume or owner_lost == "wait"
            assert (done.open, done.done) == (Open.TARGETED, True)
            row = await settled(second, lease.id)
            if left:
                assert (done.moves, row.facts.state, row.facts.owner) == ((Move.LEAVE,), LeaseState.TARGETED, None)
                with pytest.raises(NotStuck, match="nobody holds it"):
                    await second.replay(lease.id)
                assert (await second.replay(lease.id, force=True)).done
                row = await settled(second, lease.id)
            assert (row.facts.error_code, row.facts.cleanup) == ("lease_owner_lost", CleanupState.SUCCEEDED)


async def test_a_lease_that_died_waiting_for_its_slot(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    async with open_orchestrator() as holding:
        await holding.environments.add("default", "place", "scripted", {}, max_leases=1)
        held = await holding.acquire(environment="place", workspace=tree)
        async with open_orchestrator() as first:
            with pytest.raises(Died):
                await first.acquire(
                    environment="place", workspace=tree, run_id="r", wait="60s", listener=_die_when_it_waits
                )
        [waiting] = await holding.ledger.of_run("default", "r")
        lease_id = waiting.terms.id
        await held.release()
        async with open_orchestrator() as second:
            plan = await second.replay(lease_id, dry_run=True, resume=True)
            assert (plan.open, plan.moves) == (Open.BETWEEN, (Move.AGAIN,))
            assert (await second.replay(lease_id, resume=True)).done
            row = await settled(second, lease_id)
            assert (row.facts.state, row.facts.owner) == (LeaseState.TARGETED, None)
            await second.release(lease_id)
            assert provider.standing() == []


@pytest.mark.parametrize("archived", [True, False])
async def test_a_lease_whose_wait_is_over_gets_one_look(
    open_orchestrator: Opener, provider: Provider, tree: Path, monkeypatch: pytest.MonkeyPatch, *, archived: bool
) -> None:
    """Its time counts from when it came; and what was archived meanwhile takes it no more."""
    async with open_orchestrator() as holding:
        await holding.environments.add("default", "place", "scripted", {}, max_leases=1)
        held = await holding.acquire(environment="place", workspace=tree)
        request: dict[str, Any] = {"environment": "place", "workspace": tree, "listener": _die_when_it_waits}
        async with open_orchestrator() as first:
            for run_id in ("r", "s"):
                with pytest.raises(Died):
                    await first.acquire(**request, run_id=run_id, wait=0.5)
        async with open_orchestrator() as second:
            await second.environments.find("default", "place")
            [waiting] = await second.ledger.of_run("default", "r")
            async with asyncio.timeout(20):
                while waiting.now <= waiting.waits_until:
                    [waiting] = await second.ledger.of_run("default", "r")
            monkeypatch.delattr(Capacity, "_wait")
            assert (await second.replay(waiting.terms.id, resume=True)).done
            row = await settled(second, waiting.terms.id)
            assert (row.facts.error_code, row.facts.cleanup) == ("lease_conflict", CleanupState.NOT_NEEDED)
            await held.release()
            if archived:
                await holding.archive("place")
            [waiting] = await second.ledger.of_run("default", "s")
            assert (await second.replay(waiting.terms.id, resume=True)).done
            row = await settled(second, waiting.terms.id)
            assert row.facts.error_code == ("lease_conflict" if archived else None)
            assert len(provider.standing()) == (0 if archived else 1)
            if archived:
                assert "was archived" in str(row.facts.error_message)


def _die_when_it_waits(news: News) -> None:
    if "waits for a place" in news.text:
        raise Died(news.text)


async def test_a_dry_run_touches_neither_store_nor_place(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "acquire", after=True)
    driver = DyingDriver(provider)
    async with open_orchestrator(driver) as second:
        before = await second.ledger.find("default", lease_id)
        plan = await second.replay(lease_id, dry_run=True)
        assert (plan.open, plan.answer, plan.moves, plan.done) == (Open.ACQUIRE, None, (), False)
        assert plan.outcome == "found: fail, clean; absent: fail, absolve; unknown: fail, leave pending"
        assert driver.acted == []
        assert (await second.ledger.find("default", lease_id)).facts == before.facts


async def test_what_is_not_stuck_is_refused(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    async with open_orchestrator() as first, open_orchestrator() as second:
        await first.environments.add("default", "place", "scripted", {})
        lease = await first.acquire(environment="place", workspace=tree)
        with pytest.raises(StillHeld, match="is held by process"):
            await second.replay(lease.id)
        with pytest.raises(NoSuch):
            await second.replay("zz")
        await lease.release()
        done = await second.replay(lease.id)
        assert (done.done, done.outcome) == (True, "released, cleanup succeeded: nothing is left to settle")


async def test_a_living_owner_is_robbed_only_by_force(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    async with open_orchestrator() as first, open_orchestrator() as second:
        await first.environments.add("default", "place", "scripted", {})
        lease = await first.acquire(environment="place", workspace=tree)
        assert (await second.replay(lease.id, force=True)).done
        with pytest.raises(LeaseLost):
            await lease.release()
        assert (await settled(second, lease.id)).facts.error_code == "lease_owner_lost"
        assert provider.standing() == []


async def test_two_at_once_settle_it_once(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "realize")
    async with open_orchestrator() as one, open_orchestrator() as two:
        rows = [await each.ledger.find("default", lease_id) for each in (one, two)]
        done: tuple[Replay, Replay] = await asyncio.gather(one._replays.replay(rows[0]), two._replays.replay(rows[1]))  # pyright: ignore[reportPrivateUsage]
        assert sorted(replay.outcome == "another has it now" for replay in done) == [False, True]
        row = await settled(one, lease_id)
        assert (row.facts.state, row.facts.owners, row.facts.cleanup.value) == (LeaseState.FAILED, 2, ENDED)


async def test_all_that_is_stuck_and_one_that_cannot_be(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    """A driver that is gone makes cleanup fail with its name, and stops nobody else."""
    ids = [await left_by_a_death(open_orchestrator, provider, tree, verb) for verb in ("realize",)]
    async with open_orchestrator() as first:
        await first.environments.add("default", "other", "plugin", {"plugin": "gone"})
        with pytest.raises(EnvironmentRunError):
            await first.acquire(environment="other", workspace=tree)
        sick = await left_by_a_death(
            open_orchestrator, provider, tree, "target", script=(Fault(verb="release", call=1),)
        )
    async with open_orchestrator() as second:
        heard: list[str] = []

        def told(replay: Replay) -> None:
            heard.append(replay.lease_id)
            raise OSError("the terminal is gone")

        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        done = await second.replay_stuck(told=told)
        assert {replay.lease_id: replay.done for replay in done} == dict.fromkeys([*ids, sick], True)
        assert sorted(heard) == sorted([*ids, sick])
        assert await second.replay_stuck() == []


async def test_values_that_died_with_their_process_are_not_guessed(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "realize", env={"TOKEN": "secret"})
    async with open_orchestrator() as second:
        done = await second.replay(lease_id, resume=True)
        assert not done.done
        assert done.outcome.startswith("not resumed: the values of TOKEN were its process's own, and are lost")
    async with open_orchestrator() as third:
        assert (await third.replay(lease_id)).done
        assert provider.standing() == []


async def test_what_cannot_be_resumed_is_ended_by_the_process_that_tried(
    open_orchestrator: Opener, provider: Provider, tree: Path
) -> None:
    """Only the driver's answer says that the command would have to be run again, without its values."""
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "execute", env={"TOKEN": "secret"})
    async with open_orchestrator() as second:
        done = await second.replay(lease_id, resume=True)
        assert (done.answer, done.done) == (Answer.UNKNOWN, False)
        assert done.outcome.startswith("not resumed: the values of TOKEN")
        done = await second.replay(lease_id)
        assert (done.moves, done.done) == ((Move.FAIL, Move.CLEAN), True)
        assert (await settled(second, lease_id)).facts.error_code == "lease_owner_lost"
        assert provider.standing() == []


async def test_who_waited_for_a_place_may_give_it_up(open_orchestrator: Opener, provider: Provider, tree: Path) -> None:
    """What was asked last counts, also in the process that waited."""
    late = Fault(verb="acquire", what="late", looks=3)
    lease_id = await left_by_a_death(open_orchestrator, provider, tree, "acquire", after=True, script=(late,))
    async with open_orchestrator() as second:
        assert (await second.replay(lease_id, resume=True)).moves == (Move.WAIT,)
        done = await second.replay(lease_id)
        assert (done.answer, done.moves) == (Answer.UNKNOWN, (Move.FAIL, Move.LEAVE_PENDING))
        row = await settled(second, lease_id)
        assert (row.facts.state, row.facts.cleanup) == (LeaseState.FAILED, CleanupState.PENDING)
