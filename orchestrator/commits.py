"""Commits: a lease's rows, collected in its draft and written by the store's writer."""

import asyncio
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from leasehold.orchestrator.draft import Draft
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.request import NOTHING
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.encoding import decode, encode
from leasehold.orchestrator.store.errors import StaleWrite
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.write import Write
from leasehold.states import CleanupEvent, CleanupState, Entry, Facts, Kind, Note, cleanup_status, status
from sqlalchemy import Connection, select

_facts = attrgetter(*columns.FACTS)
_STATE, _CLEANUP = columns.FACTS.index("state"), columns.FACTS.index("cleanup")

Said = tuple[Note, dict[str, Any]]


class Commits:
    """Writes what happens to leases, under this process's owner."""

    def __init__(self, store: Store, owner: Owner) -> None:
        self.store = store
        self.owner = owner

    def draft(self, lease: Lease) -> Draft:
        """The lease's draft, begun where there is none."""
        if lease.draft is None:
            lease.draft = Draft(lease.id, lease.facts)
        return lease.draft

    def add(
        self,
        lease: Lease,
        draft: Draft,
        event: str,
        kind: Kind,
        *,
        at: int | None = None,
        dest: str | None = None,
        attempt: str | None = None,
        error_code: str | None = None,
        duration_ms: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """One more row of the draft, by this owner, by default now. Raises ``IllegalTransition``."""
        at, owner, epoch = at or self.store.clock.now(), self.owner.id, lease.facts.epoch
        draft.add(event, kind, at, owner, epoch, dest, attempt, error_code, duration_ms, details)

    def abandon(self, lease: Lease) -> None:
        """Draft that the open step, if there is one, is abandoned; the state stays."""
        draft = self.draft(lease)
        event = draft.facts.pending_event
        if event is not None:
            self.add(lease, draft, event, Kind.ABANDONED, attempt=draft.facts.pending_attempt)

    async def flush(self, lease: Lease) -> None:
        """Commit the rows that wait."""
        draft = lease.draft
        if draft is not None and draft.entries:
            await self.commit(lease, draft)

    async def commit(
        self,
        lease: Lease,
        draft: Draft,
        *,
        holds: tuple[str, ...] = (),
        draws: bool = False,
        giver: Write | None = None,
    ) -> None:
        """Commit a draft. Until the answer is there, the lease is as it was.

        Raises ``LeaseLost`` where the lease has moved on, and what the writer refuses.
        """
        before, facts, terms = lease.facts, draft.facts, lease.terms
        new = before.version == 0
        papers = {**lease.papers, **draft.papers} if draft.papers else lease.papers
        write = Write(
            lease_id=lease.id,
            version=None if new else before.version,
            epoch=None if new else before.epoch,
            changing=_row(facts, papers),
            entries=draft.entries,
            terms=draft.terms or terms.columns(facts.created_at or 0) if new else None,
            before=None if new else _row(before, lease.papers),
            draws=new or draws,
            holds=holds,
            frees=before.cleanup.open and not facts.cleanup.open,
            activity=draft.activity,
            giver=giver,
        )
        if new and facts.state.live:
            write.environment = (terms.environment_id or "", lease.environment_version)
        answer, cancelled = self.store.writer.write(write), None
        try:
            facts.epoch = await answer
        except StaleWrite:
            raise lease.lose("another process moved it on") from None
        except asyncio.CancelledError as error:
            if not answer.done() or answer.cancelled() or answer.exception() is not None:
                raise
            facts.epoch, cancelled = answer.result(), error  # it holds: this process has to know
        # the journal's fold gives them whole; a held lease keeps of the handle its text, and no digest
        facts.handle, facts.digests = papers.get("handle"), NOTHING
        lease.facts, lease.papers, lease.draft = facts, papers, None
        if facts.owner == self.owner.id and (facts.state.live or facts.pending_event is not None):
            self.owner.hold(lease)
        else:
            self.owner.leases.pop(lease.id, None)
        if cancelled is not None:
            raise cancelled

    async def note(self, lease: Lease, note: Note, **details: Any) -> None:
        """Write a note, and what it changes: the expiry, or that nobody owns the lease."""
        draft = self.draft(lease)
        kept = len(draft.entries)
        try:
            self.add(lease, draft, str(note), Kind.NOTE, details=details)
            await self.commit(lease, draft)
        except BaseException:
            draft.take_back(kept)
            raise

    async def take(self, lease: Lease, note: Note, *, then: Sequence[Said] = (), **details: Any) -> None:
        """Become the lease's owner under the next epoch. Raises ``LeaseLost`` where another did first.

        The notes said ``then`` are one commit with it.
        """
        owner = await self.owner.ensure()
        draft = Draft(lease.id, lease.facts)
        now, epoch = self.store.clock.now(), lease.facts.epoch + 1
        for each, said in ((note, {"from": lease.facts.owner, **details}), *then):
            draft.add(str(each), Kind.NOTE, now, owner, epoch, details=said)
        await self.commit(lease, draft, draws=True)

    def hand_over(self, parked: Lease, to: str) -> Write:
        """The write by which a parked place leaves its lease, under this owner and the next epoch.

        It is committed with the acquire intent of the lease that gets the place.
        """
        before, now, epoch = parked.facts, self.store.clock.now(), parked.facts.epoch + 1
        draft = Draft(parked.id, before)
        draft.add(str(Note.TAKE_OVER), Kind.NOTE, now, self.owner.id, epoch, details={"from": before.owner})
        dest = str(CleanupState.HANDED_OVER)
        draft.add(str(CleanupEvent.HAND_OVER), Kind.DONE, now, self.owner.id, epoch, dest, details={"to": to})
        return Write(
            lease_id=parked.id,
            version=before.version,
            epoch=before.epoch,
            changing=_row(draft.facts, parked.papers),
            entries=draft.entries,
            before=_row(before, parked.papers),
            draws=True,
            frees=True,
        )

    def log(self, lease: Lease, draft: Draft) -> None:
        """Have the draft's commit write the original's activity, with its details.

        A lease that never had a place is none of the original's: it has no activity.
        """
        terms, facts, request = lease.terms, draft.facts, lease.terms.request
        if facts.acquired_at is None:
            return
        action = "environment.lease_acquired"
        details: dict[str, Any] = {
            "environment_id": terms.environment_id,
            "driver": terms.driver,
            "lease_policy": terms.policy,
            "provider": terms.provider,
            "execution_workspace_id": request.execution_workspace_id,
            "issue_id": request.issue_id,
        }
        if not facts.state.live:
            action = "environment.lease_released"
            details["status"] = status(facts.state, facts.cleanup, facts.error_code)
            details["cleanup_status"] = cleanup_status(facts.cleanup)
            details["failure_reason"] = facts.error_message
        at = draft.entries[-1].at
        draft.activity = (lease.id, action, at, request.company_id, request.run_id, request.agent_id, encode(details))

    async def journal(self, lease_id: str) -> list[Entry]:
        """A lease's journal, oldest row first."""
        table = self.store.schema.journal

        def query(connection: Connection) -> list[Entry]:
            rows = connection.execute(select(table).where(table.c.lease_id == lease_id).order_by(table.c.seq))
            return [entry_of(row) for row in rows]

        return await self.store.read(query)


def _row(facts: Facts, papers: Mapping[str, str | None]) -> list[Any]:
    """The values of ``columns.CHANGING``."""
    row = [*_facts(facts), *map(papers.get, columns.PAPERS)]
    # sqlite3 binds a plain string at once, and asks its adapters about any other
    row[_STATE], row[_CLEANUP] = str(facts.state), str(facts.cleanup)
    return row


def entry_of(row: Any) -> Entry:
    """A journal row as the states know it."""
    return Entry(
        seq=row.seq,
        at=row.at,
        event=row.event,
        kind=Kind(row.kind),
        source=row.source,
        dest=row.dest,
        attempt=row.attempt,
        owner=row.owner,
        epoch=row.epoch,
        error_code=row.error_code,
        duration_ms=row.duration_ms,
        details=decode(row.details),
    )
