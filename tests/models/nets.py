"""Nets: what must hold, run in a process of its own, so that a bug can be seeded in it first (``bugs.py``)."""

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bugs import BUGS
from leasehold.drivers.scripted import Call, Fault, Provider, ScriptedDriver
from leasehold.drivers.scripted.shelf import FolderShelf
from leasehold.orchestrator import EnvironmentRunError, LeaseLost, Orchestrator, Settings
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState
from proxy import Cut, Proxy
from sqlalchemy import make_url


@dataclass(frozen=True)
class Cast:
    """One net, the bug that is seeded in it (none: the net must hold), and where it is cast."""

    net: str
    bug: str | None
    folder: Path
    url: str


class Scene:
    """What a net works with: a store, a provider's folder, and what it found to be wrong."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.provider = Provider(FolderShelf(cast.folder / "provider"))
        self.wrong: list[str] = []

    def opened(
        self, driver: ScriptedDriver | None = None, url: str | None = None
    ) -> AbstractAsyncContextManager[Orchestrator]:
        settings = Settings(state_folder=self.cast.folder / "state", claim_seconds=30.0, store_patience_seconds=5.0)
        drivers = [driver or ScriptedDriver()]
        return Orchestrator.open(url or self.cast.url, drivers=drivers, settings=settings)

    async def environment(self, orchestrator: Orchestrator, *faults: Fault, **config: Any) -> None:
        script = [fault.model_dump() for fault in faults]
        config |= {"root": str(self.cast.folder / "provider"), "script": script}
        await orchestrator.environments.add("default", "place", "scripted", config)

    def request(self, **more: Any) -> dict[str, Any]:
        return {"environment": "place", "workspace": self.cast.folder, "run_id": "run", "mode": "copy", **more}

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)

    async def judge(self, orchestrator: Orchestrator) -> None:
        """Nothing stands, nothing is open, and verify finds nothing."""
        self.wrong += [str(finding) async for finding in verify(orchestrator.store)]
        for row in await orchestrator.ledger.listing("default"):
            self.expect(not row.facts.state.live and not row.facts.cleanup.open, f"it has not ended: {row.facts}")
        self.wrong += [f"{standing.place} leaked" for standing in self.provider.standing()]


async def _wakes_late(scene: Scene, verb: str, when: str, *, resume: bool = False) -> None:
    """An owner freezes at a verb, another takes the lease over and ends it; the first wakes, and changes nothing."""
    frozen, go_on = asyncio.Event(), asyncio.Event()
    first, second = ScriptedDriver(), ScriptedDriver()

    async def freeze(_: Call) -> None:
        frozen.set()
        await go_on.wait()

    async def live() -> None:
        await (await one.acquire(**scene.request(provision="make"))).release()

    script: Any = first
    script.at(verb, when, freeze, call=1)
    async with scene.opened(first) as one, scene.opened(second) as two:
        await scene.environment(one, fencing="advisory")
        life = asyncio.ensure_future(live())
        await asyncio.wait_for(frozen.wait(), 30)
        [row] = await two.ledger.listing("default")
        await two.replay(row.terms.id, force=True, resume=resume)
        before = len(first.calls)
        go_on.set()
        try:
            await life
            scene.wrong.append("the first owner was told that all went well")
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not what a loser is told
            scene.wrong.append(f"the first owner got {error!r}")
        begun = [call.verb for call in first.calls[before:]]
        scene.expect(not begun, f"the first owner went on with {begun}")
        for row in await two.ledger.listing("default"):
            if row.facts.state.live or row.facts.cleanup.open:
                with suppress(LeaseLost):
                    await two.release(row.terms.id)
        await scene.judge(two)


async def late_at_begun(scene: Scene) -> None:
    await _wakes_late(scene, "acquire", "after")


async def late_at_done(scene: Scene) -> None:
    await _wakes_late(scene, "release", "after")


async def late_acquire(scene: Scene) -> None:
    await _wakes_late(scene, "acquire", "before", resume=True)


async def clocks(scene: Scene) -> None:
    """A process whose wall clock is an hour ahead sees a living owner."""
    module: Any = time
    true = time.time_ns
    async with scene.opened() as one, scene.opened() as two:
        await scene.environment(one)
        lease = await one.acquire(**scene.request())
        module.time_ns = lambda: true() + 3600 * 10**9
        stuck = await two.ledger.listing("default", stuck=True)
        scene.expect(not stuck, f"a living owner is told to be lost: {stuck}")
        module.time_ns = true
        await lease.release()
        await scene.judge(one)


async def late_place(scene: Scene) -> None:
    """A create that answered with an error shows its place later; that one goes too."""
    async with scene.opened() as one:
        await scene.environment(one, Fault(verb="acquire", what="late", error="Unavailable", looks=3))
        with suppress(EnvironmentRunError):
            await one.acquire(**scene.request())
        end = time.monotonic() + 20
        while await one.ledger.listing("default", stuck=True) and time.monotonic() < end:
            await one.replay_stuck()
        await scene.judge(one)


async def hold(scene: Scene) -> None:
    """A cleanup that failed keeps its subject from others."""
    async with scene.opened() as one:
        await scene.environment(one, Fault(verb="release", call=1))
        request = scene.request(mode="in_place")
        first = await one.acquire(**request)
        await first.release()
        scene.expect(first.facts.cleanup is CleanupState.FAILED, "its first cleanup did not fail")
        scene.wrong += [str(finding) async for finding in verify(one.store)]
        await one.replay_stuck()
        await scene.judge(one)


async def lost_commit(scene: Scene) -> None:
    """The connection ends after a commit was sent and before its answer: the life goes on."""
    async with scene.opened() as direct:
        await scene.environment(direct)
    url = make_url(scene.cast.url)
    proxy = Proxy(url.port or 0)
    lease: Lease | None = None
    try:
        async with scene.opened(url=url.set(port=proxy.port).render_as_string(hide_password=False)) as one:
            lease = await one.acquire(**scene.request())
            proxy.cut = Cut.ANSWERED
            await lease.release()
            await scene.judge(one)
    except Exception as error:  # noqa: BLE001 - what its caller is told is what is judged
        scene.wrong.append(f"its caller was told {error!r}")
    finally:
        proxy.close()


async def batch(scene: Scene) -> None:
    """Of leases whose commits go together, one was taken over: the others do not notice."""
    async with scene.opened() as one, scene.opened() as two:
        await scene.environment(one)
        leases = [await one.acquire(**scene.request(run_id=f"run-{number}")) for number in range(6)]
        await two.fail(leases[3].id, "by force", force=True)
        ended = await asyncio.gather(*(lease.release() for lease in leases), return_exceptions=True)
        for number, answer in enumerate(ended):
            well = isinstance(answer, LeaseLost) if number == 3 else answer is None
            scene.expect(well, f"run {number} got {answer!r}")
        await two.replay_stuck()
        await scene.judge(two)


async def handed_over(scene: Scene) -> None:
    """A place bears the tag of the lease that made it; the one that has it now is not swept from under."""
    async with scene.opened() as one:
        await scene.environment(one)
        request = scene.request(policy="reuse_by_environment")
        first = await one.acquire(**request)
        await first.release()
        request["run_id"] = "second"
        second = await one.acquire(**request)
        scene.expect(second.provider_lease_id == first.provider_lease_id, "it did not get the parked place")
        await one.sweep(apply=True, grace=0)
        scene.expect(len(scene.provider.standing()) == 1, "the place was swept from under its lease")
        await second.release()
        await one.release(second.id)
        await scene.judge(one)


NETS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    net.__name__: net
    for net in (late_at_begun, late_at_done, late_acquire, clocks, late_place, hold, lost_commit, batch, handed_over)
}


def cast(cast: Cast) -> None:
    """Seed the bug, run the net, and write down what it found."""
    if cast.bug is not None:
        BUGS[cast.bug][1]()
    scene = Scene(cast)
    try:
        asyncio.run(_run(scene))
    except BaseException:  # noqa: BLE001 - the net caught something that it did not expect
        scene.wrong.append(traceback.format_exc())
    (cast.folder / "found").write_text(json.dumps(scene.wrong))


async def _run(scene: Scene) -> None:
    async with asyncio.timeout(60):
        await NETS[scene.cast.net](scene)
