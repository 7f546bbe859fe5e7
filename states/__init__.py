"""What may happen to a lease. Pure: no I/O, no clock, no randomness, no logging."""

from leasehold.states.cleanup import (
    CLEANUP_EVENTS,
    CLEANUP_TABLE,
    DUE,
    CleanupEvent,
    CleanupState,
    CleanupTransition,
    cleanup_transition,
)
from leasehold.states.code import ErrorCode
from leasehold.states.facts import Facts
from leasehold.states.fold import BrokenJournal, apply, fold, step
from leasehold.states.guards import GUARDS
from leasehold.states.illegal import IllegalTransition
from leasehold.states.journal import Entry, Kind, Note
from leasehold.states.lease import (
    ENDED,
    HOLDING,
    LEASE_EVENTS,
    LEASE_TABLE,
    LIVE,
    LeaseEvent,
    LeaseState,
    Transition,
    transition,
)
from leasehold.states.plan import REPLAY_TABLE, Answer, Move, Open, PlanRow, open_step, plan_row, plan_rows
from leasehold.states.policy import POLICY_TABLE, Outcome, Policy, PolicyRow, cleanup_event
from leasehold.states.status import STATUS_TABLE, Status, StatusRow, Stuck, cleanup_status, held, status, stuck

__all__ = [
    "CLEANUP_EVENTS",
    "CLEANUP_TABLE",
    "DUE",
    "ENDED",
    "GUARDS",
    "HOLDING",
    "LEASE_EVENTS",
    "LEASE_TABLE",
    "LIVE",
    "POLICY_TABLE",
    "REPLAY_TABLE",
    "STATUS_TABLE",
    "Answer",
    "BrokenJournal",
    "CleanupEvent",
    "CleanupState",
    "CleanupTransition",
    "Entry",
    "ErrorCode",
    "Facts",
    "IllegalTransition",
    "Kind",
    "LeaseEvent",
    "LeaseState",
    "Move",
    "Note",
    "Open",
    "Outcome",
    "PlanRow",
    "Policy",
    "PolicyRow",
    "Status",
    "StatusRow",
    "Stuck",
    "Transition",
    "apply",
    "cleanup_event",
    "cleanup_status",
    "cleanup_transition",
    "fold",
    "held",
    "open_step",
    "plan_row",
    "plan_rows",
    "status",
    "step",
    "stuck",
    "transition",
]
