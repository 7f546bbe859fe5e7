"""A draft: journal rows of one lease that are not committed yet, and the facts that they lead to."""

from typing import Any

from leasehold.states import (
    CLEANUP_EVENTS,
    LEASE_EVENTS,
    BrokenJournal,
    Entry,
    Facts,
    IllegalTransition,
    Kind,
    apply,
)


class Draft:
    """Collects rows; each moves a copy of the facts on by ``states.apply``, the fold's own step.

    So what is committed is, row for row, what folding the journal gives.
    """

    __slots__ = ("activity", "entries", "facts", "lease_id", "papers")

    def __init__(self, lease_id: str, facts: Facts) -> None:
        self.lease_id = lease_id
        self.facts = facts.copy()
        self.entries: list[Entry] = []
        self.papers: dict[str, str | None] = {}
        self.activity: tuple[Any, ...] | None = None

    def copy(self) -> "Draft":
        """A draft that can go on without changing this one."""
        other = Draft(self.lease_id, self.facts)
        other.entries = list(self.entries)
        other.papers = dict(self.papers)
        other.activity = self.activity
        return other

    def add(
        self,
        event: str,
        kind: Kind,
        *,
        at: int,
        owner: str | None,
        epoch: int,
        dest: str | None = None,
        attempt: str | None = None,
        error_code: str | None = None,
        duration_ms: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """One more row. ``dest`` is by default where the lease, or its cleanup, stands already.

        Raises ``IllegalTransition``, changing nothing that was committed.
        """
        facts = self.facts
        if event in LEASE_EVENTS:
            source: str | None = facts.state.value
        elif event in CLEANUP_EVENTS:
            source = facts.cleanup.value
        else:
            source = None
        entry = Entry(
            seq=facts.version + 1,
            at=at,
            event=event,
            kind=kind,
            source=source,
            dest=dest or source,
            attempt=attempt,
            owner=owner,
            epoch=epoch,
            error_code=error_code,
            duration_ms=duration_ms,
            details=details or {},
        )
        try:
            apply(facts, entry)
        except BrokenJournal as broken:
            raise IllegalTransition(self.lease_id, event, source or "", broken.why) from broken
        self.entries.append(entry)
