"""A platform's run, as far as the tests of the entry points need it."""

import json
from pathlib import Path
from typing import Any

from leasehold.drivers.scripted import Fault
from leasehold.orchestrator import AcquisitionResult, Environment, Lease, Orchestrator, RealizationResult
from sqlalchemy import select

COMPANY = "default"
ADAPTER = "claude_local"


async def box(orchestrator: Orchestrator, *faults: Fault, name: str = "box", **config: Any) -> Environment:
    """A scripted environment."""
    script = [fault.model_dump() for fault in faults]
    return await orchestrator.environments.add(COMPANY, name, "scripted", {**config, "script": script})


async def acquired(
    orchestrator: Orchestrator, environment: Environment | None = None, run_id: str = "run", **more: Any
) -> AcquisitionResult[Lease]:
    """What a platform calls first."""
    arguments: dict[str, Any] = {"adapter_type": ADAPTER, "issue_id": "I-1", "agent_id": "A-1", **more}
    return await orchestrator.acquire_for_run(
        company_id=COMPANY, selected_environment_id=environment and environment.id, run_id=run_id, **arguments
    )


async def realized(
    orchestrator: Orchestrator, held: AcquisitionResult[Lease], tree: Path | str, **more: Any
) -> RealizationResult[Lease]:
    """What it calls next."""
    arguments: dict[str, Any] = {"execution_workspace": {"cwd": str(tree)}, **more}
    return await orchestrator.realize_for_run(
        environment=held.environment,
        lease=held.lease,
        adapter_type=ADAPTER,
        company_id=COMPANY,
        issue_id="I-1",
        run_id=held.lease.run_id,
        **arguments,
    )


def sandbox_target(held: AcquisitionResult[Lease], *, provider: str, shell: str | None) -> dict[str, Any]:
    """What the adapter of a realized lease in a sandbox is told, besides its runner."""
    return {
        "kind": "remote",
        "transport": "sandbox",
        "provider_key": provider,
        "shell_command": shell,
        "remote_cwd": held.lease.cwd,
        "environment_id": held.environment.id,
        "lease_id": held.lease.id,
        "timeout_ms": None,
        "stream_run_logs": True,
    }


async def activities(orchestrator: Orchestrator) -> list[tuple[str, dict[str, Any]]]:
    """Each activity with its details, in the order of time."""
    table = orchestrator.store.schema.activity
    query = select(table.c.action, table.c.details).order_by(table.c.at)
    rows = await orchestrator.store.read(lambda connection: connection.execute(query).all())
    return [(action, json.loads(details)) for action, details in rows]


def configured(command: str | None, **more: Any) -> dict[str, Any]:
    """A platform's own record of a tree."""
    return {"id": None, "mode": None, "config": {"provision_command": command}, "metadata": None, **more}
