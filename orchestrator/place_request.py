"""What a lease asks of its driver, and what of it the driver refuses."""

import asyncio
from pathlib import Path
from typing import Any

from leasehold.drivers import Driver, Mode, PlaceRequest, Refused, Unusable, holds_subjects
from leasehold.orchestrator.lease import Lease


def place_request(lease: Lease, path: Path, mode: Mode) -> PlaceRequest:
    """The lease's request, with its tree at ``path``."""
    request = lease.terms.request
    return PlaceRequest(
        company_id=request.company_id,
        lease_id=lease.id,
        run_id=request.run_id,
        workspace=request.tree(path, mode),
        share=request.share,
        late=request.late,
        adapter_type=request.adapter_type,
        agent_id=request.agent_id,
        issue_id=request.issue_id,
    )


async def subjects(driver: Driver, config: Any, place: PlaceRequest) -> tuple[str, ...]:
    """What the lease would hold for itself alone. Raises ``Unusable`` and ``Refused``."""
    problems = (
        await asyncio.to_thread(driver.validate, place, config)
        if driver.capabilities(config).blocking_validate
        else driver.validate(place, config)
    )
    for problem in problems:
        raise (Unusable if problem.about == "workspace" else Refused)(problem.message)
    return driver.subjects(place, config) if holds_subjects(driver) else ()


def realized_cwd(said: str, remote_cwd: Any, local: Path) -> str:
    """Where commands run: what the driver said, else the lease's remote folder, else the local tree.

    Blank counts as none.
    """
    if said.strip():
        return said
    return remote_cwd if isinstance(remote_cwd, str) and remote_cwd.strip() else str(local)
