"""The replay plan: what becomes of the step that a crash left open."""

from dataclasses import dataclass
from enum import StrEnum

from leasehold.states.cleanup import DUE
from leasehold.states.facts import Facts
from leasehold.states.gloss import Glossed
from leasehold.states.lease import LeaseState


class Open(StrEnum):
    """The step that was found open."""

    ACQUIRE = "acquire"
    REALIZE = "realize"
    PROVISION = "provision"
    SYNC_BACK = "sync_back"
    CLEAN = "clean"
    KEEP = "keep"
    PARK = "park"
    BETWEEN = "between"
    TARGETED = "targeted"


class Answer(Glossed):
    """What the driver said when it was asked about that step."""

    FOUND = "found", "the place stands"
    ABSENT = "absent", "no place stands"
    UNKNOWN = "unknown", "it cannot say"
    KNOWN = "known", "the command has ended, and how"
    NOT_ASKED = "not_asked", "it is not asked"


class Move(Glossed):
    """One move of recovery."""

    FAIL = "fail", "end the lease as failed"
    CLEAN = "clean", "clean its place up"
    ABSOLVE = "absolve", "owe nothing, for no place stands"
    LEAVE_PENDING = "leave_pending", "leave the cleanup owed"
    ADOPT = "adopt", "adopt the place that stands"
    AGAIN = "again", "do the step again"
    WAIT = "wait", "wait until the driver can say"
    USE = "use", "use the exit status that was recorded"
    REALIZE_AFRESH = "realize_afresh", "make the workspace anew"
    KEEP = "keep", "keep its place for a person"
    LEAVE = "leave", "leave the lease without an owner, to be attached"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One row: the moves of the default (abandon) and of ``--resume``."""

    open: Open
    answer: Answer
    abandon: tuple[Move, ...]
    resume: tuple[Move, ...]
    why: str


_RETRY_WHY = "A cleanup is only ever tried again; there is nothing to decide."
REPLAY_TABLE: tuple[PlanRow, ...] = (
    PlanRow(
        Open.ACQUIRE,
        Answer.FOUND,
        (Move.FAIL, Move.CLEAN),
        (Move.ADOPT,),
        "The place stands under our key, though nobody recorded its handle.",
    ),
    PlanRow(
        Open.ACQUIRE,
        Answer.ABSENT,
        (Move.FAIL, Move.ABSOLVE),
        (Move.AGAIN,),
        "The provider has proven that no place stands under our key; the same key may be used again.",
    ),
    PlanRow(
        Open.ACQUIRE,
        Answer.UNKNOWN,
        (Move.FAIL, Move.LEAVE_PENDING),
        (Move.WAIT,),
        "A place may still appear: the lease ends, its cleanup stays owed until the answer is sure.",
    ),
    PlanRow(
        Open.REALIZE,
        Answer.NOT_ASKED,
        (Move.FAIL, Move.CLEAN),
        (Move.AGAIN,),
        "Realizing may be run again; a half-made workspace is made anew.",
    ),
    PlanRow(
        Open.PROVISION,
        Answer.KNOWN,
        (Move.FAIL, Move.CLEAN),
        (Move.USE,),
        "The exit status was recorded at the place: a finished command is never run again.",
    ),
    PlanRow(
        Open.PROVISION,
        Answer.UNKNOWN,
        (Move.FAIL, Move.CLEAN),
        (Move.REALIZE_AFRESH,),
        "Nobody knows how far the command came: it is not run twice over the same tree.",
    ),
    PlanRow(
        Open.SYNC_BACK,
        Answer.NOT_ASKED,
        (Move.FAIL, Move.KEEP),
        (Move.AGAIN,),
        "Its plan is written down and each file is renamed into place: going on is safe.",
    ),
    PlanRow(Open.CLEAN, Answer.NOT_ASKED, (Move.AGAIN,), (Move.AGAIN,), _RETRY_WHY),
    PlanRow(Open.KEEP, Answer.NOT_ASKED, (Move.AGAIN,), (Move.AGAIN,), _RETRY_WHY),
    PlanRow(Open.PARK, Answer.NOT_ASKED, (Move.AGAIN,), (Move.AGAIN,), _RETRY_WHY),
    PlanRow(
        Open.BETWEEN,
        Answer.NOT_ASKED,
        (Move.FAIL, Move.CLEAN),
        (Move.AGAIN,),
        "The last step was settled and the next never began.",
    ),
    PlanRow(
        Open.TARGETED,
        Answer.NOT_ASKED,
        (Move.FAIL, Move.CLEAN),
        (Move.LEAVE,),
        "The run may be attached again; without that, its command ended with its owner.",
    ),
)


def plan_row(found: Open, answer: Answer = Answer.NOT_ASKED) -> PlanRow:
    """The row for an open step and the driver's answer. Raises ``KeyError`` where no row fits."""
    return _ROWS[found, answer]


def plan_rows(found: Open) -> tuple[PlanRow, ...]:
    """All rows of an open step: one for each answer that the driver may give."""
    return tuple(row for row in REPLAY_TABLE if row.open is found)


def open_step(facts: Facts) -> Open | None:
    """What of a lease is left to settle; none where it has ended and nothing is owed now."""
    if facts.pending_event is not None:
        return Open(facts.pending_event)
    if facts.state is LeaseState.TARGETED:
        return Open.TARGETED
    if facts.state.live:
        return Open.BETWEEN
    return Open.CLEAN if facts.cleanup in DUE else None


_ROWS = {(row.open, row.answer): row for row in REPLAY_TABLE}
