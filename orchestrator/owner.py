"""The owner: this process, as the ledger knows it. It renews itself, one row for all its leases.

It fences itself: its time counts from before each renewal was sent. When the claim time passes
without an answer it begins nothing more, ends its commands, and comes back under a new id.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from leasehold.orchestrator.store.encoding import decode
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.hints import OWNER
from leasehold.orchestrator.store.store import Store
from sqlalchemy import Connection, delete, insert, select, update

if TYPE_CHECKING:
    from leasehold.orchestrator.lease import Lease

Asked = Callable[["Lease", dict[str, Any]], Awaitable[None]]
Expired = Callable[["Lease"], Awaitable[None]]


_REMEMBERED = 24 * 3600 * 1_000_000  # microseconds


class Owner:
    """Holds the leases of this process."""

    def __init__(self, store: Store, claim: float, *, asked: Asked, expired: Expired) -> None:
        self._store = store
        self._claim = claim
        self._asked = asked
        self._expired = expired
        self._valid_until = 0.0
        self._registering = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._duties: set[asyncio.Task[None]] = set()
        self._granting: set[str] = set()  # leases of which a wish is being done
        self._wake = asyncio.Event()
        self._next_look = 0
        self._deaf: Callable[[], None] | None = None
        self._hinted = False
        self.id = ""
        self.leases: dict[str, Lease] = {}

    @property
    def patience(self) -> float:
        """Seconds after which what the store did not take is tried again."""
        return self._claim / 20

    def hold(self, lease: "Lease") -> None:
        """Care for a lease until it is let go: its end is seen in time."""
        before = self.leases.get(lease.id)
        if before is not None and before is not lease:
            before.lose("it was taken over in this process")
        self.leases[lease.id] = lease
        if self._deaf is None:
            self._deaf = self._store.hints.on(f"{OWNER}{self.id}", self._heard)
        if lease.facts.expires_at is not None and lease.facts.expires_at < self._next_look:
            self._wake.set()

    def _heard(self) -> None:
        """Somebody asked for something: what, the renewal says."""
        self._hinted = True
        self._wake.set()

    def _hear_no_more(self) -> None:
        if self._deaf is not None:
            self._deaf()
            self._deaf = None

    async def ensure(self) -> str:
        """The id to act under, registered; a new one where the last has lapsed."""
        if time.monotonic() >= self._valid_until:
            async with self._registering:  # many leases may be asked for at once, and one registers for all
                if time.monotonic() >= self._valid_until:
                    self._lapse()
                    self.id = self._store.ids.random()
                    before = time.monotonic()
                    await self._store.writer.job(self._register)
                    self._valid_until = before + self._claim
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew(), name="leasehold-owner")
        return self.id

    def check(self, lease: "Lease") -> None:
        """Raise ``LeaseLost`` where the lease, or this owner, may be another's by now."""
        if lease.lost is not None:
            raise lease.lose(lease.lost)
        if time.monotonic() >= self._valid_until:
            raise lease.lose(f"its owner could not renew itself within {self._claim:g} s")

    async def close(self) -> None:
        """Stop renewing; what is still held is free to be taken over at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._hear_no_more()
        if self._duties:
            await asyncio.wait(self._duties)
        if self.id:
            try:
                await self._store.writer.job(self._unregister)
            except StoreError:
                return  # it lapses by itself

    def _lapse(self) -> None:
        for lease in tuple(self.leases.values()):
            lease.lose(f"its owner could not renew itself within {self._claim:g} s")
        self.leases.clear()
        self._hear_no_more()

    async def _renew(self) -> None:
        pause = self._claim / 3
        while True:
            await self._rest(pause)
            self._hinted = False
            if not self.leases:
                self._hear_no_more()
            before = time.monotonic()
            if before >= self._valid_until:
                self._lapse()
                return
            try:
                alive, wishes = await self._store.writer.job(self._extend)
            except StoreError:
                pause = self.patience
                continue
            if not alive:
                self._valid_until = 0.0
                self._lapse()
                return
            self._valid_until, pause = before + self._claim, self._claim / 3
            for lease_id, wish in wishes:
                lease = self.leases.get(lease_id)
                if lease is not None and lease_id not in self._granting:
                    self._granting.add(lease_id)
                    self.do(self._grant(lease, wish))

    async def _grant(self, lease: "Lease", wish: str) -> None:
        """Do what was asked of a lease, then forget it; where the store fails, the next renewal sees it again."""
        try:
            try:
                await self._asked(lease, decode(wish))
            except StoreError:
                raise
            except Exception:  # noqa: BLE001, S110 - it is refused for good, or what failed stands on the lease
                pass
            await self._store.writer.job(partial(self._forget, lease, wish))
        except StoreError:
            return
        finally:
            self._granting.discard(lease.id)

    def _forget(self, lease: "Lease", wish: str, connection: Connection) -> None:
        """A later wish stays, and so does one to a later owner."""
        table = self._store.schema.lease
        same = (table.c.id == lease.id, table.c.epoch == lease.facts.epoch, table.c.end_requested == wish)
        connection.execute(update(table).where(*same).values(end_requested=None))

    async def _rest(self, pause: float) -> None:
        """Wait, at most until something is asked of this owner, and end the leases that expire meanwhile."""
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0 and not self._hinted:
            wait = max(0.01, min(left, self._until_expiry()))
            self._wake.clear()
            self._next_look = self._store.clock.now() + int(wait * 1e6)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                self._end_expired()

    def _until_expiry(self) -> float:
        now = self._store.clock.now()
        ends = [lease.facts.expires_at for lease in self.leases.values() if lease.facts.expires_at]
        return max(0.0, (min(ends) - now) / 1e6) if ends else self._claim

    def _end_expired(self) -> None:
        now = self._store.clock.now()
        for lease in tuple(self.leases.values()):
            if lease.facts.expires_at is not None and lease.facts.expires_at <= now:
                self.leases.pop(lease.id, None)
                self.do(self._expired(lease))

    def do(self, duty: Awaitable[None]) -> None:
        """Do something for a lease beside its holder; ``close`` waits for it."""
        task = asyncio.ensure_future(duty)
        self._duties.add(task)
        task.add_done_callback(self._duties.discard)

    def _register(self, connection: Connection) -> None:
        now = self._store.clock.now()
        connection.execute(
            insert(self._store.schema.owner).values(
                id=self.id,
                host=socket.gethostname(),
                pid=os.getpid(),
                boot=self._store.boot,
                started_at=now,
                alive_until=now + int(self._claim * 1e6),
            )
        )

    def _extend(self, connection: Connection) -> tuple[bool, list[tuple[str, str]]]:
        """Whether this owner still is one, and what is asked of its leases."""
        owner, lease = self._store.schema.owner, self._store.schema.lease
        clock = self._store.clock
        now = clock.now()
        # nobody took over while the store was away, nor soon after: whatever its clock says now
        least = now if now >= clock.back_since + self._claim * 1e6 else 0
        renewed = connection.execute(
            update(owner)
            .where(owner.c.id == self.id, owner.c.alive_until >= least)
            .values(alive_until=now + int(self._claim * 1e6))
        )
        asked = connection.execute(
            select(lease.c.id, lease.c.end_requested).where(
                lease.c.owner == self.id, lease.c.ended_at.is_(None), lease.c.end_requested.is_not(None)
            )
        ).all()
        return renewed.rowcount == 1, [(row.id, row.end_requested) for row in asked]

    async def remove_old(self) -> None:
        """Remove the rows of owners that were gone long ago, and that no live lease names."""
        owner, lease = self._store.schema.owner, self._store.schema.lease
        before = self._store.clock.now() - _REMEMBERED
        named = select(lease.c.owner).where(lease.c.ended_at.is_(None), lease.c.owner.is_not(None))
        query = delete(owner).where(owner.c.alive_until < before, owner.c.id.not_in(named))
        await self._store.writer.job(lambda connection: connection.execute(query) and None)

    def _unregister(self, connection: Connection) -> None:
        owner = self._store.schema.owner
        connection.execute(delete(owner).where(owner.c.id == self.id))
