"""What changed at a place whose mirror is not here: kept as files before the place goes."""

import asyncio
import os
import tempfile
from pathlib import Path

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.keeping import keep_archive
from leasehold.drivers.place import Kept
from leasehold.drivers.remote.asking import converse
from leasehold.drivers.remote.link import Session
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.receiving import Receiving, leads_out
from leasehold.drivers.remote.streaming import Incoming

# The file that says that a tree stands is as old as the baseline: what is younger has been changed since.
_MARK = r"""
fence
standing
try touch "$D/realized"
"""

_YOUNGER = r"""
fresh
standing
[ -f "$D/realized" ] && cd "$D/tree" 2>/dev/null || exit 0
find . \( -type f -o -type l \) -newer "$D/realized" -print0 | xargs -0 -r tar -cf - --no-recursion 2>/dev/null
:
"""


async def mark_baseline(place: RemotePlace, context: Context) -> None:
    """Remember at the place, too, that what changes from now on is the run's."""
    await place.ask(_MARK, context)


async def keep_strayed(place: RemotePlace, lease_id: str, context: Context) -> Kept | None:
    """Keep the files that were written since the baseline; none where there are none. Deletions are not known."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="leasehold-strayed-") as folder:
        receiving = Receiving(
            Path(folder) / "tree", None, check=context.check, link=lambda path, text: not leads_out(path, text)
        )

        async def talk(session: Session) -> bool:
            await off_loop(context, lambda _: receiving.run(Incoming(session, loop)))
            return True

        await converse(place.link, place.script(_YOUNGER, context), context, talk)

        def keep(context: Context) -> Kept | None:
            found = [path for path in receiving.received if os.path.lexists(receiving.top / os.fsdecode(path))]
            if not found:
                return None
            return keep_archive(context.state_folder, lease_id, receiving.top, found, (), context.check)

        return await off_loop(context, keep)
