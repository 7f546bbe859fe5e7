"""A journal is told as legs: what moved, when, how long it took, and what failed."""

import pytest
from leasehold.states import Entry, Kind
from leasehold.states.path import Ending, Leg, Track, duration, legs
from walks import Move, journal


def test_a_life_has_a_leg_for_each_step(life: tuple[Entry, ...]) -> None:
    told = [(leg.track, leg.event, leg.source, leg.dest) for leg in legs(life)]
    assert told == [
        (Track.LEASE, "resolve", "requested", "resolved"),
        (Track.CLEANUP, "owe", "not_needed", "pending"),
        (Track.LEASE, "acquire", "resolved", "leased"),
        (Track.LEASE, "realize", "leased", "realized"),
        (Track.LEASE, "provision", "realized", "provisioned"),
        (Track.LEASE, "target", "provisioned", "targeted"),
        (Track.LEASE, "sync_back", "targeted", "targeted"),
        (Track.LEASE, "release", "targeted", "released"),
        (Track.CLEANUP, "clean", "pending", "succeeded"),
    ]
    assert all(leg.ending is Ending.DONE for leg in legs(life))


def test_failures_that_follow_each_other_are_one_leg(broken_life: tuple[Entry, ...]) -> None:
    walked = legs(broken_life)
    tries = [(leg.title, leg.code, leg.source) for leg in walked if leg.track is Track.CLEANUP and leg.failed]
    assert tries == [
        ("clean failed", "lease_release_failed", "pending"),
        ("clean failed, 2 tries", "lease_cleanup_failed", "failed"),
    ]
    (failure,) = [leg for leg in walked if leg.track is Track.LEASE and leg.failed]
    assert failure.code == "workspace_realization_failed"
    assert failure.message == "provision went wrong"
    (note,) = [leg for leg in walked if leg.ending is Ending.NOTE]
    assert (note.event, note.source, note.dest) == ("take_over", "failed", "failed")


def test_the_step_under_way_comes_last(open_life: tuple[Entry, ...]) -> None:
    last = legs(open_life)[-1]
    assert (last.event, last.ending, last.source, last.dest) == ("realize", Ending.OPEN, "leased", "realized")
    assert last.at == 4_000_000


def test_an_abandoned_step_went_nowhere() -> None:
    walked = legs(journal(Move("resolve"), Move("acquire", Kind.BEGUN), Move("acquire", Kind.ABANDONED)))
    assert [(leg.title, leg.dest) for leg in walked] == [("resolve", "resolved"), ("acquire abandoned", "resolved")]


def test_a_cancelled_lease_says_so() -> None:
    (leg,) = legs(journal(Move("fail", code="lease_cancelled")))
    assert (leg.title, leg.code, leg.failed) == ("fail", "lease_cancelled", True)


def test_a_row_of_no_table_is_no_leg() -> None:
    (first,) = journal(Move("resolve"))
    assert [leg.event for leg in legs([first, first._replace(seq=2, event="dance")])] == ["resolve"]


def test_a_leg_tells_its_time() -> None:
    leg = Leg(Track.LEASE, "acquire", "resolved", "leased", Ending.DONE, 12_000, took=340)
    assert leg.time == "+12 ms, took 340 ms"


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [
        (0, "0 ms"),
        (400, "0 ms"),
        (340_000, "340 ms"),
        (999_900, "1 s"),
        (3_400_000, "3.4 s"),
        (60_000_000, "1 min"),
        (125_000_000, "2 min 5 s"),
        (11_520_000_000, "3 h 12 min"),
        (2 * 86_400_000_000 + 3 * 3_600_000_000, "2 d 3 h"),
        (-5, "0 ms"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(microseconds: int, said: str) -> None:
    assert duration(microseconds) == said
