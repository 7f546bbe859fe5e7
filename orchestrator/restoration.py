"""A store that was restored from a backup: a new incarnation, and every open lease settled.

An epoch is an incarnation and a number within it. A restored store would draw epochs again that places have
seen already; a new incarnation draws above all of them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leasehold.orchestrator.ledger import Ledger
from leasehold.orchestrator.replay import Replay, Replays
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.sweep import Decision, Sweep

_BITS = 36  # of an epoch, for the number within its incarnation


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restored store holds and what stands outside, and what was done about it.

    Attributes:
        incarnation: the new one; in a dry run, that it would have.
        leases: one replay for each open lease; in a dry run, its plan.
        places: whose each place is that the drivers list.
    """

    incarnation: int
    leases: Sequence[Replay]
    places: Sequence[Decision]


class Restorations:
    """Brings a restored store and its places together again."""

    def __init__(self, store: Store, ledger: Ledger, replays: Replays, sweep: Sweep) -> None:
        self._store = store
        self._ledger = ledger
        self._replays = replays
        self._sweep = sweep

    async def restored(self, *, apply: bool, told: Callable[[Replay], None] | None = None) -> Restoration:
        """List every driver and plan every open lease; with ``apply``, begin the incarnation and settle them."""
        places = await self._sweep.listing()
        incarnation = await self._next(max((place.epoch for place in places), default=0), apply=apply)
        rows = await self._ledger.open()
        leases = await self._replays.all(rows, resume=False, dry_run=not apply, told=told, force=True)
        return Restoration(incarnation, leases, places)

    async def _next(self, seen: int, *, apply: bool) -> int:
        """The next incarnation: of the minute, so that a backup that is restored twice never has one twice.

        ``seen`` is the newest epoch of any place: another store may have begun this minute's incarnation. A later
        one than this minute's is no store's, but what a run wrote at its place.
        """
        drawn, minute = await self._store.drawn(), int(time.time() // 60)
        incarnation = max((drawn >> _BITS) + 1, minute, min(seen >> _BITS, minute) + 1)
        if apply:
            jump = self._store.schema.jump_to(incarnation << _BITS)
            await self._store.writer.job(lambda connection: connection.execute(jump) and None)
        return incarnation
