"""One lease's way through the machine, as its journal tells it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from leasehold.states.cleanup import CLEANUP_EVENTS, CleanupEvent, CleanupState, cleanup_transition
from leasehold.states.journal import Entry, Kind
from leasehold.states.lease import LEASE_EVENTS, LeaseEvent, LeaseState, transition


class Track(StrEnum):
    """Which machine a leg belongs to."""

    LEASE = "lease"
    CLEANUP = "cleanup"


class Ending(StrEnum):
    """How a leg ended."""

    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"
    OPEN = "open"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of the way.

    ``at`` is when it ended (an open one: when it began), in microseconds from the journal's first row.
    ``took`` is in milliseconds, where the journal says it. ``tries`` counts failures that follow each
    other; their leg has the time of the last. A note has the state in which it was written as its end.
    """

    track: Track
    event: str
    source: str
    dest: str
    ending: Ending
    at: int
    took: int | None = None
    code: str | None = None
    message: str | None = None
    tries: int = 1

    @property
    def failed(self) -> bool:
        """Whether it is to be shown in red."""
        failing = self.track is Track.LEASE and self.dest == LeaseState.FAILED.value
        return self.ending is Ending.FAILED or (self.ending is Ending.DONE and failing)

    @property
    def time(self) -> str:
        """Its time, for a person: ``+12 ms, took 340 ms``."""
        took = "" if self.took is None else f", took {duration(self.took * 1000)}"
        return f"+{duration(self.at)}{took}"

    @property
    def title(self) -> str:
        """What happened, for a person."""
        tries = f", {self.tries} tries" if self.tries > 1 else ""
        ending = {
            Ending.ABANDONED: " abandoned",
            Ending.OPEN: " under way",
            Ending.FAILED: " failed" if self.event != LeaseEvent.FAIL else "",
        }
        return f"{self.event}{ending.get(self.ending, '')}{tries}"


def legs(entries: Iterable[Entry]) -> tuple[Leg, ...]:
    """The legs that a journal tells, oldest first; the step that is under way is the last."""
    found: list[Leg] = []
    under_way: Leg | None = None
    state = LeaseState.REQUESTED.value
    first: int | None = None
    for entry in entries:
        first = entry.at if first is None else first
        leg = _leg(entry, entry.at - first, state)
        if leg is None:
            continue
        if leg.ending is Ending.OPEN:
            under_way = leg
            continue
        if leg.ending is not Ending.NOTE:
            if under_way is not None and under_way.event == leg.event:
                under_way = None
            state = leg.dest if leg.track is Track.LEASE else state
        _add(found, leg)
    if under_way is not None:
        found.append(under_way)
    return tuple(found)


def _add(found: list[Leg], leg: Leg) -> None:
    last = found[-1] if found else None
    again = last is not None and (last.track, last.event, last.ending) == (leg.track, leg.event, leg.ending)
    if last is not None and again and leg.ending is Ending.FAILED:
        found[-1] = replace(leg, source=last.source, tries=last.tries + 1)
    else:
        found.append(leg)


def _leg(entry: Entry, at: int, state: str) -> Leg | None:
    track = Track.CLEANUP if entry.event in CLEANUP_EVENTS else Track.LEASE
    source, dest = entry.source or state, entry.dest or state
    if entry.kind is Kind.NOTE:
        return Leg(Track.LEASE, entry.event, state, state, Ending.NOTE, at)
    if entry.event not in CLEANUP_EVENTS and entry.event not in LEASE_EVENTS:
        return None
    ending = Ending.OPEN if entry.kind is Kind.BEGUN else Ending(entry.kind.value)
    if ending is Ending.OPEN:
        dest = _aim(track, entry.event)
    details: Any = entry.details
    message = details.get("message")
    return Leg(track, entry.event, source, dest, ending, at, entry.duration_ms, entry.error_code, message)


def _aim(track: Track, event: str) -> str:
    """Where a step leads that is under way."""
    if track is Track.CLEANUP:
        return cleanup_transition(CleanupEvent(event)).dest.value
    return transition(LeaseEvent(event)).dest.value


def first_state(track: Track) -> str:
    """Where every way begins."""
    return LeaseState.REQUESTED.value if track is Track.LEASE else CleanupState.NOT_NEEDED.value


def duration(microseconds: int) -> str:
    """A duration for a person, in at most two units: ``340 ms``, ``3.4 s``, ``2 min 5 s``, ``3 d 4 h``."""
    milliseconds = max(0, round(microseconds / 1000))
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s".replace(".0 s", " s")
    seconds = milliseconds // 1000
    unit, size, below, part = next(row for row in _UNITS if seconds >= row[1])
    rest = seconds % size // part
    return f"{seconds // size} {unit}" + (f" {rest} {below}" if rest else "")


_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))
