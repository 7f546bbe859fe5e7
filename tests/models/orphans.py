"""Plants places that belong to nobody, beside those that belong to somebody, and sweeps: in a process of its own."""

import asyncio
import json
import time
from typing import Any

from leasehold.drivers import Context, Mode, PlaceRequest, Tags, Workspace
from leasehold.orchestrator import Decision, Orchestrator, Settings
from leasehold.orchestrator.verify import verify
from paths import COMPANY, Case
from scenes import SCENES
from sqlalchemy import delete


def sweep(case: Case) -> None:
    """Plant, sweep and judge; what is wrong is written to ``found``."""
    SCENES[case.scene].enter(case.folder)
    (case.folder / "found").write_text(json.dumps(asyncio.run(_sweep(case))))


def found(case: Case) -> list[str]:
    """What was wrong."""
    wrong: list[str] = json.loads((case.folder / "found").read_text())
    return wrong


class Planter:
    """Makes places with the driver alone, under whatever tags."""

    def __init__(self, case: Case, orchestrator: Orchestrator) -> None:
        self._case = case
        self._orchestrator = orchestrator
        self._scene = SCENES[case.scene]
        self._driver: Any = orchestrator.registry.get(self._scene.driver().name)
        self._config = self._driver.Config.model_validate(self._scene.config(case.folder))

    async def plant(self, lease_id: str, ledger: str | None = None) -> str:
        """One place; gives its id at the provider."""
        ledger = ledger or self._orchestrator.store.ledger
        key = f"{ledger}-{lease_id}-1"
        workspace = Workspace(self._scene.workspace(self._case.folder), Mode(self._scene.mode))
        context = Context(
            config=self._config,
            deadline=time.monotonic() + 60,
            epoch=await self._orchestrator.store.draw(),
            ledger=ledger,
            lease_id=lease_id,
            state_folder=self._case.folder / "state",
        )
        request = PlaceRequest(COMPANY, lease_id, "run", workspace)
        handle = await self._driver.acquire(key, request, Tags(ledger, lease_id, key, context.epoch, 0), context)
        return str(handle.place)


async def _sweep(case: Case) -> list[str]:
    scene, wrong = SCENES[case.scene], list[str]()
    settings = Settings(state_folder=case.folder / "state", sweep_grace_seconds=0.0)

    def expect(what: str, *places: str) -> None:
        standing = sorted(scene.standing(case.folder))
        if standing != sorted(places):
            wrong.append(f"{what}: {standing} stand, not {sorted(places)}")

    async with Orchestrator.open(case.url, settings=settings) as orchestrator:
        config = scene.config(case.folder)
        await orchestrator.environments.add(COMPANY, "place", scene.driver().name, config)
        request: dict[str, Any] = {
            "environment": "place",
            "workspace": scene.workspace(case.folder),
            "mode": scene.mode,
            "sync_back": "never",
        }
        live = await orchestrator.acquire(**request)
        parked = await orchestrator.acquire(**request, policy="reuse_by_environment")
        await parked.release()
        retained = await orchestrator.acquire(**request, policy="retain_on_failure")
        await retained.fail("to be looked at")
        mine = [str(lease.provider_lease_id) for lease in (live, parked, retained)]

        forgotten = await orchestrator.acquire(**request, policy="retain_on_failure")
        await forgotten.fail("to be forgotten")
        await orchestrator.forget(forgotten.id, "it reappears", who="test")
        over = await orchestrator.acquire(**request)
        await over.release()
        planter = Planter(case, orchestrator)
        late = await planter.plant(over.id)  # it appears once its lease is long over
        strange = await planter.plant("l0unknown")
        foreign = await planter.plant("l0foreign", "lotherledger")
        expect("planted", *mine, str(forgotten.provider_lease_id), late, strange, foreign)

        await orchestrator.sweep()
        expect("a dry sweep", *mine, str(forgotten.provider_lease_id), late, strange, foreign)
        swept = await orchestrator.sweep(apply=True)
        expect("a sweep", *mine, strange, foreign)
        wrong += [f"no word on {place}" for place in (*mine, strange, foreign) if not _said(swept, place)]
        await orchestrator.sweep(apply=True, unknown=True)
        expect("a sweep of unknown leases' places", *mine, foreign)
        await orchestrator.sweep(apply=True, ledgers=["lotherledger"])
        expect("a sweep of the other ledger's", *mine)
        if not (await live.exec("true")).ok:
            wrong.append("the live lease's place was touched")
        wrong += [str(finding) async for finding in verify(orchestrator.store)]

        wiped = orchestrator.store.schema
        for table in (wiped.journal, wiped.hold, wiped.lease, wiped.sighting):
            await orchestrator.store.writer.job(
                lambda connection, table=table: connection.execute(delete(table)) and None
            )
        await orchestrator.sweep(apply=True)
        expect("a sweep after the store was wiped", *mine)
        await orchestrator.sweep(apply=True, unknown=True)
        expect("a sweep after the store was wiped, told so")
        live.lose("its row was wiped by the test")
    return wrong


def _said(decisions: list[Decision], place: str) -> bool:
    return any(decision.place == place and decision.why for decision in decisions)
