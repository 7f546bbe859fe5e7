"""``leasehold verify``: the store against its own journal."""

import typer
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import perform
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.verify import Finding
from leasehold.orchestrator.verify import verify as find
from sqlalchemy import func, select


def verify(context: typer.Context, as_json: Json = False) -> int:
    """Check every lease of the store against its journal. Exit code 1: an invariant is broken."""

    async def work(orchestrator: Orchestrator) -> int:
        store = orchestrator.store
        count = select(func.count()).select_from(store.schema.lease)
        leases = await store.read(lambda connection: connection.scalar(count) or 0)
        findings = [finding async for finding in find(store)]
        if as_json:
            emit({"leases": leases, "findings": [_record(finding) for finding in findings]})
        else:
            for finding in findings:
                where = f"lease {finding.lease_id}" if finding.lease_id else "the store"
                out(f"{where}: invariant {finding.invariant}: {finding.why}")
            counted = "1 lease" if leases == 1 else f"{leases} leases"
            broken = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
            out(f"{counted} checked: {broken if findings else 'nothing is wrong'}")
        return 1 if findings else 0

    return perform(context, work, seconds=None)


def _record(finding: Finding) -> dict[str, object]:
    return {"lease_id": finding.lease_id or None, "invariant": finding.invariant, "why": finding.why}
