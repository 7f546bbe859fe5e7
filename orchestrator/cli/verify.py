"""``leasehold verify``: the store against its own journal."""

import sys

import typer
from leasehold.orchestrator.cli.display import console, emit, out
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import perform
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.verify import Finding
from leasehold.orchestrator.verify import verify as find
from rich.progress import Progress
from sqlalchemy import func, select

_GATHERED = 10_000  # findings in --json: whoever has more reads them line by line


def verify(context: typer.Context, as_json: Json = False) -> int:
    """Check every lease of the store against its journal. Exit code 1: an invariant is broken."""

    async def work(orchestrator: Orchestrator) -> int:
        store = orchestrator.store
        count = select(func.count()).select_from(store.schema.lease)
        leases: int = await store.read(lambda connection: connection.scalar(count) or 0)
        broken, gathered = 0, list[Finding]()
        with Progress(console=console(sys.stderr), transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("checking leases", total=leases)
            async for finding in find(store, lambda more: progress.advance(task, more)):
                broken += 1
                if not as_json:
                    where = f"lease {finding.lease_id}" if finding.lease_id else "the store"
                    out(f"{where}: invariant {finding.invariant}: {finding.why}")
                elif broken <= _GATHERED:
                    gathered.append(finding)
        if as_json:
            emit({"leases": leases, "broken": broken, "findings": [_record(finding) for finding in gathered]})
        else:
            counted = "1 lease" if leases == 1 else f"{leases} leases"
            found = "1 finding" if broken == 1 else f"{broken} findings"
            out(f"{counted} checked: {found if broken else 'nothing is wrong'}")
        return 1 if broken else 0

    return perform(context, work, seconds=None)


def _record(finding: Finding) -> dict[str, object]:
    return {"lease_id": finding.lease_id or None, "invariant": finding.invariant, "why": finding.why}
