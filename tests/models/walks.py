"""Walks through the machine: the moves that a journal could hold, and those that it may.

``MOVES`` are all events with all kinds and codes, sensible or not. ``lawful`` says, from the tables and the
design alone, which may happen where; the fold must come to the same answer. ``World`` knows every situation
that lawful moves reach. ``walks`` gives every lawful walk up to a length, to be driven through something real.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from leasehold.states import (
    CLEANUP_TABLE,
    GUARDS,
    LEASE_TABLE,
    BrokenJournal,
    CleanupState,
    Entry,
    ErrorCode,
    Facts,
    Kind,
    LeaseEvent,
    LeaseState,
    Note,
    cleanup_transition,
    step,
    transition,
)

LEASE_EVENTS = tuple(row.event.value for row in LEASE_TABLE)
CLEANUP_EVENTS = tuple(row.event.value for row in CLEANUP_TABLE)
NOTES = tuple(note.value for note in Note)
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Move:
    """One journal row, as far as it does not follow from where it is written."""

    event: str
    kind: Kind = Kind.DONE
    code: str | None = None
    passed_over: bool = False

    def __str__(self) -> str:
        more = f" {self.code}" if self.code else " passed over" if self.passed_over else ""
        return f"{self.event} {self.kind}{more}"


def _moves() -> Iterator[Move]:
    codes = (None, *(code.value for code in ErrorCode))
    for event in (*LEASE_EVENTS, *CLEANUP_EVENTS):
        for kind in Kind:
            yield from (Move(event, kind, code) for code in codes)
    for row in LEASE_TABLE:
        if row.intent:
            yield Move(row.event.value, passed_over=True)
    for note in NOTES:
        yield Move(note, Kind.NOTE)
        yield Move(note, Kind.DONE)
    yield Move("dance")


MOVES = tuple(_moves())


def entry(facts: Facts, move: Move) -> Entry:
    """The row that this move writes where the lease stands so."""
    source: str | None = None
    dest: str | None = None
    if move.event in LEASE_EVENTS:
        source = facts.state.value
        failing = move.kind is Kind.FAILED
        moved = LeaseState.FAILED if failing else transition(LeaseEvent(move.event)).dest
        dest = moved.value if move.kind in (Kind.DONE, Kind.FAILED) else source
    elif move.event in CLEANUP_EVENTS:
        source = facts.cleanup.value
        row = cleanup_transition(move.event)
        to = {Kind.DONE: row.dest, Kind.FAILED: row.failure}.get(move.kind) or facts.cleanup
        dest = to.value
    taking = move.event in (Note.TAKE_OVER, Note.ATTACH)
    epoch = facts.epoch + 1 if taking or facts.version == 0 else facts.epoch
    begins = move.kind is Kind.BEGUN
    return Entry(
        seq=facts.version + 1,
        at=(facts.version + 1) * SECOND,
        event=move.event,
        kind=move.kind,
        source=source,
        dest=dest,
        attempt=f"attempt-{facts.version + 1}" if begins else facts.pending_attempt,
        owner=f"owner-{epoch}" if taking or facts.version == 0 else facts.owner,
        epoch=epoch,
        error_code=move.code,
        details=_details(facts, move),
    )


def _details(facts: Facts, move: Move) -> Mapping[str, object]:
    at = (facts.version + 1) * SECOND
    if move.passed_over:
        return {**_details(facts, Move(move.event)), "passed_over": "none"}
    if move.kind is Kind.BEGUN:
        return {"deadline": at + 60 * SECOND, **({"key": "ledger-lease-1"} if move.event == "acquire" else {})}
    if move.kind is Kind.FAILED:
        return {"stage": move.event, "message": f"{move.event} went wrong", "next_try_at": at + SECOND}
    return {
        "resolve": {"expires_at": at + 3600 * SECOND},
        "acquire": {"handle": {"driver": "scripted", "place": "place-1"}} if move.kind is Kind.DONE else {},
        "fail": {"stage": "run", "message": "the run failed"},
        "extend": {"expires_at": at + 7200 * SECOND},
        "keep": {"keep_until": at + 86_400 * SECOND},
        "park": {"keep_until": at + 600 * SECOND},
    }.get(move.event, {})


def journal(*moves: Move) -> tuple[Entry, ...]:
    """The journal of these moves. Raises ``BrokenJournal`` at the first that may not happen."""
    facts, entries = Facts(), list[Entry]()
    for move in moves:
        entries.append(entry(facts, move))
        facts = step(facts, entries[-1])
    return tuple(entries)


def lawful(facts: Facts, move: Move) -> bool:
    """Whether the tables and the design allow this move where the lease stands so."""
    if move.event in NOTES:
        held = facts.state is LeaseState.TARGETED and facts.pending_event is None and facts.owner is not None
        return move.kind is Kind.NOTE and (move.event != Note.DETACH or held)
    if facts.version and facts.owner is None:
        return False
    if move.event in LEASE_EVENTS:
        return _lawful_for_the_lease(facts, move)
    return move.event in CLEANUP_EVENTS and _lawful_for_the_cleanup(facts, move)


def _lawful_for_the_lease(facts: Facts, move: Move) -> bool:
    row = transition(LeaseEvent(move.event))
    if facts.state not in row.sources or not _claimed(facts, move, row.intent, row.guards):
        return False
    if move.event == LeaseEvent.ACQUIRE and move.kind is Kind.DONE and not facts.cleanup.open:
        return False
    fails = move.kind is Kind.FAILED or (move.event == LeaseEvent.FAIL and move.kind is Kind.DONE)
    return move.code in row.codes if fails else move.code is None


def _lawful_for_the_cleanup(facts: Facts, move: Move) -> bool:
    row = cleanup_transition(move.event)
    if facts.cleanup not in row.sources or not _claimed(facts, move, row.intent, row.guards):
        return False
    if move.kind is not Kind.FAILED:
        return move.code is None
    first = facts.cleanup_tries == 0
    due = ErrorCode.LEASE_RELEASE_FAILED if first else ErrorCode.LEASE_CLEANUP_FAILED
    return row.failure is not None and move.code == due.value


def _claimed(facts: Facts, move: Move, intent: bool, guards: Sequence[str]) -> bool:
    """Whether the step may be begun, or is the one under way; without an intent, whether it may be done."""
    free = all(GUARDS[name](facts) is None for name in guards)
    if move.passed_over and move.event == LeaseEvent.PROVISION:
        return free
    if move.kind is Kind.NOTE:
        return False
    if move.kind is Kind.BEGUN:
        return intent and free
    if intent:
        return facts.pending_event == move.event
    return free and move.kind is not Kind.ABANDONED


@dataclass(frozen=True, slots=True)
class Situation:
    """All of the facts that decide what may happen next."""

    state: LeaseState
    cleanup: CleanupState
    pending: str | None
    place: bool
    taken_over: bool
    owned: bool
    tried: bool
    error: bool
    begun: bool

    @classmethod
    def of(cls, facts: Facts) -> "Situation":
        return cls(
            state=facts.state,
            cleanup=facts.cleanup,
            pending=facts.pending_event,
            place=facts.handle is not None,
            taken_over=facts.owners > 1,
            owned=facts.owner is not None,
            tried=facts.cleanup_tries > 0,
            error=facts.error_code is not None,
            begun=facts.version > 0,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One lawful move from a situation, and where it leads."""

    move: Move
    to: Situation


