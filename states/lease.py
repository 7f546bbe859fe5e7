"""The lease table: the eight states of a lease, and every way from one to the next.

Two rules stand above the table:

1. A row is the only way to its destination. What no row allows raises ``IllegalTransition`` and
   changes nothing.
2. A row with an intent is claimed before it is done: "this step begins now" is committed first, so
   that whoever finds the lease after a crash knows what may stand out there.

The machine, the diagrams, the reference pages, the model check and the tests all read this table.
"""

from dataclasses import dataclass
from enum import StrEnum

from leasehold.states.code import ErrorCode


class LeaseState(StrEnum):
    """Where a lease stands.

    Each member has three glosses: ``meaning``, ``moved_by`` (who moves it on) and ``crash`` (what a
    crash here means).
    """

    _value_: str
    meaning: str
    moved_by: str
    crash: str

    def __new__(cls, value: str, meaning: str = "", moved_by: str = "", crash: str = "") -> "LeaseState":
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.moved_by = moved_by
        member.crash = crash
        return member

    REQUESTED = (
        "requested",
        "the request is accepted; nothing is held",
        "the engine, at once: this state is never stored alone",
        "nothing was written, nothing is held",
    )
    RESOLVED = (
        "resolved",
        "the environment is chosen, active, and allowed for this company, adapter and workspace",
        "the owner, by acquiring",
        "the open intent says that a place may stand: recovery asks the driver by the resource key",
    )
    LEASED = (
        "leased",
        "the driver has given a place; its handle is recorded",
        "the owner, by realizing",
        "the place stands and is owed; what is in it counts for nothing",
    )
    REALIZED = (
        "realized",
        "the workspace stands in the place; its record is recorded",
        "the owner, by provisioning",
        "the place stands and is owed; the provision command may have run in part",
    )
    PROVISIONED = (
        "provisioned",
        "the provision command has succeeded, or there was none to run (the journal says which)",
        "the owner, by resolving the target",
        "the place stands and is owed",
    )
    TARGETED = (
        "targeted",
        "the target is resolved; the run may execute",
        "the run, by its end; the owner at expiry; an operator",
        "the run's command ends with its supervisor; the place stands and is owed",
    )
    RELEASED = (
        "released",
        "ended as wanted",
        "nobody: what is still owed is the cleanup's",
        "the cleanup says what is still owed",
    )
    FAILED = (
        "failed",
        "ended by a failure; the first error's code stands on it for good",
        "nobody: what is still owed is the cleanup's",
        "the cleanup says what is still owed",
    )

    @property
    def live(self) -> bool:
        """Whether the lease has not ended yet."""
        return self not in ENDED


class LeaseEvent(StrEnum):
    """What moves a lease. The names stand in the journal."""

    RESOLVE = "resolve"
    ACQUIRE = "acquire"
    REALIZE = "realize"
    PROVISION = "provision"
    TARGET = "target"
    SYNC_BACK = "sync_back"
    RELEASE = "release"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the lease table.

    ``callback`` names the step of the engine that does the work (none: the row only records).
    ``intent`` says that the step has a side effect and is claimed first. ``guards`` name functions
    in ``guards.py``. ``codes`` are the only codes that a failure here may have. ``operator`` marks
    what a person may send.
    """

    event: LeaseEvent
    sources: tuple[LeaseState, ...]
    dest: LeaseState
    why: str
    callback: str | None = None
    intent: bool = False
    guards: tuple[str, ...] = ()
    codes: tuple[ErrorCode, ...] = ()
    operator: bool = False


ENDED = frozenset({LeaseState.RELEASED, LeaseState.FAILED})
LIVE = tuple(state for state in LeaseState if state not in ENDED)
HOLDING = (LeaseState.LEASED, LeaseState.REALIZED, LeaseState.PROVISIONED, LeaseState.TARGETED)

LEASE_TABLE: tuple[Transition, ...] = (
    Transition(
        LeaseEvent.RESOLVE,
        (LeaseState.REQUESTED,),
        LeaseState.RESOLVED,
        why="Everything that can be refused without paying for a place is refused here.",
        callback="resolve",
        guards=("no_step_open",),
        codes=(
            ErrorCode.ENVIRONMENT_NOT_FOUND,
            ErrorCode.ENVIRONMENT_INACTIVE,
            ErrorCode.UNSUPPORTED_ENVIRONMENT,
            ErrorCode.UNSUPPORTED_ADAPTER_ENVIRONMENT,
            ErrorCode.WORKSPACE_REALIZATION_FAILED,
        ),
    ),
    Transition(
        LeaseEvent.ACQUIRE,
        (LeaseState.RESOLVED,),
        LeaseState.LEASED,
        why="The driver is asked by a key of this lease alone: the same key gives the same place.",
        callback="acquire",
        intent=True,
        guards=("no_step_open",),
        codes=(ErrorCode.PROBE_FAILED, ErrorCode.LEASE_CONFLICT, ErrorCode.LEASE_ACQUIRE_FAILED),
    ),
    Transition(
        LeaseEvent.REALIZE,
        (LeaseState.LEASED,),
        LeaseState.REALIZED,
        why="Putting the workspace there may be run again: a half-made one is made anew.",
        callback="realize",
        intent=True,
        guards=("no_step_open",),
        codes=(ErrorCode.WORKSPACE_REALIZATION_FAILED,),
    ),
    Transition(
        LeaseEvent.PROVISION,
        (LeaseState.REALIZED,),
        LeaseState.PROVISIONED,
        why="Once per realized workspace; its own exit status is recorded at the place.",
        callback="provision",
        intent=True,
        guards=("no_step_open",),
        codes=(ErrorCode.WORKSPACE_REALIZATION_FAILED,),
    ),
    Transition(
        LeaseEvent.TARGET,
        (LeaseState.PROVISIONED,),
        LeaseState.TARGETED,
        why="Resolving a target has no effect at the place, so its outcome rides along.",
        callback="target",
        guards=("no_step_open",),
        codes=(ErrorCode.TRANSPORT_RESOLUTION_FAILED,),
    ),
    Transition(
        LeaseEvent.SYNC_BACK,
        (LeaseState.TARGETED,),
        LeaseState.TARGETED,
        why="A step like others: its plan is written before the first file changes.",
        callback="sync_back",
        intent=True,
        guards=("no_step_open",),
        codes=(ErrorCode.WORKSPACE_SYNC_FAILED,),
    ),
    Transition(
        LeaseEvent.RELEASE,
        HOLDING,
        LeaseState.RELEASED,
        why="Ended as wanted; it commits together with the first cleanup intent.",
        guards=("no_step_open",),
        operator=True,
    ),
    Transition(
        LeaseEvent.FAIL,
        LIVE,
        LeaseState.FAILED,
        why="Every live state can fail, once; it commits together with the first cleanup intent.",
        guards=("no_step_open",),
        codes=(
            ErrorCode.RUN_FAILED,
            ErrorCode.LEASE_EXPIRED,
            ErrorCode.LEASE_OWNER_LOST,
            ErrorCode.LEASE_CANCELLED,
            ErrorCode.TRANSPORT_RESOLUTION_FAILED,  # asked by a platform before anything is realized
        ),
        operator=True,
    ),
)


LEASE_EVENTS = frozenset(str(event) for event in LeaseEvent)


def transition(event: LeaseEvent | str) -> Transition:
    """The row of an event (each event has one), or of its name."""
    return _ROWS[event]


_ROWS: dict[str, Transition] = {row.event: row for row in LEASE_TABLE}
