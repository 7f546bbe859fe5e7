"""``leasehold prune``: old leases leave the store."""

from typing import Annotated

import typer
from leasehold.drivers.shown import counted
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

    A lease that is live, or whose place is owed, kept or parked, stays. So does one whose changes are kept yet.
    """
    age = seconds(older_than)

    async def work(orchestrator: Orchestrator) -> int:
        left: list[str] = []
        deleted = await orchestrator.prune(age, told=left.append)
        if as_json:
            emit({"deleted": deleted, "left": left})
        else:
            out(f"{counted(deleted, 'lease')} deleted that ended over {spoken(age)} ago")
        if left and not as_json:
            out(f"{counted(len(left), 'lease')} left whose changes are kept yet; leasehold show LEASE says where")
        return 0

    return perform(context, work, seconds=None)