class World:
    """Every situation that lawful moves reach, each with a journal that leads there and its ways on."""

    def __init__(self) -> None:
        start = Situation.of(Facts())
        self.facts: dict[Situation, Facts] = {start: Facts()}
        self.journals: dict[Situation, tuple[Entry, ...]] = {start: ()}
        self.steps: dict[Situation, list[Step]] = {}
        todo = [start]
        for here in todo:
            self.steps[here] = []
            for move in MOVES:
                if not lawful(self.facts[here], move):
                    continue
                row = entry(self.facts[here], move)
                facts = step(self.facts[here], row)
                there = Situation.of(facts)
                self.steps[here].append(Step(move, there))
                if there not in self.facts:
                    self.facts[there], self.journals[there] = facts, (*self.journals[here], row)
                    todo.append(there)

    def reach(self, here: Situation, *, without_notes: bool = False) -> set[Situation]:
        """All situations that can follow this one, itself among them."""
        found, todo = {here}, [here]
        for situation in todo:
            for each in self.steps[situation]:
                if each.to not in found and not (without_notes and each.move.event in NOTES):
                    found.add(each.to)
                    todo.append(each.to)
        return found


def walks(length: int, moves: Sequence[Move] = MOVES) -> Iterator[tuple[Move, ...]]:
    """Every lawful walk of 1 to ``length`` of these moves, from the start, each before those that go on from it."""

    def on(facts: Facts, walked: tuple[Move, ...]) -> Iterator[tuple[Move, ...]]:
        for move in moves:
            if lawful(facts, move):
                further = (*walked, move)
                yield further
                if len(further) < length:
                    yield from on(step(facts, entry(facts, move)), further)

    yield from on(Facts(), ())


def is_refused(facts: Facts, move: Move) -> BrokenJournal | None:
    """The fold's refusal of a move, or ``None``."""
    try:
        step(facts, entry(facts, move))
    except BrokenJournal as broken:
        return broken
    return None
