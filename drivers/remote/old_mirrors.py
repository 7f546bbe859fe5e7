"""Mirrors whose places another machine has ended: nothing piles up in the state folder."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.errors import DriverError
from leasehold.drivers.local.place import places
from leasehold.drivers.remote.mirror import ROOT, Mirror

_OLD = 24 * 3600.0
_MOST = 4  # each is asked for over the link


async def remove_old_mirrors(where: str, gone: Callable[[str], Awaitable[bool]], context: Context) -> None:
    """Remove long untouched mirrors of places of one host, engine or cluster that are ``gone``. A few at a time."""

    def old(context: Context) -> list[str]:
        found: list[str] = []
        limit = time.time() - _OLD
        for place in places(context.state_folder.absolute() / ROOT):
            with suppress(DriverError, FileNotFoundError):
                read = place.read()
                if read is None or place.folder.stat().st_mtime > limit:
                    continue
                tags, handle = read
                if tags.ledger == context.ledger and handle.data.get("where") == where:
                    found.append(place.key)
        return found

    for key in (await off_loop(context, old))[:_MOST]:
        with suppress(DriverError):
            if await gone(key):
                await Mirror(key, context).remove()
