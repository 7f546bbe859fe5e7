"""The duties of a ledger: what is due now, of every company, found by index and done.

Any number of processes may do them side by side: each deed begins with a commit that one of them wins.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from leasehold.orchestrator.errors import LeaseLost, StillHeld
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.replay import Replays
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.telling import tell
from leasehold.states import IllegalTransition

KEEP_OVER = "keep_over"

_AT_ONCE = 32  # of one provider
_MOST = 1000  # of a kind in one pass: the next one goes on behind them


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that was due, and what came of it.

    ``duty`` is why it was due: a reason of ``Stuck``, ``unfinished`` where an earlier try broke off, or
    ``keep_over`` for a place whose time is over. ``done``
    says that nothing of it is left.
    """

    lease_id: str
    company_id: str
    duty: str
    outcome: str
    done: bool

    def __str__(self) -> str:
        return f"lease {self.lease_id}: {self.duty}: {self.outcome}"


Told = Callable[[Deed], None]
_Duty = Callable[[Row], Awaitable[Deed | None]]
_Find = Callable[[int, Row | None], Awaitable[Sequence[Row]]]


def _silent(_: Deed) -> None:
    return


class Duties:
    """Finds and does what is due. One that fails or is slow stops no other, and a sick provider no other provider."""

    def __init__(self, ledger: Ledger, others: Takeover, replays: Replays) -> None:
        self._ledger = ledger
        self._others = others
        self._replays = replays
        self._turns: dict[str | None, asyncio.Semaphore] = {}
        self._under_way: dict[str, asyncio.Task[Deed | None]] = {}
        self._read: dict[str, Row | None] = {}  # of each kind the last row, where there may be more

    async def begin(
        self, told: Told, *, whole: bool = False, until: asyncio.Event | None = None
    ) -> list[asyncio.Task[Deed | None]]:
        """Begin what is due now and not under way; ``told`` hears of each when it is done.

        What still waits for its turn when ``until`` is set is left to others. At most 1,000 of a kind, and the next
        call goes on behind them; with ``whole``, all there are. Raises ``StoreError`` where what is due cannot be
        read.
        """
        due = [
            *((row, self._replay) for row in await self._next("unheld", self._ledger.unheld, whole)),
            *((row, self._replay) for row in await self._next("untried", self._ledger.untried, whole)),
            *((row, self._replay) for row in await self._next("due", self._ledger.due, whole)),
            *((row, self._replay) for row in await self._replays.unfinished()),
            *((row, self._reclaim) for row in await self._next("kept", self._ledger.kept_over, whole)),
        ]
        random.shuffle(due)  # two workers then seldom want the same one next
        begun: list[asyncio.Task[Deed | None]] = []
        for row, duty in due:
            lease_id = row.terms.id
            if lease_id not in self._under_way:
                task = self._under_way[lease_id] = asyncio.create_task(self._do(row, duty, told, until))
                task.add_done_callback(partial(self._end, lease_id))
                begun.append(task)
        return begun

    async def once(self, told: Told | None = None) -> list[Deed]:
        """One pass over all that is due now, to its end. Raises as ``begin``."""
        deeds = await asyncio.gather(*await self.begin(told or _silent, whole=True))
        return [deed for deed in deeds if deed is not None]

    async def rest(self) -> None:
        """Wait until nothing is under way: each deed has the deadlines of its steps."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    # --- beneath them

    async def _next(self, kind: str, find: _Find, whole: bool) -> list[Row]:
        """The page after the last, and after the end the first again: what cannot be done yet hides nothing."""
        found: list[Row] = []
        while True:
            rows = await find(_MOST, self._read.get(kind))
            self._read[kind] = rows[-1] if len(rows) == _MOST else None
            found += rows
            if not whole or self._read[kind] is None:
                return found

    async def _do(self, row: Row, duty: _Duty, told: Told, until: asyncio.Event | None) -> Deed | None:
        async with self._turns.setdefault(row.terms.provider, asyncio.Semaphore(_AT_ONCE)):
            deed = None if until is not None and until.is_set() else await duty(row)
        if deed is not None:
            tell(told, deed)
        return deed

    def _end(self, lease_id: str, _: asyncio.Task[Deed | None]) -> None:
        self._under_way.pop(lease_id, None)

    async def _replay(self, row: Row) -> Deed | None:
        again = self._replays.is_unfinished(row)
        if not (again or self._others.left(row)):
            return None
        try:
            replay = await self._replays.replay(row)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next pass tries again
            return _deed(row, row.stuck or "unfinished", f"not done: {error}", done=False)
        return None if replay.lost else _deed(row, row.stuck or "unfinished", replay.outcome, done=replay.done)

    async def _reclaim(self, row: Row) -> Deed | None:
        if not self._others.reaches(row):
            return None
        try:
            lease = await self._others.clean_up(row, force=False)
        except (LeaseLost, IllegalTransition, StillHeld):
            return None  # somebody else ended it, or took it over, just then
        except Exception as error:  # noqa: BLE001 - as above
            return _deed(row, KEEP_OVER, f"not done: {error}", done=False)
        return _deed(row, KEEP_OVER, f"cleanup {lease.cleanup}", done=not lease.cleanup.open)


def _deed(row: Row, duty: str, outcome: str, *, done: bool) -> Deed:
    return Deed(row.terms.id, row.terms.request.company_id, duty, outcome, done)
