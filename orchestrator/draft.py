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

    __slots__ = ("activity", "committed", "entries", "facts", "lease_id", "papers", "terms")

    def __init__(self, lease_id: str, committed: Facts) -> None:
        self.lease_id = lease_id
        self.committed = committed
        self.facts = committed.copy()
        self.entries: list[Entry] = []
        self.papers: dict[str, str | None] = {}
        self.activity: tuple[Any, ...] | None = None
        self.terms: tuple[Any, ...] | None = None

    def take_back(self, kept: int) -> None:
        """Drop all rows but the first ``kept``: what they announced was not committed."""
        self.facts, self.entries = self.committed.copy(), self.entries[:kept]
        for entry in self.entries:
            apply(self.facts, entry)

    def add(
        self,
        event: str,
        kind: Kind,
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

        Raises ``IllegalTransition``, changing nothing.
        """
        facts = self.facts
        if event in LEASE_EVENTS:
            source: str | None = str(facts.state)
        elif event in CLEANUP_EVENTS:
            source = str(facts.cleanup)
        else:
            source = None
        seq, dest, details = facts.version + 1, dest or source, details or {}
        entry = Entry(seq, at, event, kind, source, dest, attempt, owner, epoch, error_code, duration_ms, details)
        try:
            apply(facts, entry)
        except BrokenJournal as broken:
            self.take_back(len(self.entries))  # it may be half applied
            raise IllegalTransition(self.lease_id, event, source or "", broken.why) from broken
        self.entries.append(entry)
