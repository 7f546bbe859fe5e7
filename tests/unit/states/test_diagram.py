"""The pictures show the tables, and nothing else."""

from leasehold.states import CLEANUP_TABLE, LEASE_TABLE, CleanupState, LeaseState
from leasehold.states.diagram import CLEANUP_ENDS, LEASE_ENDS, Edge, Look, cleanup_edges, lease_edges


def _ways(edges: tuple[Edge, ...]) -> set[tuple[str, str, str]]:
    return {(source, edge.dest, event) for edge in edges for source in edge.sources for event in edge.events}


def test_every_way_of_the_lease_table_is_an_edge() -> None:
    rows = {(source.value, row.dest.value, row.event.value) for row in LEASE_TABLE for source in row.sources}
    failures = {way for way in _ways(lease_edges()) if way[1] == "failed"}
    assert rows <= _ways(lease_edges())
    assert _ways(lease_edges()) - failures == rows - failures


def test_every_way_of_the_cleanup_table_is_an_edge() -> None:
    rows = {(source.value, row.dest.value, row.event.value) for row in CLEANUP_TABLE for source in row.sources}
    failing = {
        (source.value, row.failure.value, row.event.value)
        for row in CLEANUP_TABLE
        if row.failure is not None
        for source in row.sources
    }
    assert rows | failing <= _ways(cleanup_edges())
    assert {way for way in _ways(cleanup_edges()) if way[1] != "failed"} == rows


def test_failures_are_one_edge_from_all_that_can_fail() -> None:
    (failure,) = [edge for edge in lease_edges() if edge.look is Look.FAILURE]
    assert failure.sources == tuple(state.value for state in LeaseState if state.live)
    assert set(failure.events) == {row.event.value for row in LEASE_TABLE if row.codes}
    assert [edge.dest for edge in lease_edges() if edge.dest == "failed"] == ["failed"]
    (failure,) = [edge for edge in cleanup_edges() if edge.look is Look.FAILURE]
    assert (failure.sources, failure.events) == (("pending", "failed"), ("clean", "keep", "park"))


def test_the_happy_path_is_straight_and_unbroken() -> None:
    straight = [edge for edge in lease_edges() if edge.look is Look.STRAIGHT]
    assert [edge.sources for edge in straight[1:]] == [(edge.dest,) for edge in straight[:-1]]
    assert (straight[0].sources, straight[-1].dest) == (("requested",), "released")
    straight = [edge for edge in cleanup_edges() if edge.look is Look.STRAIGHT]
    assert [(edge.sources, edge.dest) for edge in straight] == [
        (("not_needed",), "pending"),
        (("pending",), "succeeded"),
    ]


def test_what_an_operator_may_send_is_known_of_every_edge() -> None:
    sendable = {row.event.value for row in (*LEASE_TABLE, *CLEANUP_TABLE) if row.operator}
    for edge in (*lease_edges(), *cleanup_edges()):
        if edge.look is not Look.FAILURE:
            assert edge.operator == (edge.events[0] in sendable), edge
        if edge.look is Look.OPERATOR:
            assert edge.operator, edge


def test_the_ends_are_the_states_that_nothing_leaves() -> None:
    left = {source for row in LEASE_TABLE for source in row.sources}
    assert set(LEASE_ENDS) == set(LeaseState) - left
    left_cleanup = {source for row in CLEANUP_TABLE for source in row.sources}
    assert set(CLEANUP_ENDS) == set(CleanupState) - left_cleanup
