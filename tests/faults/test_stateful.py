"""Several processes on one store, random operations, random faults: what holds after every step, and at the end.

Each process is an orchestrator on an event loop that all share; a killed one neither renews nor unregisters, and
its claim runs out. What stands is asked of the provider itself.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from leasehold.drivers import DriverError
from leasehold.drivers.scripted import Fault, Provider, ScriptedDriver
from leasehold.orchestrator import (
    EnvironmentRunError,
    LeaseLost,
    NoSuch,
    NotStuck,
    Orchestrator,
    Settings,
    StillHeld,
)
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState, IllegalTransition
from sqlalchemy import Connection, Executable, update

T = TypeVar("T")

PROCESSES = 3
REFUSED = (EnvironmentRunError, LeaseLost, NoSuch, NotStuck, StillHeld, IllegalTransition, DriverError)
ENVIRONMENTS: dict[str, tuple[Fault, ...]] = {
    "well": (),
    "refuses": (Fault(verb="acquire", call=1),),
    "answers with an error": (Fault(verb="acquire", when="after"),),
    "answers late": (Fault(verb="acquire", what="late", error="Unavailable", looks=2),),
    "cannot realize": (Fault(verb="realize"),),
    "cannot provision": (Fault(verb="execute", what="crash"),),
    "cannot resolve": (Fault(verb="target", when="after"),),
    "does not let go": (Fault(verb="release", call=1), Fault(verb="release", call=3)),
    "goes late": (Fault(verb="release", what="late", looks=2),),
    "lies": (Fault(verb="recover", what="lie", answer="unknown", call=1),),
}
POLICIES = st.sampled_from(["ephemeral", "retain_on_failure", "reuse_by_environment"])
PROCESS = st.integers(0, PROCESSES - 1)
INDEX = st.integers(0, 99)


def _executing(query: Executable) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(query)

    return work


class Processes(RuleBasedStateMachine):
    """``made_store`` is a store that was created once."""

    made_store: ClassVar[Path]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="leasehold-stateful-"))
        self.url = f"sqlite:///{shutil.copy(self.made_store, self.folder / 'leasehold.db')}"
        self.provider = Provider()
        self.opened: list[AbstractAsyncContextManager[Orchestrator]] = []
        self.processes: list[Orchestrator] = []
        self.mine: list[dict[str, Lease]] = [{} for _ in range(PROCESSES)]
        self.runs = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        Processes.steps += 1
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def begin(self) -> None:
        for _ in range(PROCESSES):
            self.open()

        async def add() -> None:
            for name, faults in ENVIRONMENTS.items():
                script = [fault.model_dump() for fault in faults]
                config = {"script": script, "syncs_back": True}
                await self.processes[0].environments.add("default", name, "scripted", config)

        self.run(add())

    def open(self, index: int | None = None) -> None:
        """One more process, in the place of a dead one where that is named."""
        settings = Settings(state_folder=self.folder, claim_seconds=600.0, sweep_grace_seconds=0.0)
        opened = Orchestrator.open(self.url, drivers=[ScriptedDriver(self.provider)], settings=settings)
        process = self.run(opened.__aenter__())
        if index is None:
            self.opened.append(opened)
            self.processes.append(process)
        else:
            self.opened[index], self.processes[index] = opened, process

    def rows(self) -> list[Any]:
        return list(self.run(self.processes[0].ledger.listing("default", limit=10_000)))

    def pick(self, index: int) -> str | None:
        rows = self.rows()
        return rows[index % len(rows)].terms.id if rows else None

    # --- what processes do

    @rule(process=PROCESS, place=st.sampled_from(sorted(ENVIRONMENTS)), policy=POLICIES, provision=st.booleans())
    def acquire(self, process: int, place: str, policy: str, provision: bool) -> None:
        self.runs += 1
        request: dict[str, Any] = {"environment": place, "workspace": self.folder, "policy": policy, "mode": "copy"}
        request |= {"run_id": f"run-{self.runs}", "provision": "make" if provision else None}

        async def work() -> None:
            with suppress(*REFUSED):
                lease = await self.processes[process].acquire(**request)
                self.mine[process][lease.id] = lease

        self.run(work())

    @rule(process=PROCESS, index=INDEX, how=st.sampled_from(["release", "fail", "detach", "exec", "extend", "cancel"]))
    def end_its_own(self, process: int, index: int, how: str) -> None:
        leases = [*self.mine[process].values()]
        if not leases:
            return
        lease = leases[index % len(leases)]

        async def work() -> None:
            with suppress(*REFUSED):
                match how:
                    case "release":
                        await lease.release()
                    case "fail":
                        await lease.fail("the run says so")
                    case "detach":
                        await lease.detach()
                    case "exec":
                        try:
                            await lease.exec("true")
                        except RuntimeError as crash:  # of a driver that crashes, the run gets what it raised
                            if str(crash) != "scripted":
                                raise
                    case "extend":
                        await lease.extend(3600)
                    case _:
                        ending = asyncio.ensure_future(lease.release())
                        await asyncio.sleep(0)
                        ending.cancel()
                        with suppress(asyncio.CancelledError):
                            await ending

        self.run(work())

    @rule(
        process=PROCESS, index=INDEX, how=st.sampled_from(["attach", "release", "fail", "forget"]), force=st.booleans()
    )
    def end_anothers(self, process: int, index: int, how: str, force: bool) -> None:
        lease_id, orchestrator = self.pick(index), self.processes[process]
        if lease_id is None:
            return

        async def work() -> None:
            with suppress(*REFUSED):
                match how:
                    case "attach":
                        lease = await orchestrator.attach(lease_id, force=force)
                        self.mine[process][lease.id] = lease
                    case "release":
                        await orchestrator.release(lease_id, force=force)
                    case "fail":
                        await orchestrator.fail(lease_id, "an operator says so", force=force)
                    case _:
                        await orchestrator.forget(lease_id, "an operator says so", who="op")

        self.run(work())

    @rule(process=PROCESS, index=INDEX, resume=st.booleans(), force=st.booleans())
    def replay(self, process: int, index: int, resume: bool, force: bool) -> None:
        lease_id = self.pick(index)

        async def work() -> None:
            with suppress(*REFUSED):
                if lease_id is not None:
                    await self.processes[process].replay(lease_id, resume=resume, force=force)

        self.run(work())

    @rule(process=PROCESS, resume=st.booleans())
    def replay_stuck(self, process: int, resume: bool) -> None:
        self.run(self.processes[process].replay_stuck(resume=resume))

    @rule(process=PROCESS)
    def do_the_duties(self, process: int) -> None:
        self.run(self.processes[process].duties())

    @rule(process=PROCESS, apply=st.booleans())
    def sweep(self, process: int, apply: bool) -> None:
        self.run(self.processes[process].sweep(apply=apply))

    # --- what befalls them

    @rule(process=PROCESS)
    def die(self, process: int) -> None:
        """Killed: whatever it held is nobody's once its claim has run out."""
        self.run(self.end_of(process, unregisters=False))
        self.mine[process] = {}
        self.open(process)

    async def end_of(self, process: int, *, unregisters: bool) -> None:
        dead: Any = self.processes[process]
        if not unregisters:
            owner, table = dead._owner, dead.store.schema.owner
            query = update(table).where(table.c.id == owner.id).values(alive_until=0)
            await dead.store.writer.job(_executing(query))
            owner.id = ""  # it has no time to unregister
        await self.opened[process].__aexit__(None, None, None)

    @rule(process=PROCESS, index=INDEX)
    def expire(self, process: int, index: int) -> None:
        lease_id = self.pick(index)

        async def work() -> None:
            with suppress(*REFUSED):
                if lease_id is not None:
                    await self.processes[process].extend(lease_id, 0.001)

        self.run(work())

    # --- what holds

    @invariant()
    def nothing_is_wrong(self) -> None:
        if not self.processes:
            return

        async def findings() -> list[str]:
            return [str(finding) async for finding in verify(self.processes[0].store)]

        assert self.run(findings()) == []
        owed = [row.papers["provider_lease_id"] for row in self.rows() if row.facts.cleanup.open]
        keys = {row.facts.resource_key for row in self.rows() if row.facts.cleanup.open}
        forgotten = {row.facts.resource_key for row in self.rows() if row.facts.cleanup is CleanupState.FORGOTTEN}
        for standing in self.provider.standing():
            assert owed.count(standing.place) <= 1, f"{standing.place} is on the account of two leases"
            leaving = standing.leaving is not None
            assert leaving or standing.tags.key in keys | forgotten, f"nobody owes {standing.place}"

    def teardown(self) -> None:
        """All die; one more process ends what they left, and nothing stands."""
        try:
            if self.processes:
                self.run(self.end())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def end(self) -> None:
        for process in range(1, PROCESSES):
            await self.end_of(process, unregisters=False)
        last = self.processes[0]
        for lease in self.mine[0].values():
            with suppress(*REFUSED):
                await lease.release()
        for _ in range(50):
            await last.replay_stuck()
            rows = await last.ledger.listing("default", limit=10_000)
            for row in rows:
                if row.facts.cleanup in (CleanupState.PARKED, CleanupState.RETAINED) or (
                    row.facts.state.live and not row.alive
                ):
                    with suppress(*REFUSED):
                        await last.release(row.terms.id)
            if not [row for row in rows if row.facts.state.live or row.facts.cleanup.open]:
                break
        await last.sweep(apply=True)
        await last.sweep(apply=True)
        rows = await last.ledger.listing("default", limit=10_000)
        left = [row.facts for row in rows if row.facts.state.live or row.facts.cleanup.open]
        standing = [each for each in self.provider.look() if each.leaving is None]
        findings = [str(finding) async for finding in verify(last.store)]
        await self.end_of(0, unregisters=True)
        assert (left, standing, findings) == ([], [], [])


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        (6, 12),
        pytest.param(25, 25, marks=pytest.mark.long),
        *(
            pytest.param(500, 50, marks=(pytest.mark.long, pytest.mark.nightly), id=f"500-50-{part}")
            for part in range(4)
        ),
    ],
)
@pytest.mark.timeout(7200)
def test_processes(made_store: Path, examples: int, steps: int, tried: Callable[..., None]) -> None:
    Processes.made_store, Processes.steps = made_store, 0
    chosen = profile(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(Processes, settings=chosen)
    tried("stateful properties", examples=examples, operations=Processes.steps)
