"""What may happen to a lease. Pure: no I/O, no clock, no randomness, no logging."""

from .cleanup import CLEANUP_TABLE, CleanupEvent, CleanupState, CleanupTransition, cleanup_transition
from .code import ErrorCode
from .facts import Facts
from .fold import BrokenJournal, fold, step
from .guards import GUARDS
from .illegal import IllegalTransition
from .journal import Entry, Kind, Note
from .lease import ENDED, HOLDING, LEASE_TABLE, LIVE, LeaseEvent, LeaseState, Transition, transition
from .plan import REPLAY_TABLE, Answer, Move, Open, PlanRow, plan_row
from .policy import POLICY_TABLE, Outcome, Policy, PolicyRow, cleanup_event
from .status import STATUS_TABLE, Status, StatusRow, Stuck, status, stuck

__all__ = [
    "CLEANUP_TABLE",
    "ENDED",
    "GUARDS",
    "HOLDING",
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
    "cleanup_event",
    "cleanup_transition",
    "fold",
    "plan_row",
    "status",
    "step",
    "stuck",
    "transition",
]
