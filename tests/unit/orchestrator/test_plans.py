"""No statement of a life, a duty or a listing looks through all leases, or all journals, of a store."""

import re
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import ScriptedDriver
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, Settings
from leasehold.states import LeaseState, Policy, Status
from postgres import PostgresServer
from sqlalchemy import event

# a walk through one of these meets only leases that are live, owed or kept
_SHORT = ("lease_live", "lease_due", "lease_kept", "lease_owner", "lease_place")


async def everything(orchestrator: Orchestrator, tree: Path, open_orchestrator: Any) -> None:
    """Lives, duties and listings of every kind."""
    add = orchestrator.environments.add
    await add("default", "place", "scripted", {"exclusive_modes": ["in_place"]})
    await add("default", "warm", "scripted", {"transport": "sandbox"}, policy=Policy.REUSE_BY_ENVIRONMENT, max_leases=2)
    for name in ("place", "warm", "warm"):
        async with orchestrator.lease(environment=name, workspace=tree, provision="make") as lease:
            await lease.exec("true")
            await lease.extend(60)
    request: dict[str, Any] = {"environment": "place", "workspace": tree, "mode": "in_place"}
    async with open_orchestrator() as other:
        await other.acquire(**request, run_id="lost")
    held = await orchestrator.acquire(**request, run_id="r")  # the dead holder is ended first
    with pytest.raises(EnvironmentRunError):
        await orchestrator.acquire(**request)
    await held.detach()
    held = await orchestrator.attach(held.id)
    await orchestrator.fail(held.id, "enough")
    listing = orchestrator.ledger.listing
    await listing("default")
    await listing("default", stuck=True)
    for state in LeaseState:
        await listing("default", state=state)
    for status in Status:
        await listing("default", status=status)
    await listing("default", run_id="r")
    await listing("default", environment="place")
    await orchestrator.journal(held.id[:-1])
    async with open_orchestrator() as other:
        for _ in range(3):
            await other.acquire(environment="place", workspace=tree)
    await orchestrator.replay_stuck(dry_run=True)
    ledger, row = orchestrator.ledger, await orchestrator.ledger.find("default", held.id)
    row = replace(row, facts=replace(row.facts, next_try_at=1, keep_until=1))
    for page in (ledger.unheld, ledger.untried, ledger.due, ledger.kept_over):
        await page(1, row)
    await orchestrator.duties()
    await orchestrator.sweep(apply=True, grace=0, unknown=True)
    await orchestrator.restored()
    await orchestrator._owner.remove_old()  # pyright: ignore[reportPrivateUsage]
    await orchestrator.prune("1h")


@pytest.fixture
async def traced(
    store_path: Path, tmp_path: Path, driver: ScriptedDriver
) -> AsyncGenerator[tuple[Orchestrator, set[str]]]:
    """An orchestrator on SQLite, and every statement that its connections are given."""
    seen: set[str] = set()
    settings = Settings(state_folder=tmp_path)
    async with Orchestrator.open(f"sqlite:///{store_path}", drivers=[driver], settings=settings) as orchestrator:
        orchestrator.store.engine.dispose()

        @event.listens_for(orchestrator.store.engine, "connect")
        def _trace(raw: sqlite3.Connection, _record: object) -> None:
            raw.set_trace_callback(seen.add)

        yield orchestrator, seen


async def test_on_sqlite(traced: tuple[Orchestrator, set[str]], tree: Path, store_path: Path, tmp_path: Path) -> None:
    orchestrator, seen = traced

    def opened() -> Any:
        chosen = Settings(state_folder=tmp_path)
        return Orchestrator.open(f"sqlite:///{store_path}", drivers=[ScriptedDriver()], settings=chosen)

    await everything(orchestrator, tree, opened)
    statements = {text for text in seen if re.match("SELECT|INSERT|UPDATE|DELETE|WITH", text)}
    assert len(statements) > 100
    with sqlite3.connect(store_path) as raw:
        for text in statements:
            for *_, detail in raw.execute(f"EXPLAIN QUERY PLAN {text}"):
                scans = re.match(r"SCAN leasehold_(lease|journal)\b", detail)
                assert not scans or detail.endswith(_SHORT), (text, detail)
    raw.close()


async def test_on_postgresql(
    postgres: PostgresServer, database: str, tree: Path, tmp_path: Path, driver: ScriptedDriver
) -> None:
    log = postgres.folder / "log"
    settings = {
        "session_preload_libraries": "auto_explain",
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_nested_statements": "on",
        "enable_seqscan": "off",  # with so few rows only what has no index is looked through
    }
    for name, value in settings.items():
        postgres.ask(f"ALTER DATABASE {database} SET {name} = '{value}'")
    try:
        before = log.stat().st_size
        chosen = Settings(state_folder=tmp_path)

        def opened() -> Any:
            return Orchestrator.open(postgres.url(database), drivers=[ScriptedDriver()], settings=chosen)

        async with Orchestrator.open(postgres.url(database), drivers=[driver], settings=chosen) as orchestrator:
            await everything(orchestrator, tree, opened)
        said = log.read_text()[before:]
    finally:
        postgres.ask(f"ALTER DATABASE {database} RESET ALL")
    assert said.count("Query Text:") > 100
    plans = said.split("Query Text:")
    assert [plan for plan in plans if re.search(r"Seq Scan on leasehold_(lease|journal)\b", plan)] == []
