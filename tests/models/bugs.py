"""Bugs to be seeded in the code, each by a patch of the process that calls it: the nets must catch every one.

A process that is seeded is thrown away: nothing is put back.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from leasehold.drivers import Resource
from leasehold.orchestrator import steps
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.draft import Draft
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.recovery import Recovery
from leasehold.orchestrator.sightings import Sightings
from leasehold.orchestrator.step import ProvenAbsent
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.clock import Clock
from leasehold.orchestrator.store.errors import StoreLost
from leasehold.orchestrator.store.postgres import PostgresBatches
from leasehold.orchestrator.store.server_clock import ServerClock
from leasehold.orchestrator.store.sqlite import SqliteBatches
from leasehold.orchestrator.store.write import Write
from leasehold.states import GUARDS, Kind, LeaseEvent, Move, Outcome, Policy, policy
from sqlalchemy import Connection, select

_VERSION = columns.CHANGING.index("version")


def _intent_after_effect() -> None:
    engine: Any = Engine
    claim = engine._claim

    async def later(self: Any, data: Any) -> None:
        lease: Any = data.model
        commits = self._commits
        if data.args[0].event != LeaseEvent.ACQUIRE:
            await claim(self, data)
            return
        real = commits.commit

        async def not_yet(lease: Lease, draft: Draft, **_: Any) -> None:
            lease.facts.resource_key = draft.facts.resource_key

        commits.commit = not_yet
        try:
            await claim(self, data)
        finally:
            commits.commit = real
        lease.subjects = ()

    engine._claim = later


def _epoch_unchecked(kind: Kind) -> Callable[[], None]:
    """A write of rows of this kind holds wherever the row has got to."""

    def seed() -> None:
        commits: Any = Commits
        commit = commits.commit

        async def unchecked(self: Commits, lease: Lease, draft: Draft, **named: Any) -> None:
            writer: Any = self.store.writer
            write = writer.write

            def forced(each: Write) -> Any:
                if each.version is not None and each.entries[-1].kind is kind:
                    table = self.store.schema.lease
                    query = table.select().where(table.c.id == each.lease_id)
                    row = self.store.read_now(lambda connection: connection.execute(query).one())
                    shift = row.version - each.version
                    each.version, each.epoch, each.before = row.version, row.epoch, None
                    each.entries = [entry._replace(seq=entry.seq + shift) for entry in each.entries]
                    each.changing[_VERSION] += shift
                return write(each)

            writer.write = forced
            try:
                await commit(self, lease, draft, **named)
            finally:
                writer.write = write

        commits.commit = unchecked

    return seed


def _clients_clock() -> None:
    def now(_: Clock) -> int:
        return time.time_ns() // 1000

    for clock in (Clock, ServerClock):
        seeded: Any = clock
        seeded.now = now


def _new_key_on_redo() -> None:
    engine: Any = Engine
    claim = engine._claim

    async def anew(self: Any, data: Any) -> None:
        lease: Any = data.model
        if data.args[0].event == LeaseEvent.ACQUIRE and lease.facts.resource_key is not None:
            lease.facts.resource_key += "x"
        await claim(self, data)

    engine._claim = anew


def _absent_at_the_first_look() -> None:
    def absent(_: str) -> Exception:
        return ProvenAbsent()

    module: Any = steps
    module.StillUnknown = absent


def _done_step_redone() -> None:
    recovering: Any = Recovery
    again, init = recovering._realize_afresh, recovering.__init__

    def seeded(self: Any, *arguments: Any) -> None:
        init(self, *arguments)

        async def runs_again(lease: Lease, found: Any) -> None:
            await again(self, lease, found)

        async def goes_on(lease: Lease, state: Any) -> None:
            lease.afresh = False
            await real(lease, state)

        real, self._go_on = self._go_on, goes_on
        self._moves[Move.USE] = runs_again

    recovering.__init__ = seeded


def _sweep_trusts_the_tag() -> None:
    sightings: Any = Sightings

    def by_the_tag(self: Any, connection: Connection, resource: Resource) -> str | None:
        lease = self._store.schema.lease
        query = select(lease.c.id).where(lease.c.id == resource.tags.lease_id, lease.c.ended_at.is_(None))
        holder: str | None = connection.scalar(query)
        return holder

    sightings._holder = by_the_tag


def _parking_after_a_takeover() -> None:
    GUARDS["one_owner_all_its_life"] = lambda _: None
    rows: Any = policy
    for each in Policy:
        rows._ROWS[each, Outcome.SUCCESS_TAKEN_OVER] = rows._ROWS[each, Outcome.SUCCESS]


def _hold_freed_early() -> None:
    commits: Any = Commits
    commit = commits.commit

    async def early(self: Commits, lease: Lease, draft: Draft, **named: Any) -> None:
        writer: Any = self.store.writer
        write = writer.write

        def freeing(each: Write) -> Any:
            each.frees = each.frees or not draft.facts.state.live
            return write(each)

        writer.write = freeing
        try:
            await commit(self, lease, draft, **named)
        finally:
            writer.write = write

    commits.commit = early


def _lost_commit_is_failed() -> None:
    def failed(self: PostgresBatches, error: Exception, writes: Sequence[Write], end: float) -> dict[str, int]:
        raise StoreLost("the connection was lost") from error

    batches: Any = PostgresBatches
    batches._settle = failed


def _conflict_aborts_the_batch() -> None:
    for batches in (SqliteBatches, PostgresBatches):
        seeded: Any = batches
        commit = seeded.commit

        def aborting(self: Any, writes: Sequence[Write], jobs: Sequence[Any], commit: Any = commit) -> list[Any]:
            answers: list[Any] = commit(self, writes, jobs)
            refused = next((answer for answer in answers if isinstance(answer, BaseException)), None)
            return answers if refused is None else [refused] * len(answers)

        seeded.commit = aborting


def _destroyed_before_its_sync_back() -> None:
    life: Any = Life
    release = life._release

    async def early(self: Any, lease: Lease, *, sync: bool) -> None:
        await release(self, lease, sync=False)

    life._release = early


BUGS: dict[str, tuple[str, Callable[[], None]]] = {
    "intent after effect": ("The driver is asked first, and the intent is written down after.", _intent_after_effect),
    "epoch unchecked at begun": ("An owner that lost its lease may still begin a step.", _epoch_unchecked(Kind.BEGUN)),
    "epoch unchecked at done": ("An owner that lost its lease may still record one.", _epoch_unchecked(Kind.DONE)),
    "the client's clock": ("Each process counts claims by its own wall clock.", _clients_clock),
    "a new key on redo": ("A second acquire asks by a key of its own.", _new_key_on_redo),
    "absent at the first look": ("What one look does not see is taken to be gone.", _absent_at_the_first_look),
    "a done step redone": ("Replay runs a provision command again that has ended.", _done_step_redone),
    "sweep trusting the tag": ("Whose a place is, its tag says, not the store.", _sweep_trusts_the_tag),
    "parking after a takeover": ("A place that had two owners is kept for the next run.", _parking_after_a_takeover),
    "a hold freed before cleanup ends": ("The subject is free as soon as its lease ends.", _hold_freed_early),
    "a lost commit taken as failed": ("A commit without an answer is told as failed.", _lost_commit_is_failed),
    "one conflict aborting the batch": ("One stale write fails all that came with it.", _conflict_aborts_the_batch),
    "a place destroyed before its sync-back": ("The end comes before the sync-back.", _destroyed_before_its_sync_back),
}
