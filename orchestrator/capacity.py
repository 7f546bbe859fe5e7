"""Capacity: an environment with room for so many leases has that many slots.

A slot is a hold like any other: taken with acquire's intent, given back by the write that ends cleanup
(docs/design/006-capacity.md). Who finds none free waits for its turn, at ``resolved``.
"""

import asyncio
import time
from collections.abc import Sequence

from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.duration import spoken
from leasehold.orchestrator.environments import Environment, Environments, EnvironmentStatus
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.step import Interrupted, News
from leasehold.orchestrator.store.hints import SLOT
from leasehold.orchestrator.takeover import Takeover
from leasehold.states import CleanupState, LeaseEvent

_PAUSE = 0.05  # seconds before the first further look; they double
_LONGEST_PAUSE = 1.0
_NAMED = 3


class Capacity:
    """Gives leases their slots, in the order in which they came.

    ``patience`` is for how many seconds also who does not wait has a place ended that nobody needs.
    """

    def __init__(
        self, commits: Commits, environments: Environments, ledger: Ledger, others: Takeover, patience: float
    ) -> None:
        self._commits = commits
        self._environments = environments
        self._ledger = ledger
        self._others = others
        self._patience = patience

    async def take(self, lease: Lease, until: float) -> None:
        """Give the lease a slot to claim, waiting for one until ``until`` of the monotonic clock.

        Raises ``Held`` when that is over, ``Interrupted`` where the lease is told to stop.
        """
        company_id, environment_id = lease.terms.request.company_id, lease.terms.environment_id
        if lease.facts.version:
            self._environments.forget(company_id)  # it has waited before: that may be long ago
        environment = await self._environments.find(company_id, environment_id)
        if environment is None:
            return
        _check(environment)
        if environment.max_leases is None:
            return
        own = tuple(subject for subject in lease.subjects if not subject.startswith(SLOT))
        look = asyncio.Event()
        deaf = self._commits.store.hints.on(f"{SLOT}{environment.id}", look.set)
        try:
            lease.subjects = (*own, await self._slot(lease, environment, environment.max_leases, until, look))
        finally:
            deaf()

    async def _slot(self, lease: Lease, environment: Environment, room: int, until: float, look: asyncio.Event) -> str:
        """A free slot, in the lease's turn; ``look`` is set where another look may be worth while."""
        slots, pause = [f"{SLOT}{environment.id}:{number}" for number in range(room)], _PAUSE
        patience = max(until, time.monotonic() + self._patience)
        while True:
            look.clear()
            taken, earlier = await self._ledger.line(lease.terms, f"{SLOT}{environment.id}:")
            free = [slot for slot in slots if slot not in taken][earlier:]
            if lease.parked is not None:  # its slot comes with its place
                free = [slot for slot, holder in taken.items() if holder == lease.parked.id] or free
            if free:
                return free[0]
            holders = await self._ledger.of_ids(set(taken.values()))
            if await self._made_room(lease, holders, patience):
                continue
            if lease.interruption is not None:
                raise Interrupted
            left = until - time.monotonic()
            if left <= 0:
                raise Held(_full(lease, holders), hint="wait longer with --wait, or end one of them")
            await self._wait(lease, look, min(left, pause), f"waits for a place: {_named(holders)}")
            pause = min(_LONGEST_PAUSE, pause * 2)
            environment = await self._environments.get(environment.company_id, environment.id)
            _check(environment)

    async def _made_room(self, lease: Lease, holders: Sequence[Row], until: float) -> bool:
        """One place fewer, where one can be spared; whether to look again. What is only parked goes first."""
        for row in sorted(holders, key=lambda row: row.facts.cleanup is not CleanupState.PARKED):
            if await self._others.make_room(lease, row, "another run waited", until):
                return True
        return False

    async def _wait(self, lease: Lease, look: asyncio.Event, seconds: float, why: str) -> None:
        if lease.facts.version == 0:
            await self._commits.flush(lease)  # it waits at ``resolved``, where everybody sees its turn
            lease.tell(News(lease.id, LeaseEvent.ACQUIRE.value, "progress", why))
        self._commits.owner.check(lease)
        lease.stop = look
        if lease.interruption is not None:
            raise Interrupted
        try:
            async with asyncio.timeout(seconds):
                await look.wait()
        except TimeoutError:
            return
        finally:
            lease.stop = None
        if lease.interruption is not None:
            raise Interrupted


def _check(environment: Environment) -> None:
    """Raise ``Held`` where it takes no new leases: it did when the lease came."""
    if environment.status is not EnvironmentStatus.ACTIVE:
        raise Held(f'environment "{environment.name}" was archived while this lease waited for a place')


def _full(lease: Lease, holders: Sequence[Row]) -> str:
    wait = lease.terms.request.wait
    return f"no place {f'within {spoken(wait)}' if wait else 'is free'}; {_named(holders)}"


def _named(holders: Sequence[Row]) -> str:
    named = [f"lease {row.terms.id} (run {row.terms.request.run_id})" for row in holders[:_NAMED]]
    more = f" and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    return f"{len(holders)} held by {', '.join(named)}{more}" if holders else "others waited earlier"
