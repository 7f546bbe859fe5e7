"""The lives whose every commit and verb is a crash point, and the recovery after it: each in a process of its own."""

import asyncio
import json
import pickle
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bugs import BUGS
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, Settings
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupEvent, CleanupState, Entry, ErrorCode, Facts, Kind, LeaseState, step
from recorder import Breaks, RecordedDriver, Recorder
from scenes import FAILING, SCENES, marker
from sqlalchemy import Connection, update

COMPANY = "default"
CLAIM_SECONDS = 60.0  # no renewal falls into so short a life: its commits are the same each time
_DUE = (CleanupState.PENDING, CleanupState.FAILED)
_KEPT = (CleanupState.PARKED, CleanupState.RETAINED)


@dataclass(frozen=True)
class Case:
    """One life in a folder, the point at which its process is killed (none: it is not), and how it is replayed."""

    folder: Path
    url: str
    scene: str
    path: str
    kill: int | str | None = None
    resume: bool = False
    bug: str | None = None


@dataclass
class Verdict:
    """What a recovery found. ``wrong`` is empty where all is as it must be; ``codes`` are the first errors."""

    wrong: list[str] = field(default_factory=list[str])
    codes: dict[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True)
class Walk:
    """One way through the tables: its first code, and the verbs that answer with an error on it."""

    steps: Callable[[Orchestrator, dict[str, Any], Callable[[], str]], Awaitable[None]]
    code: ErrorCode | None = None
    breaks: Breaks = field(default_factory=dict[tuple[str, str], int])


