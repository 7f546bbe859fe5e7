"""The cleanup table: what becomes of a lease's place when the lease ends."""

from dataclasses import dataclass
from enum import StrEnum


class CleanupState(StrEnum):
    """What is still owed to the place of a lease."""

    _value_: str
    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "CleanupState":
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    NOT_NEEDED = "not_needed", "no place stands, or it was proven that none ever did"
    PENDING = "pending", "a place may stand; its end is owed (on a live lease: later)"
    SUCCEEDED = "succeeded", "the place was destroyed, and seen gone"
    FAILED = "failed", "the last try failed; the next one has its time"
    RETAINED = "retained", "the place is kept for a person to look at, until a deadline"
    PARKED = "parked", "the place is kept for the next run that fits, until a deadline"
    HANDED_OVER = "handed_over", "another lease has the place now"
    FORGOTTEN = "forgotten", "an operator took the place out of our care, by name and with a reason"

    @property
    def open(self) -> bool:
        """Whether a place may still stand on this lease's account."""
        return self in OPEN


class CleanupEvent(StrEnum):
    """What moves a cleanup. The names stand in the journal."""

    OWE = "owe"
    ABSOLVE = "absolve"
    CLEAN = "clean"
    KEEP = "keep"
    PARK = "park"
    RECLAIM = "reclaim"
    HAND_OVER = "hand_over"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class CleanupTransition:
    """One row of the cleanup table; the fields are those of a lease row.

    ``failure`` is the state after a try that failed, where a try can fail.
    """

    event: CleanupEvent
    sources: tuple[CleanupState, ...]
    dest: CleanupState
    why: str
    callback: str | None = None
    intent: bool = False
    guards: tuple[str, ...] = ()
    failure: CleanupState | None = None
    operator: bool = False


OPEN = frozenset({CleanupState.PENDING, CleanupState.FAILED, CleanupState.RETAINED, CleanupState.PARKED})
DUE = (CleanupState.PENDING, CleanupState.FAILED)

CLEANUP_TABLE: tuple[CleanupTransition, ...] = (
    CleanupTransition(
        CleanupEvent.OWE,
        (CleanupState.NOT_NEEDED,),
        CleanupState.PENDING,
        why="Committed with acquire's intent: from here on a place may stand.",
        guards=("lease_is_live",),
    ),
    CleanupTransition(
        CleanupEvent.ABSOLVE,
        DUE,
        CleanupState.NOT_NEEDED,
        why="The driver has proven that no place stands under this key, and none will.",
        guards=("lease_has_ended", "no_step_open", "no_handle"),
    ),
    CleanupTransition(
        CleanupEvent.CLEAN,
        DUE,
        CleanupState.SUCCEEDED,
        why="Destroy the place; gone already is success. Tried until it holds.",
        callback="clean",
        intent=True,
        guards=("lease_has_ended", "no_step_open"),
        failure=CleanupState.FAILED,
        operator=True,
    ),
    CleanupTransition(
        CleanupEvent.KEEP,
        DUE,
        CleanupState.RETAINED,
        why="A failed run's place stays for a person, with a deadline of its own; tried until it holds.",
        callback="keep",
        intent=True,
        guards=("lease_has_ended", "no_step_open"),
        failure=CleanupState.FAILED,
    ),
    CleanupTransition(
        CleanupEvent.PARK,
        (CleanupState.PENDING,),
        CleanupState.PARKED,
        why="A place kept for reuse; only where no older owner may still have a verb under way.",
        callback="park",
        intent=True,
        guards=("lease_has_ended", "no_step_open", "one_owner_all_its_life"),
        failure=CleanupState.FAILED,
    ),
    CleanupTransition(
        CleanupEvent.RECLAIM,
        (CleanupState.RETAINED, CleanupState.PARKED),
        CleanupState.PENDING,
        why="Its deadline, an operator, another fingerprint or an archived environment ends the keeping.",
        guards=("lease_has_ended", "no_step_open"),
        operator=True,
    ),
    CleanupTransition(
        CleanupEvent.HAND_OVER,
        (CleanupState.PARKED,),
        CleanupState.HANDED_OVER,
        why="Inside the other lease's acquire intent: one transaction, one holder.",
        guards=("lease_has_ended", "no_step_open"),
    ),
    CleanupTransition(
        CleanupEvent.FORGET,
        tuple(state for state in CleanupState if state in OPEN),
        CleanupState.FORGOTTEN,
        why="An operator ends our care, with who and why; a sweep still destroys what reappears.",
        guards=("lease_has_ended", "no_step_open"),
        operator=True,
    ),
)


CLEANUP_EVENTS = frozenset(str(event) for event in CleanupEvent)


def cleanup_transition(event: CleanupEvent | str) -> CleanupTransition:
    """The row of an event (each event has one), or of its name."""
    return _ROWS[event]


_ROWS: dict[str, CleanupTransition] = {row.event: row for row in CLEANUP_TABLE}
