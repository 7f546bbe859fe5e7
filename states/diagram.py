"""What the pictures of the machine show: the edges that the two tables give.

Failures are one edge, whatever step they come from; what only an operator sends is set apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from leasehold.states.cleanup import CLEANUP_TABLE, OPEN, CleanupState, CleanupTransition
from leasehold.states.lease import LEASE_TABLE, LIVE, LeaseState, Transition


class Look(StrEnum):
    """How an edge is drawn."""

    STRAIGHT = "straight"
    ASIDE = "aside"
    OPERATOR = "operator"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Edge:
    """Ways from some states to one, by one event; for a failure, by any of several.

    ``operator`` says that an operator may send the event; ``intent`` that it is claimed before it is done.
    """

    sources: tuple[str, ...]
    dest: str
    events: tuple[str, ...]
    look: Look
    operator: bool = False
    intent: bool = False

    @property
    def label(self) -> str:
        """What the edge is called."""
        if self.look is not Look.FAILURE:
            return self.events[0]
        return "fail, or a step fails" if "fail" in self.events else "a try fails"


LEASE_PATH = (*LIVE, LeaseState.RELEASED)
CLEANUP_PATH = (CleanupState.NOT_NEEDED, CleanupState.PENDING, CleanupState.SUCCEEDED)
LEASE_ENDS = (LeaseState.RELEASED, LeaseState.FAILED)
CLEANUP_ENDS = tuple(state for state in CleanupState if state not in OPEN and state is not CleanupState.NOT_NEEDED)


def lease_edges() -> tuple[Edge, ...]:
    """The edges of the lease machine, in the table's order; the failure is the last."""
    edges = [edge for row in LEASE_TABLE if row.dest is not LeaseState.FAILED for edge in _ways(row, LEASE_PATH)]
    failing = [row for row in LEASE_TABLE if row.codes]
    sources = {source for row in failing for source in row.sources}
    events = tuple(row.event.value for row in failing)
    edges.append(
        Edge(
            tuple(state.value for state in LeaseState if state in sources),
            LeaseState.FAILED.value,
            events,
            Look.FAILURE,
            operator=any(row.operator for row in failing if row.dest is LeaseState.FAILED),
        )
    )
    return tuple(edges)


def cleanup_edges() -> tuple[Edge, ...]:
    """The edges of the cleanup machine, in the table's order; the failure is the last."""
    edges = [edge for row in CLEANUP_TABLE for edge in _ways(row, CLEANUP_PATH)]
    failing = [row for row in CLEANUP_TABLE if row.failure is not None]
    sources = {source for row in failing for source in row.sources}
    edges.append(
        Edge(
            tuple(state.value for state in CleanupState if state in sources),
            CleanupState.FAILED.value,
            tuple(row.event.value for row in failing),
            Look.FAILURE,
        )
    )
    return tuple(edges)


def _ways(row: Transition | CleanupTransition, path: Sequence[LeaseState | CleanupState]) -> list[Edge]:
    """The edges of one row: what lies on the straight path stands alone, the rest is one edge.

    An operator's edge is one without work of the engine's own: what an operator sends there, nobody else
    has to.
    """
    steps = {(path[number], path[number + 1]) for number in range(len(path) - 1)}
    straight = [source for source in row.sources if (source, row.dest) in steps]
    rest = [source for source in row.sources if source not in straight]
    aside = Look.OPERATOR if row.operator and row.callback is None else Look.ASIDE
    looks = [(straight, Look.STRAIGHT), (rest, aside)]
    return [
        Edge(
            tuple(source.value for source in sources),
            row.dest.value,
            (row.event.value,),
            look,
            operator=row.operator,
            intent=row.intent,
        )
        for sources, look in looks
        if sources
    ]
