"""One lease's commit, as it is handed to the writer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.orchestrator.store.encoding import encode
from leasehold.states import Entry


@dataclass(slots=True)
class Write:
    """What one commit changes of one lease.

    Attributes:
        lease_id: whose.
        version: the version that the store must still have; none for a new lease.
        epoch: the epoch that the store must still have.
        changing: the values of ``columns.CHANGING`` after the commit.
        entries: the journal rows that lead there.
        terms: the values of ``columns.TERMS``, for a new lease.
        before: the values of ``columns.CHANGING`` that the store has; what is equal is not written again.
        draws: take the next epoch of the ledger, in place of the one in ``changing`` and ``entries``. What was asked
            of the owner before is asked no more.
        environment: id and version that the environment must still have, and still be active.
        holds: subjects that the lease takes for itself alone.
        frees: give back what the lease holds.
        activity: a row of the activity log.
        giver: the commit that hands another lease's parked place over to this one: both hold, or neither.
    """

    lease_id: str
    version: int | None
    epoch: int | None
    changing: list[Any]
    entries: Sequence[Entry]
    terms: tuple[Any, ...] | None = None
    before: Sequence[Any] | None = None
    draws: bool = False
    environment: tuple[str, int] | None = None
    holds: tuple[str, ...] = ()
    frees: bool = False
    activity: tuple[Any, ...] | None = None
    giver: "Write | None" = None

    def journal(self, epoch: int) -> list[tuple[Any, ...]]:
        """The parameters of its journal rows, under this epoch."""
        lease_id = self.lease_id
        return [
            (
                lease_id,
                entry.seq,
                entry.at,
                entry.event,
                str(entry.kind),
                entry.source,
                entry.dest,
                entry.attempt,
                entry.owner,
                epoch,
                entry.error_code,
                entry.duration_ms,
                encode(entry.details),
            )
            for entry in self.entries
        ]
