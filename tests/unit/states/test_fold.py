"""A journal folds into its facts; each kind of broken one is refused under its invariant."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from leasehold.states import BrokenJournal, CleanupState, Entry, Facts, Kind, LeaseState, fold, step
from leasehold.states.fold import apply
from walks import SECOND, Move, journal

Change = Callable[[list[Entry]], Sequence[Entry]]


def test_a_whole_life(life: tuple[Entry, ...]) -> None:
    facts = fold(life)
    assert (facts.state, facts.cleanup, facts.version) == (LeaseState.RELEASED, CleanupState.SUCCEEDED, 14)
    assert (facts.owner, facts.owners, facts.epoch) == ("owner-1", 1, 1)
    assert facts.resource_key == "ledger-lease-1"
    assert facts.handle == {"driver": "scripted", "place": "place-1"}
    assert (facts.created_at, facts.acquired_at, facts.ended_at) == (SECOND, 4 * SECOND, 12 * SECOND)
    assert facts.expires_at == 3601 * SECOND
    assert (facts.error_code, facts.cleanup_error_code, facts.pending_event) == (None, None, None)


def test_a_life_that_fails_keeps_its_first_error(broken_life: tuple[Entry, ...]) -> None:
    facts = fold(broken_life)
    assert (facts.state, facts.cleanup) == (LeaseState.FAILED, CleanupState.SUCCEEDED)
    assert (facts.error_code, facts.error_stage) == ("workspace_realization_failed", "provision")
    assert facts.error_message == "provision went wrong"
    assert (facts.cleanup_error_code, facts.cleanup_tries) == ("lease_cleanup_failed", 3)
    assert (facts.owner, facts.owners, facts.epoch) == ("owner-2", 2, 2)
    assert facts.next_try_at is None


def test_an_open_step_has_its_attempt_and_its_deadline(open_life: tuple[Entry, ...]) -> None:
    facts = fold(open_life)
    assert (facts.pending_event, facts.pending_attempt) == ("realize", "attempt-5")
    assert (facts.pending_since, facts.pending_deadline) == (5 * SECOND, 65 * SECOND)


def test_an_abandoned_step_leaves_the_state_and_may_be_begun_again() -> None:
    facts = fold(
        journal(
            Move("resolve"),
            Move("acquire", Kind.BEGUN),
            Move("owe"),
            Move("acquire", Kind.ABANDONED),
            Move("acquire", Kind.BEGUN),
        )
    )
    assert (facts.state, facts.pending_attempt) == (LeaseState.RESOLVED, "attempt-5")
    assert facts.cleanup is CleanupState.PENDING


def test_a_provision_that_is_passed_over_has_no_intent(life: tuple[Entry, ...]) -> None:
    entries = journal(
        Move("resolve"),
        Move("acquire", Kind.BEGUN),
        Move("owe"),
        Move("acquire"),
        Move("realize", Kind.BEGUN),
        Move("realize"),
        Move("provision", passed_over=True),
    )
    assert fold(entries).state is LeaseState.PROVISIONED


def test_the_place_is_kept_until_its_deadline_and_then_reclaimed() -> None:
    failed = (
        Move("resolve"),
        Move("acquire", Kind.BEGUN),
        Move("owe"),
        Move("acquire"),
        Move("fail", code="run_failed"),
    )
    kept = journal(*failed, Move("keep", Kind.BEGUN), Move("keep"))
    assert (fold(kept).cleanup, fold(kept).keep_until) == (CleanupState.RETAINED, (7 + 86_400) * SECOND)
    reclaimed = journal(*failed, Move("keep", Kind.BEGUN), Move("keep"), Move("reclaim"))
    assert (fold(reclaimed).cleanup, fold(reclaimed).keep_until) == (CleanupState.PENDING, None)


def test_a_failed_cleanup_has_its_next_try() -> None:
    facts = fold(
        journal(
            Move("resolve"),
            Move("acquire", Kind.BEGUN),
            Move("owe"),
            Move("acquire", Kind.FAILED, "lease_acquire_failed"),
            Move("clean", Kind.BEGUN),
            Move("clean", Kind.FAILED, "lease_release_failed"),
        )
    )
    assert facts.next_try_at == 7 * SECOND
    assert facts.cleanup_error_code == "lease_release_failed"


def test_notes_move_the_holder_and_the_end_and_no_state() -> None:
    held = (
        Move("resolve"),
        Move("acquire", Kind.BEGUN),
        Move("owe"),
        Move("acquire"),
        Move("realize", Kind.BEGUN),
        Move("realize"),
        Move("provision", passed_over=True),
        Move("target"),
    )
    facts = fold(journal(*held, Move("extend", Kind.NOTE), Move("detach", Kind.NOTE)))
    assert (facts.state, facts.owner, facts.owners) == (LeaseState.TARGETED, None, 1)
    assert facts.expires_at == (9 + 7200) * SECOND
    facts = fold(journal(*held, Move("detach", Kind.NOTE), Move("attach", Kind.NOTE)))
    assert (facts.owner, facts.owners, facts.epoch) == ("owner-2", 2, 2)


def test_digests_are_gathered() -> None:
    first, second = journal(Move("resolve"), Move("acquire", Kind.BEGUN))
    before = fold([first._replace(details={"digests": {"a": "1"}})])
    after = step(before, second._replace(details={"digests": {"b": "2"}}))
    assert (before.digests, after.digests) == ({"a": "1"}, {"a": "1", "b": "2"})


def test_a_step_leaves_the_facts_before_it_as_they_were(life: tuple[Entry, ...]) -> None:
    before = fold(life[:4])
    remembered = before.copy()
    step(before, life[4])
    assert before == remembered
    apply(before, life[4])
    assert before == fold(life[:5])


def _changed(number: int, **fields: Any) -> Change:
    return lambda rows: [*rows[: number - 1], rows[number - 1]._replace(**fields), *rows[number:]]


BROKEN: list[tuple[int, str, Change]] = [
    (6, "row 1 is missing", lambda rows: rows[1:]),
    (6, "row 5 is missing", lambda rows: [*rows[:4], *rows[5:]]),
    (6, "row 2 is missing", lambda rows: [rows[0], *rows]),
    (1, "epoch 0 after 1", _changed(4, epoch=0)),
    (1, "acquire by thief who does not hold the lease", _changed(4, owner="thief")),
    (1, "acquire by owner-1 who does not hold the lease", _changed(4, epoch=7)),
    (1, "take_over without a new epoch", _changed(4, event="take_over", kind=Kind.NOTE)),
    (3, "acquire is done without a handle", _changed(4, details={})),
    (3, "its place is not owed", lambda rows: [*rows[:2], rows[3]._replace(seq=3)]),
    (5, "there is no event 'dance'", _changed(1, event="dance")),
    (5, "there is no event 'extend' of kind done", _changed(4, event="extend")),
    (5, "acquire from leased at resolved", _changed(2, source="leased")),
    (5, "acquire done leads to leased, not to targeted", _changed(4, dest="targeted")),
    (5, "resolve has no intent", _changed(1, kind=Kind.BEGUN)),
    (5, "resolve cannot be a note", _changed(1, kind=Kind.NOTE)),
    (5, "resolve has no intent that could be abandoned", _changed(1, kind=Kind.ABANDONED, dest="requested")),
    (5, "owe has no row of kind failed", _changed(3, kind=Kind.FAILED, error_code="run_failed")),
    (5, "acquire is under way", lambda rows: [*rows[:3], rows[1]._replace(seq=4, attempt="other")]),
    (5, "clean from pending at not_needed", lambda rows: [rows[0], rows[12]._replace(seq=2)]),
    (5, "the lease is still leased", lambda rows: [*rows[:4], rows[12]._replace(seq=5)]),
    (5, "detach at leased", lambda rows: [*rows[:4], rows[4]._replace(event="detach", kind=Kind.NOTE)]),
    (7, "resolve done has an error code", _changed(1, error_code="run_failed")),
    (7, "resolve does not fail with None", _changed(1, kind=Kind.FAILED, dest="failed")),
    (
        7,
        "acquire does not fail with run_failed",
        _changed(4, kind=Kind.FAILED, dest="failed", error_code="run_failed"),
    ),
    (
        7,
        "try 1 fails with lease_release_failed",
        _changed(14, kind=Kind.FAILED, dest="failed", error_code="lease_cleanup_failed"),
    ),
    (9, "acquire done without its intent", _changed(4, attempt="another")),
    (9, "acquire done without its intent", lambda rows: [rows[0], rows[3]._replace(seq=2)]),
    (9, "clean done without its intent", _changed(14, attempt="another")),
]


@pytest.mark.parametrize(("invariant", "about", "change"), BROKEN)
def test_a_broken_journal_is_refused(invariant: int, about: str, change: Change, life: tuple[Entry, ...]) -> None:
    with pytest.raises(BrokenJournal, match=about) as raised:
        fold(change(list(life)))
    assert raised.value.invariant == invariant
    assert str(raised.value).startswith(f"invariant {invariant}: journal row {raised.value.seq}: ")


def test_a_lease_that_nobody_holds_is_not_moved() -> None:
    rows = journal(
        Move("resolve"),
        Move("acquire", Kind.BEGUN),
        Move("owe"),
        Move("acquire"),
        Move("realize", Kind.BEGUN),
        Move("realize"),
        Move("provision", passed_over=True),
        Move("target"),
        Move("detach", Kind.NOTE),
    )
    release = Entry(10, 10 * SECOND, "release", Kind.DONE, "targeted", "released", None, None, 1)
    with pytest.raises(BrokenJournal, match="release of a lease that nobody holds") as raised:
        fold([*rows, release])
    assert raised.value.invariant == 1


def test_facts_start_with_nothing() -> None:
    assert fold([]) == Facts()
