"""What still runs at a place, ended from any process; and exit statuses that commands have left there."""

import json

from leasehold.drivers.command import record_name
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged
from leasehold.drivers.remains import demand_ended
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.shell_runner import TREE

_KEEPS_BACK = 5.0

_END = (
    TREE
    + r"""
fence full
[ -d "$D/run" ] || exit 0
P=
{ read -r P <"$D/run/python"; } 2>/dev/null
for C in "$D"/run/code-*/agent.py; do
  [ -n "$P" ] && [ -f "$C" ] || continue
  exec "$P" -I -S "$C" end "$D/run" "$M" "$S" 9>&-
done
end_tree "LEASEHOLD_COMMAND=$K:"
printf '[%s]' "$(tree "LEASEHOLD_COMMAND=$K:" | sed 's/ *$//; s/ /, /g')"
"""
)

_RECORD = r"""
cat "$D/run/commands/$N.json" 2>/dev/null
:
"""


async def end_remains(place: RemotePlace, marker: str, context: Context) -> tuple[int, ...] | None:
    """End whatever still runs of a place; what does not end, ``None`` where nobody can say."""
    seconds = max(1.0, min(30.0, context.remaining() - _KEEPS_BACK))
    said = await place.ask(_END, context, M=marker, S=f"{seconds:.1f}")
    if not said.strip():
        return ()
    try:
        survivors = json.loads(said)
        return None if survivors is None else tuple(int(survivor) for survivor in survivors)
    except (ValueError, TypeError) as error:
        raise Damaged(f"what still runs at the place {place.key} is told in no known way: {error}") from error


async def quieted(place: RemotePlace, context: Context, *, last: bool = False) -> tuple[str, ...]:
    """End whatever still runs of a place. Raises ``Unavailable`` where something does not end, notes what nobody saw.

    ``last``: what holds the place goes now, and takes with it what did not end.
    """
    survivors = await end_remains(place, place.key, context)
    return () if last else demand_ended(survivors, end="end them there")


async def recorded(place: RemotePlace, record: str, context: Context) -> int | None:
    """The exit status of the command that was given this record name; ``None`` where it never ended."""
    said = await place.ask(_RECORD, context, N=record_name(record))
    return int(json.loads(said)["exit_code"]) if said else None
