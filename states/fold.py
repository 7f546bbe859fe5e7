"""Folding: a lease's journal, row by row, gives its facts.

Each row must be one that the tables allow; the first that is not raises ``BrokenJournal`` with the
number of the invariant that it breaks (DESIGN section 12).
"""

from collections.abc import Iterable

from leasehold.states.cleanup import CLEANUP_EVENTS, CleanupState, CleanupTransition, cleanup_transition
from leasehold.states.code import ErrorCode
from leasehold.states.facts import Facts
from leasehold.states.guards import GUARDS
from leasehold.states.journal import Entry, Kind, Note
from leasehold.states.lease import LEASE_EVENTS, LeaseEvent, LeaseState, Transition, transition

_NOTES = frozenset(Note)
_NEW_HOLDER = frozenset({Note.TAKE_OVER, Note.ATTACH})


class BrokenJournal(Exception):
    """A journal row that no table allows. ``invariant`` is its number, ``seq`` the row's."""

    def __init__(self, invariant: int, seq: int, why: str) -> None:
        super().__init__(f"invariant {invariant}: journal row {seq}: {why}")
        self.invariant = invariant
        self.seq = seq
        self.why = why


def fold(entries: Iterable[Entry]) -> Facts:
    """The facts that a whole journal gives, oldest row first."""
    facts = Facts()
    for entry in entries:
        facts = step(facts, entry)
    return facts


def step(facts: Facts, entry: Entry) -> Facts:
    """The facts after one more row. Raises ``BrokenJournal``; ``facts`` stay as they are."""
    after = facts.copy()
    apply(after, entry)
    return after


def apply(after: Facts, entry: Entry) -> None:
    """Move the facts on by one row, in place. They are worthless where it raises ``BrokenJournal``."""
    if entry.seq != after.version + 1:
        raise BrokenJournal(6, entry.seq, f"row {after.version + 1} is missing")
    _check_holder(after, entry)
    if entry.error_code is not None and entry.kind is not Kind.FAILED and entry.event != LeaseEvent.FAIL:
        raise BrokenJournal(7, entry.seq, f"{entry.event} {entry.kind} has an error code")
    if after.version == 0:
        after.created_at, after.owners = entry.at, 1
    after.version, after.owner, after.epoch = entry.seq, entry.owner, entry.epoch
    if entry.event in LEASE_EVENTS:
        _lease_step(after, entry)
    elif entry.event in CLEANUP_EVENTS:
        _cleanup_step(after, entry)
    elif entry.event in _NOTES and entry.kind is Kind.NOTE:
        _note(after, entry)
    else:
        raise BrokenJournal(5, entry.seq, f"there is no event {entry.event!r} of kind {entry.kind}")


def _check_holder(facts: Facts, entry: Entry) -> None:
    if facts.version == 0:
        return
    if entry.epoch < facts.epoch:
        raise BrokenJournal(1, entry.seq, f"epoch {entry.epoch} after {facts.epoch}")
    new_holder = entry.event in _NEW_HOLDER
    if new_holder and entry.epoch == facts.epoch:
        raise BrokenJournal(1, entry.seq, f"{entry.event} without a new epoch")
    if not new_holder and (entry.epoch, entry.owner) != (facts.epoch, facts.owner):
        raise BrokenJournal(1, entry.seq, f"{entry.event} by {entry.owner} who does not hold the lease")
    if facts.owner is None and entry.event not in _NOTES:
        raise BrokenJournal(1, entry.seq, f"{entry.event} of a lease that nobody holds")


def _lease_step(after: Facts, entry: Entry) -> None:
    row = transition(entry.event)
    if entry.source != after.state or after.state not in row.sources:
        raise BrokenJournal(5, entry.seq, f"{entry.event} from {entry.source} at {after.state}")
    _settle_or_claim(after, entry, row)
    match entry.kind:
        case Kind.DONE:
            _require_dest(entry, row.dest)
            after.state = row.dest
            _lease_done(after, entry)
        case Kind.FAILED:
            _require_dest(entry, LeaseState.FAILED)
            _fail(after, entry, row)
        case Kind.BEGUN | Kind.ABANDONED:
            _require_dest(entry, after.state)
        case Kind.NOTE:
            raise BrokenJournal(5, entry.seq, f"{entry.event} cannot be a note")
    details = entry.details
    if "key" in details:
        after.resource_key = details["key"]
    if "handle" in details:
        after.handle = details["handle"]
    if "digests" in details:
        after.digests = {**after.digests, **details["digests"]}