async def _succeeds(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    async with orchestrator.lease(**given, provision="echo made >> provisioned.txt") as lease:
        assert (await lease.exec(command(), shell=True)).ok


async def _syncs_back(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    given["sync_back"] = "always"
    async with orchestrator.lease(**given) as lease:
        assert (await lease.exec(command(), shell=True)).ok


async def _fails_to_provision(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    with suppress(EnvironmentRunError):
        await orchestrator.acquire(**given, provision=FAILING)


async def _fails_and_is_kept(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    lease = await orchestrator.acquire(**given, policy="retain_on_failure")
    assert (await lease.exec(command(), shell=True)).ok
    await lease.fail("the run says so")


async def _is_handed_over(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    reused: dict[str, Any] = {**given, "policy": "reuse_by_environment", "provision": "echo made >> provisioned.txt"}
    for run in ("first", "second"):
        reused["run_id"] = run
        lease = await orchestrator.acquire(**reused)
        await lease.release()


async def _is_cancelled(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    async def run() -> None:
        async with orchestrator.lease(**given) as lease:
            assert (await lease.exec(command(), shell=True)).ok
            running.cancel()
            await asyncio.sleep(0)

    running = asyncio.ensure_future(run())
    await asyncio.wait([running])
    assert running.cancelled()


async def _expires(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    lease = await orchestrator.acquire(**given)
    assert (await lease.exec(command(), shell=True)).ok
    await lease.extend(0.01)
    end = time.monotonic() + 20
    while lease.facts.state.live or lease.facts.pending_event is not None:
        assert time.monotonic() < end, "its owner does not end it"
        await asyncio.sleep(0.005)


async def _is_held(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    lease = await orchestrator.acquire(**given)
    await lease.detach()
    again = await orchestrator.attach(lease.id)
    assert (await again.exec(command(), shell=True)).ok
    await again.release()


async def _gets_no_place(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    with suppress(EnvironmentRunError):
        await orchestrator.acquire(**given)


async def _is_cleaned_later(orchestrator: Orchestrator, given: dict[str, Any], command: Callable[[], str]) -> None:
    lease = await orchestrator.acquire(**given)
    await lease.release()
    assert lease.facts.cleanup is CleanupState.FAILED
    await orchestrator.release(lease.id)


PATHS = {
    "it succeeds": Walk(_succeeds),
    "it brings its changes back": Walk(_syncs_back),
    "it fails to provision": Walk(_fails_to_provision, ErrorCode.WORKSPACE_REALIZATION_FAILED),
    "it fails, and its place is kept": Walk(_fails_and_is_kept, ErrorCode.RUN_FAILED),
    "its place is parked and handed over": Walk(_is_handed_over),
    "its caller is cancelled": Walk(_is_cancelled, ErrorCode.LEASE_CANCELLED),
    "it expires": Walk(_expires, ErrorCode.LEASE_EXPIRED),
    "it is let go and taken up again": Walk(_is_held),
    "acquire is refused": Walk(_gets_no_place, ErrorCode.LEASE_ACQUIRE_FAILED, {("acquire", "before"): 1}),
    "acquire makes a place and answers with an error": Walk(
        _gets_no_place, ErrorCode.LEASE_ACQUIRE_FAILED, {("acquire", "after"): 1}
    ),
    "its first cleanup fails": Walk(_is_cleaned_later, None, {("release", "before"): 1}),
}


def live(case: Case) -> None:
    """Live one life. What goes wrong besides the kill is written to ``trouble``."""
    _noting(case, _live(case))


def recover(case: Case) -> None:
    """Be the other process: find what is stuck, end it, end what was kept, and write the ``verdict``."""
    _noting(case, _recover(case))


def verdict(case: Case) -> Verdict:
    """What the last recovery found."""
    return Verdict(**json.loads((case.folder / "verdict").read_text()))


def journals(case: Case) -> list[list[Entry]]:
    """The journals of the case's leases, as they were once it was recovered."""
    found: list[list[Entry]] = pickle.loads((case.folder / "journals").read_bytes())
    return found


def _noting(case: Case, work: Any) -> None:
    if case.bug is not None:
        BUGS[case.bug][1]()
    SCENES[case.scene].enter(case.folder)
    try:
        asyncio.run(work)
    except BaseException:
        (case.folder / "trouble").write_text(traceback.format_exc())
        raise


def _opened(case: Case, recorder: Recorder) -> Any:
    settings = Settings(state_folder=case.folder / "state", claim_seconds=CLAIM_SECONDS)
    driver: Any = RecordedDriver(SCENES[case.scene].driver(), recorder)
    return Orchestrator.open(case.url, drivers=[driver], settings=settings)


async def _live(case: Case) -> None:
    scene, path = SCENES[case.scene], PATHS[case.path]
    recorder = Recorder(case.folder / "log", case.kill, path.breaks)
    async with _opened(case, recorder) as orchestrator:
        name = scene.name.split(" ")[0]
        await orchestrator.environments.add(COMPANY, "place", name, scene.config(case.folder))
        recorder.install(orchestrator)
        given = {"environment": "place", "workspace": scene.workspace(case.folder), "mode": scene.mode, "run_id": "run"}
        given["sync_back"] = "never"  # the drivers' own defaults differ, and the steps shall not
        await path.steps(orchestrator, given, lambda: f"setsid sleep {marker(case.folder)} & echo out > made.txt")


async def _recover(case: Case) -> None:
    found = Verdict()
    recorder = Recorder(case.folder / "recovery log", case.kill)
    async with _opened(case, recorder) as orchestrator:
        await _claims_pass(orchestrator)
        recorder.install(orchestrator)
        await _verified(orchestrator, "after the crash", found)
        before = await _rows(orchestrator)
        open_ = {row.terms.id for row in before if _unsettled(row.facts)}
        stuck = {row.terms.id for row in await orchestrator.ledger.listing(COMPANY, stuck=True)}
        if open_ != stuck:
            found.wrong.append(f"open are {sorted(open_)}, listed as stuck {sorted(stuck)}")
        replayed = await orchestrator.replay_stuck(resume=case.resume)
        found.wrong += [f"replay did not settle it: {replay}" for replay in replayed if not replay.done]
        await _verified(orchestrator, "after the recovery", found)
        after = await _rows(orchestrator)
        _judge(before, after, case, found)
        await _end_what_was_kept(orchestrator, after, found)
        await _verified(orchestrator, "at the end", found)
        for row in await _rows(orchestrator):
            if row.facts.state.live or row.facts.cleanup.open or row.facts.pending_event is not None:
                found.wrong.append(f"{row.terms.id} has not ended: {row.facts}")
        journals = [await orchestrator.journal(row.terms.id) for row in after]
        found.wrong += [trouble for journal in journals for trouble in _parked_late(journal)]
    (case.folder / "journals").write_bytes(pickle.dumps(journals))
    (case.folder / "verdict").write_text(json.dumps(asdict(found)))


def _judge(before: Sequence[Row], after: Sequence[Row], case: Case, found: Verdict) -> None:
    """First codes as the table says, and each place that stands accounted for by one lease alone."""
    was = {row.terms.id: row.facts for row in before}
    for row in after:
        facts, code = was[row.terms.id], row.facts.error_code
        expected = {facts.error_code}
        if facts.state.live and not _held(facts):
            over = facts.expires_at is not None and facts.expires_at < row.now
            expected = {None, PATHS[case.path].code} if case.resume and not over else {ErrorCode.LEASE_OWNER_LOST}
        found.codes[row.terms.id] = code
        if code not in expected:
            found.wrong.append(f"{row.terms.id}, {facts.state} at the crash, has the first code {code}, not {expected}")
        if _unsettled(row.facts):
            found.wrong.append(f"{row.terms.id} was not settled: {row.facts}")
    accounts = [row.papers["provider_lease_id"] for row in after if row.facts.cleanup.open]
    for place in SCENES[case.scene].standing(case.folder):
        if accounts.count(place) != 1:
            found.wrong.append(f"{place} stands, on the account of {accounts.count(place)} leases")


def _parked_late(journal: Sequence[Entry]) -> list[str]:
    """Parkings by a later owner than the first. One that was taken over once it was parked is none of them."""
    found, facts = list[str](), Facts()
    for entry in journal:
        facts = step(facts, entry)
        if entry.event == CleanupEvent.PARK and entry.kind is Kind.DONE and facts.owners > 1:
            found.append(f"a lease was parked after {facts.owners} owners")
    return found


def _held(facts: Facts) -> bool:
    """Whether it lives on without an owner, as it may."""
    return facts.state is LeaseState.TARGETED and facts.owner is None and facts.pending_event is None


def _unsettled(facts: Facts) -> bool:
    """Whether somebody must do something: it is live and not merely held, or its place is due."""
    live = facts.state.live and not _held(facts)
    return live or facts.pending_event is not None or (not facts.state.live and facts.cleanup in _DUE)


async def _end_what_was_kept(orchestrator: Orchestrator, rows: Sequence[Row], found: Verdict) -> None:
    """Places that were kept or parked go; of a lease that is held, the tree was provisioned once."""
    for row in rows:
        if row.facts.state.live:
            lease = await orchestrator.attach(row.terms.id)
            made = await lease.exec("cat provisioned.txt", shell=True)
            if made.stdout.text.count("made") > 1:
                found.wrong.append(f"{row.terms.id} was provisioned twice over one tree")
            await lease.release()
            if lease.facts.cleanup is CleanupState.PARKED:
                found.wrong.append(f"{row.terms.id} parked after {lease.facts.owners} owners")
        elif row.facts.cleanup in _KEPT:
            await orchestrator.release(row.terms.id)


async def _claims_pass(orchestrator: Orchestrator) -> None:
    """All processes that had leases are dead: let their claims run out, and the server be up for long."""
    ledger: Any = orchestrator.ledger
    ledger._claim = 0
    owner = orchestrator.store.schema.owner

    def lapse(connection: Connection) -> None:
        connection.execute(update(owner).values(alive_until=0))

    await orchestrator.store.writer.job(lapse)


async def _rows(orchestrator: Orchestrator) -> Sequence[Row]:
    return (await orchestrator.ledger.listing(COMPANY))[::-1]


async def _verified(orchestrator: Orchestrator, when: str, found: Verdict) -> None:
    found.wrong += [f"verify {when}: {finding}" async for finding in verify(orchestrator.store)]
