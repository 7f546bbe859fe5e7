"""``leasehold sweep``: places that belong to no lease."""

from collections import Counter
from typing import Annotated

import typer
from leasehold.drivers.shown import counted
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import perform
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.sweep import Decision, Verdict

_SAID = {
    Verdict.BELONGS: "belong to leases",
    Verdict.FOREIGN: "of other ledgers",
    Verdict.UNKNOWN: "of unknown leases",
    Verdict.SEEN: "seen for the first time, or within their grace",
    Verdict.DESTROY: "to destroy",
    Verdict.DESTROYED: "destroyed",
    Verdict.LEFT: "left",
}


def sweep(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Destroy what belongs to nobody.")] = False,
    grace: Annotated[
        str | None, typer.Option(metavar="T", help="How long it must have been seen so; by default 10m.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also places of leases that this store does not know.")
    ] = False,
    ledger: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Also places of this other ledger, as of a wiped store.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Look for places that bear Leasehold's tags and belong to no lease, and say of each why.

    Without --apply nothing is destroyed. A place is destroyed when two looks, one grace apart, saw that it
    belongs to nobody and its driver is well: the first sweep remembers it, a later one destroys it; with
    --apply and a grace of at most 60s one command does both.
    """
    for_seconds = None if grace is None else seconds(grace, none=True)

    async def work(orchestrator: Orchestrator) -> int:
        decisions = await orchestrator.sweep(apply=apply, grace=for_seconds, unknown=unknown, ledgers=ledger or ())
        if as_json:
            emit([record(decision) for decision in decisions])
            return 0
        for decision in decisions:
            out(str(decision))
        counts = Counter(decision.verdict for decision in decisions if decision.place)
        told = [f"{counts[verdict]} {said}" for verdict, said in _SAID.items() if counts[verdict]]
        told = told or ["no place in any environment of this store bears our tags"]
        unasked = len(decisions) - counts.total()
        told += [f"{counted(unasked, 'driver')} could not be asked"] if unasked else []
        out(", ".join(told))
        return 0

    return perform(context, work, seconds=None)


def record(decision: Decision) -> dict[str, object]:
    """As scripts read it."""
    return {
        "driver": decision.driver,
        "place": decision.place or None,
        "key": decision.key or None,
        "lease_id": decision.lease_id or None,
        "decision": decision.decision,
        "why": decision.why,
    }