def _lease_done(after: Facts, entry: Entry) -> None:
    match entry.event:
        case LeaseEvent.RESOLVE:
            after.expires_at = entry.details.get("expires_at")
        case LeaseEvent.ACQUIRE:
            if entry.details.get("handle") is None:
                raise BrokenJournal(3, entry.seq, "acquire is done without a handle")
            if not after.cleanup.open:
                raise BrokenJournal(3, entry.seq, "acquire is done, and its place is not owed")
            after.acquired_at = entry.at
        case LeaseEvent.RELEASE:
            after.ended_at = entry.at
        case LeaseEvent.FAIL:
            _fail(after, entry, transition(LeaseEvent.FAIL))
        case _:
            pass


def _fail(after: Facts, entry: Entry, row: Transition) -> None:
    if entry.error_code not in row.codes:
        raise BrokenJournal(7, entry.seq, f"{entry.event} does not fail with {entry.error_code}")
    after.state = LeaseState.FAILED
    after.error_code = entry.error_code
    after.error_stage = entry.details.get("stage")
    after.error_message = entry.details.get("message")
    after.ended_at = entry.at
    if entry.event == LeaseEvent.RESOLVE:
        after.expires_at = entry.details.get("expires_at")


def _cleanup_step(after: Facts, entry: Entry) -> None:
    row = cleanup_transition(entry.event)
    if entry.source != after.cleanup or after.cleanup not in row.sources:
        raise BrokenJournal(5, entry.seq, f"{entry.event} from {entry.source} at {after.cleanup}")
    _settle_or_claim(after, entry, row)
    match entry.kind:
        case Kind.BEGUN:
            _require_dest(entry, after.cleanup)
            after.next_try_at = None
        case Kind.DONE:
            _require_dest(entry, row.dest)
            after.cleanup = row.dest
            after.keep_until = entry.details.get("keep_until")
            after.next_try_at = None
        case Kind.FAILED if row.failure is not None:
            _require_dest(entry, row.failure)
            after.cleanup = row.failure
            first = ErrorCode.LEASE_RELEASE_FAILED if after.cleanup_tries == 0 else ErrorCode.LEASE_CLEANUP_FAILED
            if entry.error_code != str(first):
                raise BrokenJournal(7, entry.seq, f"try {after.cleanup_tries + 1} fails with {first}")
            after.cleanup_tries += 1
            after.cleanup_error_code = entry.error_code
            after.next_try_at = entry.details.get("next_try_at")
        case Kind.ABANDONED:
            _require_dest(entry, after.cleanup)
            after.next_try_at = entry.details.get("next_try_at")
        case _:
            raise BrokenJournal(5, entry.seq, f"{entry.event} has no row of kind {entry.kind}")
    if "handle" in entry.details:
        after.handle = entry.details["handle"]


def _settle_or_claim(after: Facts, entry: Entry, row: Transition | CleanupTransition) -> None:
    """A begun row opens the step; every other row of a step with an intent must close that very one."""
    if entry.kind is Kind.BEGUN:
        if not row.intent:
            raise BrokenJournal(5, entry.seq, f"{entry.event} has no intent")
        _check_guards(after, entry, row.guards)
        after.pending_event, after.pending_attempt = entry.event, entry.attempt
        after.pending_since, after.pending_deadline = entry.at, entry.details.get("deadline")
        return
    passed_over = entry.event == LeaseEvent.PROVISION and "passed_over" in entry.details
    if entry.kind is Kind.ABANDONED and not row.intent:
        raise BrokenJournal(5, entry.seq, f"{entry.event} has no intent that could be abandoned")
    if row.intent and not passed_over:
        if (after.pending_event, after.pending_attempt) != (entry.event, entry.attempt):
            raise BrokenJournal(9, entry.seq, f"{entry.event} {entry.kind} without its intent")
        after.pending_event = after.pending_attempt = None
        after.pending_since = after.pending_deadline = None
    else:
        _check_guards(after, entry, row.guards)


def _check_guards(after: Facts, entry: Entry, guards: tuple[str, ...]) -> None:
    for name in guards:
        why = GUARDS[name](after)
        if why is not None:
            raise BrokenJournal(5, entry.seq, f"{entry.event}: {why}")


def _require_dest(entry: Entry, dest: LeaseState | CleanupState) -> None:
    if entry.dest != dest:
        raise BrokenJournal(5, entry.seq, f"{entry.event} {entry.kind} leads to {dest}, not to {entry.dest}")


def _note(after: Facts, entry: Entry) -> None:
    match entry.event:
        case Note.TAKE_OVER | Note.ATTACH:
            after.owners += 1
        case Note.DETACH:
            if after.state is not LeaseState.TARGETED or after.pending_event is not None or after.owner is None:
                raise BrokenJournal(5, entry.seq, f"detach at {after.state}: only a held lease at rest is let go")
            after.owner = None
        case Note.EXTEND:
            after.expires_at = entry.details.get("expires_at")
        case _:
            pass
