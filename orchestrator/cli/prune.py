"""``leasehold prune``: old leases leave the store."""

from typing import Annotated

import typer
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import perform
from leasehold.orchestrator.duration import seconds, spoken
from leasehold.orchestrator.orchestrator import Orchestrator


def prune(
    context: typer.Context,
    older_than: Annotated[str, typer.Option(metavar="T", help="Those that ended longer ago than T, as in 90d.")],
    as_json: Json = False,
) -> int:
    """Delete this company's leases that ended long ago, with their journals.

    A lease that is live, or whose place is owed, kept or parked, stays.
    """
    age = seconds(older_than)

    async def work(orchestrator: Orchestrator) -> int:
        deleted = await orchestrator.prune(age)
        if as_json:
            emit({"deleted": deleted})
        else:
            out(f"{'1 lease' if deleted == 1 else f'{deleted} leases'} deleted that ended over {spoken(age)} ago")
        return 0

    return perform(context, work, seconds=None)
