"""A lease's life through the engine: six commits, each journal row a row of the tables."""

# a lease is looked at after its block, which raised on purpose
# pyright: reportPossiblyUnboundVariable=false

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.errors import Unusable
from leasehold.drivers.scripted import Fault, Provider, Reply, ScriptedDriver
from leasehold.drivers.scripted.target import ScriptedTarget
from leasehold.orchestrator import EnvironmentRunError, Lease, LeaseLost, News, Orchestrator, StoreError, WrongUsage
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, ErrorCode, IllegalTransition, LeaseState, Status


async def environment(orchestrator: Orchestrator, *faults: Fault, policy: str = "ephemeral", **config: Any) -> str:
    """An environment of the scripted driver; gives its name."""
    from leasehold.states import Policy

    config = {**config, "script": [fault.model_dump() for fault in faults]}
    await orchestrator.environments.add("default", "place", "scripted", config, policy=Policy(policy))
    return "place"


def refuse_one_write(orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store does not take the next write."""
    forward = orchestrator.store.writer.write

    def fails(write: Write) -> "asyncio.Future[int]":
        monkeypatch.setattr(orchestrator.store.writer, "write", forward)
        raise StoreError("the disk of the store is full")

    monkeypatch.setattr(orchestrator.store.writer, "write", fails)


async def content(orchestrator: Orchestrator) -> None:
    """verify finds nothing wrong."""
    assert [finding async for finding in verify(orchestrator.store)] == []


async def rows(lease: Any) -> list[str]:
    return [f"{entry.event} {entry.kind.value}" for entry in await lease.journal()]


async def test_the_first_leases_may_come_all_at_once(orchestrator: Orchestrator, tree: Path) -> None:
    name = await environment(orchestrator)
    leases = await asyncio.gather(*(orchestrator.acquire(environment=name, workspace=tree) for _ in range(16)))
    assert len({lease.facts.owner for lease in leases}) == 1
    await asyncio.gather(*(lease.release() for lease in leases))
    await content(orchestrator)


async def test_a_life_is_six_commits(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    commits: list[list[str]] = []
    forward = orchestrator.store.writer.write

    def spy(write: Write) -> "asyncio.Future[int]":
        commits.append([f"{entry.event} {entry.kind.value}" for entry in write.entries])
        return forward(write)

    monkeypatch.setattr(orchestrator.store.writer, "write", spy)
    name = await environment(orchestrator)
    async with orchestrator.lease(environment=name, workspace=tree, provision="make") as lease:
        assert lease.state is LeaseState.TARGETED
        assert len(provider.standing()) == 1
        assert (await lease.exec("true")).ok
    assert commits == [
        ["resolve done", "acquire begun", "owe done"],
        ["acquire done", "realize begun"],
        ["realize done", "provision begun"],
        ["provision done", "target done"],
        ["release done", "clean begun"],
        ["clean done"],
    ]
    assert (lease.state, lease.cleanup, lease.status) == (
        LeaseState.RELEASED,
        CleanupState.SUCCEEDED,
        Status.RELEASED,
    )
    assert provider.standing() == []
    await content(orchestrator)


async def test_without_a_provision_command_the_journal_says_so(orchestrator: Orchestrator, tree: Path) -> None:
    async with orchestrator.lease(environment=await environment(orchestrator), workspace=tree) as lease:
        journal = await lease.journal()
    passed = [entry for entry in journal if entry.event == "provision"]
    assert [(entry.kind.value, entry.details["passed_over"]) for entry in passed] == [("done", "none")]
    await content(orchestrator)


async def test_an_exception_in_the_block_fails_the_lease(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator)
    with pytest.raises(ZeroDivisionError):
        async with orchestrator.lease(environment=name, workspace=tree) as lease:
            raise ZeroDivisionError("a bug of the caller's")
    assert lease.error_code == ErrorCode.RUN_FAILED
    assert "a bug of the caller's" in (lease.facts.error_message or "")
    assert lease.cleanup is CleanupState.SUCCEEDED
    assert provider.standing() == []


@pytest.mark.parametrize("verb", ["acquire", "realize", "target"])
async def test_a_cancelled_caller_tears_no_step(
    orchestrator: Orchestrator, driver: ScriptedDriver, provider: Provider, tree: Path, verb: Any
) -> None:
    name = await environment(orchestrator)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait_there(_: object) -> None:
        reached.set()
        await go_on.wait()

    driver.at(verb, "before", wait_there)
    caller = asyncio.ensure_future(orchestrator.acquire(environment=name, workspace=tree))
    await asyncio.wait_for(reached.wait(), 10)
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    [row] = await orchestrator.ledger.listing("default")
    assert row.facts.error_code == ErrorCode.LEASE_CANCELLED
    assert row.status is Status.EXPIRED
    assert row.facts.pending_event is None
    assert provider.standing() == []
    await content(orchestrator)


async def test_a_cancelled_block_fails_with_lease_cancelled(
    orchestrator: Orchestrator, provider: Provider, tree: Path
) -> None:
    name = await environment(orchestrator, results=[Reply(match="forever", hang=True).model_dump()])
    running = asyncio.Event()

    async def block() -> None:
        async with orchestrator.lease(environment=name, workspace=tree) as lease:
            running.set()
            await lease.exec("forever")

    caller = asyncio.ensure_future(block())
    await asyncio.wait_for(running.wait(), 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    [row] = await orchestrator.ledger.listing("default")
    assert row.facts.error_code == ErrorCode.LEASE_CANCELLED
    assert provider.standing() == []
    await content(orchestrator)


async def test_a_driver_that_hangs_is_cut_off_at_the_deadline(
    open_orchestrator: Any, tree: Path, provider: Provider
) -> None:
    async with open_orchestrator(acquire_seconds=0.2) as orchestrator:
        name = await environment(orchestrator, Fault(verb="acquire", what="hang"))
        with pytest.raises(EnvironmentRunError) as caught:
            await orchestrator.acquire(environment=name, workspace=tree)
        assert caught.value.code is ErrorCode.LEASE_ACQUIRE_FAILED
        await content(orchestrator)


async def test_a_failing_cleanup_is_recorded_and_never_hides_the_first_error(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    faults = (
        Fault(verb="realize", error="Unusable", message="no room"),
        Fault(verb="release", call=1, message="not now"),
        Fault(verb="release", call=2, message="still not"),
    )
    name = await environment(orchestrator, *faults)
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree)
    assert caught.value.code is ErrorCode.WORKSPACE_REALIZATION_FAILED
    assert caught.value.message == 'Failed to realize workspace for environment "place" (scripted): no room'
    lease_id = caught.value.lease_id or ""
    row = await orchestrator.ledger.find("default", lease_id)
    assert row.facts.cleanup is CleanupState.FAILED
    assert row.facts.cleanup_error_code == ErrorCode.LEASE_RELEASE_FAILED
    assert row.status is Status.PENDING_CLEANUP
    await orchestrator.release(lease_id)
    row = await orchestrator.ledger.find("default", lease_id)
    assert row.facts.cleanup_error_code == ErrorCode.LEASE_CLEANUP_FAILED
    assert row.facts.error_code == ErrorCode.WORKSPACE_REALIZATION_FAILED
    await orchestrator.release(lease_id)
    row = await orchestrator.ledger.find("default", lease_id)
    assert row.facts.cleanup is CleanupState.SUCCEEDED
    assert provider.standing() == []
    await content(orchestrator)


async def test_an_acquire_that_failed_after_its_effect_leaves_nothing(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator, Fault(verb="acquire", when="after", error="Unavailable"))
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree)
    assert caught.value.code is ErrorCode.LEASE_ACQUIRE_FAILED
    assert provider.standing() == []
    row = await orchestrator.ledger.find("default", caught.value.lease_id or "")
    assert row.facts.cleanup is CleanupState.SUCCEEDED
    await content(orchestrator)


async def test_an_acquire_that_made_nothing_is_absolved(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator, Fault(verb="acquire", error="Refused", message="quota"))
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree)
    row = await orchestrator.ledger.find("default", caught.value.lease_id or "")
    assert row.facts.cleanup is CleanupState.NOT_NEEDED
    await content(orchestrator)


async def test_a_provider_that_cannot_say_leaves_the_cleanup_owed(orchestrator: Orchestrator, tree: Path) -> None:
    faults = (Fault(verb="acquire", error="TimedOut"), Fault(verb="recover", what="lie", answer="unknown", call=1))
    name = await environment(orchestrator, *faults)
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree)
    lease_id = caught.value.lease_id or ""
    row = await orchestrator.ledger.find("default", lease_id)
    assert (row.facts.state, row.facts.cleanup) == (LeaseState.FAILED, CleanupState.PENDING)
    assert row.stuck is not None
    await orchestrator.release(lease_id)
    row = await orchestrator.ledger.find("default", lease_id)
    assert row.facts.cleanup is CleanupState.NOT_NEEDED
    await content(orchestrator)


async def test_keep_on_failure_retains_and_release_ends_it(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator, policy="retain_on_failure")
    lease = await orchestrator.acquire(environment=name, workspace=tree, keep_for="1h")
    await lease.fail("exit code 3")
    assert (lease.status, lease.cleanup) == (Status.RETAINED, CleanupState.RETAINED)
    assert lease.facts.keep_until is not None
    assert len(provider.standing()) == 1
    await orchestrator.release(lease.id)
    row = await orchestrator.ledger.find("default", lease.id)
    assert row.facts.cleanup is CleanupState.SUCCEEDED
    assert provider.standing() == []
    await content(orchestrator)


async def test_forget_ends_our_care_with_who_and_why(orchestrator: Orchestrator, tree: Path) -> None:
    name = await environment(orchestrator, Fault(verb="release", message="the host burned down"))
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    await lease.release()
    assert lease.cleanup is CleanupState.FAILED
    await orchestrator.forget(lease.id, "the host is gone for good", who="ops")
    last = (await lease.journal())[-1]
    assert (last.event, last.dest, last.details["by"]) == ("forget", "forgotten", "ops")
    await content(orchestrator)


async def test_detach_and_attach(open_orchestrator: Any, tree: Path) -> None:
    async with open_orchestrator() as first:
        name = await environment(first)
        lease = await first.acquire(environment=name, workspace=tree)
        epoch = lease.facts.epoch
        await lease.detach()
        with pytest.raises(LeaseLost):
            await lease.exec("true")
    async with open_orchestrator() as second:
        [row] = await second.ledger.listing("default")
        assert (row.facts.owner, row.stuck) == (None, None)
        again = await second.attach(row.terms.id[:12])
        assert again.facts.epoch > epoch
        assert (await again.exec("true")).ok
        await again.release()
        assert again.state is LeaseState.RELEASED
        await content(second)


async def test_a_lost_owner_is_taken_over_and_everything_is_cleaned_up(
    open_orchestrator: Any, tree: Path, provider: Provider, driver: ScriptedDriver
) -> None:
    async with open_orchestrator(driver, claim_seconds=0.3) as first:
        name = await environment(first)
        lease = await first.acquire(environment=name, workspace=tree)
    # its process ended without a word to the lease
    async with open_orchestrator() as second:
        row = await second.ledger.find("default", lease.id)
        assert row.stuck is not None
        await second.fail(lease.id, "it was stuck")
        row = await second.ledger.find("default", lease.id)
        assert row.facts.error_code == ErrorCode.LEASE_OWNER_LOST
        assert row.facts.cleanup is CleanupState.SUCCEEDED
        assert provider.standing() == []
        await content(second)


async def test_the_living_owner_ends_its_own_expired_lease(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator, results=[Reply(match="forever", hang=True).model_dump()])
    with pytest.raises(EnvironmentRunError) as caught:
        async with orchestrator.lease(environment=name, workspace=tree, ttl=0.3) as lease:
            await lease.exec("forever")
    assert caught.value.code is ErrorCode.LEASE_EXPIRED
    assert lease.error_code == ErrorCode.LEASE_EXPIRED
    assert lease.status is Status.EXPIRED
    assert provider.standing() == []
    await content(orchestrator)


async def test_a_living_owner_is_asked_not_robbed(open_orchestrator: Any, tree: Path, provider: Provider) -> None:
    async with open_orchestrator(claim_seconds=0.6) as first, open_orchestrator() as second:
        name = await environment(first, results=[Reply(match="forever", hang=True).model_dump()])
        lease = await first.acquire(environment=name, workspace=tree)
        command = asyncio.ensure_future(lease.exec("forever"))
        assert await second.fail(lease.id, "an operator says so") is None
        with pytest.raises(EnvironmentRunError):
            await asyncio.wait_for(command, 10)
        async with asyncio.timeout(10), lease.lock:
            assert lease.error_code == ErrorCode.RUN_FAILED
        assert lease.facts.error_message == "an operator says so"
        await content(second)


async def test_two_runs_never_share_a_place_for_one(orchestrator: Orchestrator, tree: Path) -> None:
    name = await environment(orchestrator, modes=["in_place"], exclusive_modes=["in_place"])
    first = await orchestrator.acquire(environment=name, workspace=tree, run_id="one", issue_id="I-1")
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree, run_id="two")
    assert caught.value.code is ErrorCode.LEASE_CONFLICT
    assert first.id in caught.value.message
    assert "run one" in caught.value.message
    assert "I-1" in caught.value.message
    await first.release()
    second = await orchestrator.acquire(environment=name, workspace=tree, run_id="two")
    await second.release()
    await content(orchestrator)


async def test_a_conflict_names_nothing_of_another_company(orchestrator: Orchestrator, tree: Path) -> None:
    config = {"modes": ["in_place"], "exclusive_modes": ["in_place"]}
    for company in ("a", "b"):
        await orchestrator.environments.add(company, "place", "scripted", config)
    held = await orchestrator.acquire(company_id="a", environment="place", workspace=tree, run_id="secret-run")
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(company_id="b", environment="place", workspace=tree)
    assert "secret-run" not in caught.value.message
    assert held.id not in caught.value.message
    await held.release()


async def test_a_dead_holder_is_failed_and_cleaned_first(open_orchestrator: Any, tree: Path) -> None:
    async with open_orchestrator() as first:
        name = await environment(first, modes=["in_place"], exclusive_modes=["in_place"])
        dead = await first.acquire(environment=name, workspace=tree, run_id="dead")
    async with open_orchestrator() as second:
        lease = await second.acquire(environment=name, workspace=tree, run_id="living")
        row = await second.ledger.find("default", dead.id)
        assert row.facts.error_code == ErrorCode.LEASE_OWNER_LOST
        await lease.release()
        await content(second)


async def test_the_same_run_gets_its_own_lease_again(open_orchestrator: Any, tree: Path) -> None:
    async with open_orchestrator() as first:
        name = await environment(first, modes=["in_place"], exclusive_modes=["in_place"])
        lease = await first.acquire(environment=name, workspace=tree, run_id="same")
        await lease.detach()
    async with open_orchestrator() as second:
        again = await second.acquire(environment=name, workspace=tree, run_id="same")
        assert again.id == lease.id
        await again.release()


async def test_an_illegal_event_raises_and_changes_nothing(orchestrator: Orchestrator, tree: Path) -> None:
    lease = await orchestrator.acquire(environment=await environment(orchestrator), workspace=tree)
    await lease.release()
    before = await rows(lease)
    with pytest.raises(IllegalTransition) as caught:
        await lease.extend("5m")
    assert caught.value.state == "released"
    with pytest.raises(IllegalTransition):
        await orchestrator.attach(lease.id)
    await lease.release()
    await lease.fail("too late")
    assert await rows(lease) == before


async def test_a_workspace_whose_name_is_no_text_is_leased(orchestrator: Orchestrator, tree: Path) -> None:
    name = await environment(orchestrator)
    odd = tree / os.fsdecode(b"\xff\xfe")
    odd.mkdir()
    async with orchestrator.lease(environment=name, workspace=odd) as lease:
        assert lease.state is LeaseState.TARGETED
    await content(orchestrator)


async def test_an_id_that_is_no_text_is_wrong_usage(orchestrator: Orchestrator, tree: Path) -> None:
    with pytest.raises(WrongUsage, match="no text"):
        await orchestrator.acquire(workspace=tree, run_id=os.fsdecode(b"run\xff"))
    with pytest.raises(WrongUsage, match="no text"):
        await orchestrator.acquire(workspace=tree, run_id="run\0")
    assert await orchestrator.ledger.listing("default") == []


async def test_a_caller_cancelled_at_any_moment_leaves_a_store_that_is_right(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator)
    for turns in range(40):
        task = asyncio.create_task(orchestrator.acquire(environment=name, workspace=tree))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not task.cancel():
            await (await task).release()  # it was up already
            continue
        with pytest.raises(asyncio.CancelledError):
            await task
    assert provider.standing() == []
    await content(orchestrator)


async def test_a_failure_whose_words_are_no_text_is_recorded(
    orchestrator: Orchestrator, driver: ScriptedDriver, tree: Path
) -> None:
    async def fail(_: object) -> None:
        raise Unusable(os.fsdecode(b"a NUL \0 and a byte \xff"))

    driver.at("realize", "before", fail)
    name = await environment(orchestrator)
    with pytest.raises(EnvironmentRunError) as caught:
        await orchestrator.acquire(environment=name, workspace=tree)
    assert caught.value.message.endswith("a NUL \ufffd and a byte \\udcff")
    row = await orchestrator.ledger.find("default", caught.value.lease_id or "")
    assert row.facts.error_message == caught.value.message
    await content(orchestrator)


async def test_a_release_that_is_asked_for_brings_changes_back(
    open_orchestrator: Any, orchestrator: Orchestrator, tree: Path
) -> None:
    """An operator elsewhere ends the commands of a held lease, not its sync-back."""
    name = await environment(orchestrator, syncs_back=True, results=[Reply(match="sleep", hang=True).model_dump()])
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    running = asyncio.create_task(lease.exec("sleep", "600"))
    async with asyncio.timeout(30):
        while not lease.commands:
            await asyncio.wait({running}, timeout=0.01)
    assert await orchestrator.release(lease.id) is None
    with pytest.raises(EnvironmentRunError, match="an operator released it"):
        await running
    assert lease.state is LeaseState.RELEASED
    assert "sync_back done" in await rows(lease)


async def test_an_end_that_the_store_did_not_take_can_be_ended_again(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await environment(orchestrator)
    for end in ("release", "fail"):
        lease = await orchestrator.acquire(environment=name, workspace=tree)
        refuse_one_write(orchestrator, monkeypatch)
        with pytest.raises(StoreError):
            await (lease.release() if end == "release" else lease.fail("its tests failed"))
        assert lease.state is LeaseState.TARGETED
        await lease.release()
        assert (lease.state, lease.cleanup) == (LeaseState.RELEASED, CleanupState.SUCCEEDED)
    await content(orchestrator)


async def test_a_caller_that_is_cancelled_in_a_commit_keeps_its_lease(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await environment(orchestrator)
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    version, forward = lease.facts.version, orchestrator.store.writer.write

    def cancels(write: Write) -> "asyncio.Future[int]":
        monkeypatch.setattr(orchestrator.store.writer, "write", forward)
        extending.cancel()
        return forward(write)

    monkeypatch.setattr(orchestrator.store.writer, "write", cancels)
    extending = asyncio.create_task(lease.extend("2h"))
    with pytest.raises(asyncio.CancelledError):
        await extending
    assert lease.facts.version == version + 1, "it was committed, and its process knows"
    await lease.release()
    assert lease.state is LeaseState.RELEASED
    await content(orchestrator)


async def test_a_store_that_fails_while_a_lease_waits_leaves_no_ghost_in_the_line(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await orchestrator.environments.add("default", "one", "scripted", {}, max_leases=1)
    held = await orchestrator.acquire(environment="one", workspace=tree)
    line, calls = orchestrator.ledger.line, 0

    async def fails(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StoreError("the server is gone")
        return await line(*arguments)

    monkeypatch.setattr(orchestrator.ledger, "line", fails)
    with pytest.raises(StoreError):
        await orchestrator.acquire(environment="one", workspace=tree, wait="60s", run_id="ghost")
    [ghost] = await orchestrator.ledger.of_run("default", "ghost")
    assert (ghost.facts.state, ghost.facts.error_code) == (LeaseState.FAILED, "lease_cancelled")
    await held.release()
    await (await orchestrator.acquire(environment="one", workspace=tree)).release()


async def test_a_keeping_that_failed_is_tried_until_it_holds(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    """A place whose changes are only there is not destroyed because its host was away for a moment."""
    sick = Fault(verb="release", call=1, error="Unavailable")
    name = await environment(orchestrator, sick, policy="retain_on_failure")
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    await lease.fail("its tests failed")
    assert lease.cleanup is CleanupState.FAILED
    assert (await orchestrator.replay(lease.id)).done
    row = await orchestrator.ledger.find("default", lease.id)
    assert row.facts.cleanup is CleanupState.RETAINED
    assert len(provider.standing()) == 1
    await orchestrator.release(lease.id)
    assert provider.standing() == []
    await content(orchestrator)


async def test_where_nothing_is_left_to_keep_the_rest_is_ended_at_once(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    name = await environment(orchestrator, Fault(verb="release", call=1, error="Gone"), policy="retain_on_failure")
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    await lease.fail("its tests failed")
    assert (lease.cleanup, lease.error_code) == (CleanupState.SUCCEEDED, "run_failed")
    assert provider.standing() == []
    await content(orchestrator)


async def test_no_lease_is_without_an_end(orchestrator: Orchestrator, tree: Path) -> None:
    """Pain: 6,104 of 6,104 leases had no expiry."""
    name = await environment(orchestrator)
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    day = 24 * 3600 * 1_000_000
    assert lease.facts.expires_at is not None
    assert 0 <= lease.facts.expires_at - (lease.facts.created_at or 0) - day < 60_000_000
    with pytest.raises(EnvironmentRunError):
        await orchestrator.acquire(environment="nowhere", workspace=tree, run_id="r")
    [failed] = await orchestrator.ledger.of_run("default", "r")
    assert failed.facts.expires_at is not None
    await lease.release()


async def test_a_lease_ends_under_what_it_was_made_with(
    open_orchestrator: Any, orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    """Pain: the environment was deleted or reconfigured while leased, so the lease could never be released."""
    name = await environment(orchestrator)
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    await lease.detach()
    table = orchestrator.store.schema.environment
    broken = table.update().values(config='{"root": 7}', driver="nowhere", status="archived")
    await orchestrator.store.writer.job(lambda connection: connection.execute(broken) and None)
    async with open_orchestrator() as another:
        ended = await another.release(lease.id)
        assert ended is not None
        assert (ended.state, ended.cleanup) == (LeaseState.RELEASED, CleanupState.SUCCEEDED)
    assert provider.standing() == []


async def test_a_listener_that_fails_stops_nothing(orchestrator: Orchestrator, tree: Path, provider: Provider) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def listener(news: News) -> None:
        raise OSError(f"the terminal is gone at {news.event}")

    name = await environment(orchestrator)
    async with orchestrator.lease(environment=name, workspace=tree, provision="make", listener=listener) as lease:
        pass
    assert (lease.state, provider.standing()) == (LeaseState.RELEASED, [])
    assert "the terminal is gone at acquire" in [str(each["exception"]) for each in told]
    await content(orchestrator)


async def test_a_code_that_no_run_can_fail_with_is_refused_and_the_lease_goes_on(
    orchestrator: Orchestrator, tree: Path
) -> None:
    lease = await orchestrator.acquire(environment=await environment(orchestrator), workspace=tree)
    with pytest.raises(IllegalTransition):
        await lease.fail("no", code=ErrorCode.LEASE_ACQUIRE_FAILED)
    await lease.release()
    assert (lease.state, lease.cleanup) == (LeaseState.RELEASED, CleanupState.SUCCEEDED)
    await content(orchestrator)


async def test_another_lease_that_is_lost_in_the_block_ends_this_one_too(
    orchestrator: Orchestrator, tree: Path, provider: Provider
) -> None:
    with pytest.raises(LeaseLost):
        async with orchestrator.lease(environment=await environment(orchestrator), workspace=tree) as lease:
            raise LeaseLost("another", "it was taken over")
    assert (lease.error_code, lease.cleanup) == ("run_failed", CleanupState.SUCCEEDED)
    assert provider.standing() == []


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_an_end_of_a_block_that_the_store_did_not_take_is_tried_again(
    open_orchestrator: Any,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: Provider,
    eventually: Callable[[Callable[[], bool]], Awaitable[None]],
    ends: str,
) -> None:
    async with open_orchestrator(claim_seconds=1.0) as orchestrator:
        name = await environment(orchestrator)
        leases: list[Lease] = []

        async def work() -> None:
            async with orchestrator.lease(environment=name, workspace=tree) as lease:
                leases.append(lease)
                refuse_one_write(orchestrator, monkeypatch)
                if ends == "badly":
                    raise ValueError("the run's own")

        with pytest.raises(StoreError if ends == "well" else ValueError):
            await work()
        [lease] = leases
        await eventually(lambda: not lease.cleanup.open)
        assert lease.error_code == (None if ends == "well" else "run_failed")
        assert provider.standing() == []
        await content(orchestrator)


async def test_a_release_that_the_store_did_not_take_after_the_sync_back_can_be_repeated(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await environment(orchestrator, syncs_back=True)
    lease = await orchestrator.acquire(environment=name, workspace=tree, mode="copy", sync_back="on-success")
    forward = orchestrator.store.writer.write

    def fails(write: Write) -> "asyncio.Future[int]":
        if write.entries[-1].event == "sync_back":
            return forward(write)
        monkeypatch.setattr(orchestrator.store.writer, "write", forward)
        raise StoreError("the disk of the store is full")

    monkeypatch.setattr(orchestrator.store.writer, "write", fails)
    with pytest.raises(StoreError):
        await lease.release()
    await lease.release()
    assert (lease.state, lease.cleanup) == (LeaseState.RELEASED, CleanupState.SUCCEEDED)
    await content(orchestrator)


async def test_of_an_owner_that_lapsed_every_lease_is_lost(orchestrator: Orchestrator, tree: Path) -> None:
    name = await environment(orchestrator)
    lease = await orchestrator.acquire(environment=name, workspace=tree)
    orchestrator._owner._valid_until = 0.0  # pyright: ignore[reportPrivateUsage]  # its claim time is over
    await orchestrator.acquire(environment=name, workspace=tree, share=True)
    for use in (lease.release(), lease.fail("no"), lease.detach(), lease.extend(60)):
        with pytest.raises(LeaseLost, match="could not renew itself"):
            await use


async def test_a_detach_that_the_store_did_not_take_leaves_the_lease_usable(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await orchestrator.acquire(environment=await environment(orchestrator), workspace=tree)
    refuse_one_write(orchestrator, monkeypatch)
    with pytest.raises(StoreError):
        await lease.detach()
    assert (await lease.exec("true")).ok
    await lease.release()
    assert lease.state is LeaseState.RELEASED
    await content(orchestrator)


async def test_who_is_cancelled_while_it_closes_closes_all_the_same(
    open_orchestrator: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing, all_closing, go_on = list[str](), asyncio.Event(), asyncio.Event()

    class Slow(ScriptedTarget):
        async def close(self) -> None:
            closing.append("a target")
            if len(closing) == 4:
                all_closing.set()  # none waits for another
            await go_on.wait()
            await super().close()

    monkeypatch.setattr("leasehold.drivers.scripted.driver.ScriptedTarget", Slow)
    before = {thread.name for thread in threading.enumerate()}
    taken = asyncio.Event()

    async def hold() -> None:
        async with open_orchestrator() as orchestrator:
            name = await environment(orchestrator)
            for number in range(4):
                (tree / str(number)).mkdir()
                await orchestrator.acquire(environment=name, workspace=tree / str(number), run_id=f"run{number}")
            taken.set()

    holding = asyncio.create_task(hold())
    await asyncio.wait_for(taken.wait(), 30)
    await asyncio.wait_for(all_closing.wait(), 30)
    holding.cancel()
    await asyncio.sleep(0)
    assert not holding.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(holding, 30)
    tasks = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
    assert "leasehold-owner" not in tasks
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("leasehold")} <= before
    async with open_orchestrator() as second:
        assert [row.stuck for row in await second.ledger.listing("default")] == ["owner_lost"] * 4


async def test_an_end_from_elsewhere_cuts_off_whatever_uses_the_place(
    orchestrator: Orchestrator, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def put(self: ScriptedTarget, source: Path, path: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ScriptedTarget, "put", put)
    lease = await orchestrator.acquire(environment=await environment(orchestrator), workspace=tree)
    putting = asyncio.create_task(lease.put(tree, "there"))
    await begun.wait()
    lease.lose("another has it")
    with pytest.raises(LeaseLost, match="another has it"):
        await asyncio.wait_for(putting, 30)
