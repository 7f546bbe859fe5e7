"""The five literals are whole: nothing in them is unused, and nothing that is used is missing."""

from collections import Counter
from collections.abc import Iterable

import pytest
from leasehold import states
from leasehold.states import (
    CLEANUP_TABLE,
    ENDED,
    GUARDS,
    HOLDING,
    LEASE_TABLE,
    LIVE,
    POLICY_TABLE,
    REPLAY_TABLE,
    STATUS_TABLE,
    Answer,
    CleanupEvent,
    CleanupState,
    ErrorCode,
    LeaseEvent,
    LeaseState,
    Move,
    Open,
    Outcome,
    Policy,
    Status,
    Stuck,
    cleanup_event,
    cleanup_transition,
    plan_row,
    status,
    transition,
)

_OF_THE_CLEANUP = {ErrorCode.LEASE_RELEASE_FAILED, ErrorCode.LEASE_CLEANUP_FAILED}


def _sentence(why: str) -> bool:
    return why[0].isupper() and why.endswith(".") and len(why) >= 15


def test_every_row_says_why() -> None:
    for table in (LEASE_TABLE, CLEANUP_TABLE, POLICY_TABLE, REPLAY_TABLE, STATUS_TABLE):
        for row in table:
            assert _sentence(row.why), row


def test_every_event_has_one_row() -> None:
    assert [row.event for row in LEASE_TABLE] == list(LeaseEvent)
    assert [row.event for row in CLEANUP_TABLE] == list(CleanupEvent)
    for row in LEASE_TABLE:
        assert transition(row.event) is row
    for cleanup in CLEANUP_TABLE:
        assert cleanup_transition(cleanup.event) is cleanup


def test_no_event_has_two_meanings() -> None:
    assert not {event.value for event in LeaseEvent} & {event.value for event in CleanupEvent}


def test_every_state_is_reached_and_every_live_one_is_left() -> None:
    reached = {row.dest for row in LEASE_TABLE} | {LeaseState.REQUESTED}
    assert reached == set(LeaseState)
    assert {source for row in LEASE_TABLE for source in row.sources} == set(LIVE)
    cleanup = {row.dest for row in CLEANUP_TABLE} | {row.failure for row in CLEANUP_TABLE} - {None}
    assert cleanup == set(CleanupState)


def test_live_and_ended_are_all_states_and_what_holds_a_place_is_live() -> None:
    assert (*LIVE, *(state for state in LeaseState if state in ENDED)) == tuple(LeaseState)
    assert set(HOLDING) < set(LIVE)
    assert all(state.live == (state in LIVE) for state in LeaseState)
    assert set(transition(LeaseEvent.RELEASE).sources) == set(HOLDING)
    assert set(transition(LeaseEvent.FAIL).sources) == set(LIVE)


def test_every_code_has_a_row_that_gives_it() -> None:
    given = {code for row in LEASE_TABLE for code in row.codes}
    assert given | _OF_THE_CLEANUP == set(ErrorCode)
    assert not given & _OF_THE_CLEANUP


def test_the_codes_are_those_of_the_design() -> None:
    """The design's table, event by event: values are public and never change."""
    assert {row.event.value: {code.value for code in row.codes} for row in LEASE_TABLE} == {
        "resolve": {
            "environment_not_found",
            "environment_inactive",
            "unsupported_environment",
            "unsupported_adapter_environment",
            "workspace_realization_failed",
        },
        "acquire": {"probe_failed", "lease_conflict", "lease_acquire_failed"},
        "realize": {"workspace_realization_failed"},
        "provision": {"workspace_realization_failed"},
        "target": {"transport_resolution_failed"},
        "sync_back": {"workspace_sync_failed"},
        "release": set[str](),
        "fail": {
            "run_failed",
            "lease_expired",
            "lease_owner_lost",
            "lease_cancelled",
            "transport_resolution_failed",
        },
    }


def test_what_can_fail_has_a_code_and_what_has_an_effect_an_intent() -> None:
    effects = {"acquire", "realize", "provision", "sync_back"}
    assert {row.event.value for row in LEASE_TABLE if row.intent} == effects
    assert {row.event.value for row in CLEANUP_TABLE if row.intent} == {"clean", "keep", "park"}
    for row in LEASE_TABLE:
        assert (row.callback is None) == (row.event in (LeaseEvent.RELEASE, LeaseEvent.FAIL))
        assert row.callback is None or row.codes
    for cleanup in CLEANUP_TABLE:
        assert cleanup.intent == (cleanup.callback is not None) == (cleanup.failure is not None)


def test_every_guard_that_is_named_exists_and_every_guard_is_named() -> None:
    named = {guard for table in (LEASE_TABLE, CLEANUP_TABLE) for row in table for guard in row.guards}
    assert named == set(GUARDS)
    for name, guard in GUARDS.items():
        assert guard.__name__ == name
        assert _sentence(guard.__doc__ or ""), name


def test_nothing_of_the_lease_moves_while_a_step_is_open() -> None:
    assert all("no_step_open" in row.guards for row in LEASE_TABLE)
    assert all("no_step_open" in row.guards for row in CLEANUP_TABLE if row.event is not CleanupEvent.OWE)


def test_the_policy_table_is_total() -> None:
    assert Counter((row.policy, row.outcome) for row in POLICY_TABLE) == Counter(
        (policy, outcome) for policy in Policy for outcome in Outcome
    )
    for row in POLICY_TABLE:
        assert cleanup_event(row.policy, row.outcome) is row.event
        assert CleanupState.PENDING in cleanup_transition(row.event).sources


@pytest.mark.parametrize(
    ("policy", "success", "failure"),
    [
        ("ephemeral", "clean", "clean"),
        ("retain_on_failure", "clean", "keep"),
        ("reuse_by_environment", "park", "clean"),
        ("reuse_by_execution_workspace", "park", "clean"),
    ],
)
def test_the_policies_are_those_of_the_design(policy: str, success: str, failure: str) -> None:
    assert cleanup_event(Policy(policy), Outcome.SUCCESS) == success
    assert cleanup_event(Policy(policy), Outcome.FAILURE) == failure
    assert cleanup_event(Policy(policy), Outcome.SYNC_FAILED) == "keep"
    assert cleanup_event(Policy(policy), Outcome.SUCCESS_TAKEN_OVER) == "clean"
    assert Policy(policy).reuses == (success == "park")


def test_the_plan_has_a_row_for_each_open_step() -> None:
    assert {row.open for row in REPLAY_TABLE} == set(Open)
    assert {row.answer for row in REPLAY_TABLE} == set(Answer)
    assert {move for row in REPLAY_TABLE for move in (*row.abandon, *row.resume)} == set(Move)
    intents = {row.event.value for row in LEASE_TABLE if row.intent} | {
        row.event.value for row in CLEANUP_TABLE if row.intent
    }
    assert intents <= {step.value for step in Open}
    for row in REPLAY_TABLE:
        assert plan_row(row.open, row.answer) is row
        assert row.abandon
        assert row.resume
    assert len({(row.open, row.answer) for row in REPLAY_TABLE}) == len(REPLAY_TABLE)


def test_the_plan_has_no_row_for_an_answer_that_nobody_asked() -> None:
    with pytest.raises(KeyError):
        plan_row(Open.REALIZE, Answer.FOUND)


@pytest.mark.parametrize("state", LeaseState)
@pytest.mark.parametrize("cleanup", CleanupState)
def test_every_lease_has_a_status(state: LeaseState, cleanup: CleanupState) -> None:
    codes = [None] if state is not LeaseState.FAILED else [code.value for code in ErrorCode]
    for code in codes:
        found = status(state, cleanup, code)
        assert (found is Status.ACTIVE) == state.live
        if not state.live and cleanup in (CleanupState.PENDING, CleanupState.FAILED):
            assert found is Status.PENDING_CLEANUP


@pytest.mark.parametrize(
    ("state", "cleanup", "code", "said"),
    [
        ("targeted", "pending", None, "active"),
        ("failed", "retained", "lease_expired", "retained"),
        ("released", "failed", None, "pending_cleanup"),
        ("failed", "succeeded", "lease_expired", "expired"),
        ("failed", "not_needed", "lease_cancelled", "expired"),
        ("failed", "succeeded", "run_failed", "failed"),
        ("released", "parked", None, "released"),
        ("released", "succeeded", None, "released"),
    ],
)
def test_the_status_is_the_first_row_that_fits(state: str, cleanup: str, code: str | None, said: str) -> None:
    assert status(LeaseState(state), CleanupState(cleanup), code) == said


def test_every_status_can_be_had() -> None:
    had = {
        status(state, cleanup, code.value if code and state is LeaseState.FAILED else None)
        for state in LeaseState
        for cleanup in CleanupState
        for code in (None, *ErrorCode)
    }
    assert had == set(Status)


def _glossed() -> Iterable[tuple[str, str]]:
    for state in LeaseState:
        yield from ((state.name, gloss) for gloss in (state.meaning, state.moved_by, state.crash))
    yield from ((cleanup.name, cleanup.meaning) for cleanup in CleanupState)
    yield from ((code.name, code.gloss) for code in ErrorCode)
    yield from ((stuck.name, stuck.gloss) for stuck in Stuck)


def test_every_member_has_its_gloss_and_its_name_is_its_value() -> None:
    for name, gloss in _glossed():
        assert len(gloss) > 10, name
        assert not gloss.endswith("."), name
    for kind in (LeaseState, LeaseEvent, CleanupState, CleanupEvent, ErrorCode, Stuck):
        assert all(member.value == member.name.lower() for member in kind)


def test_all_public_names_are_there() -> None:
    assert all(hasattr(states, name) for name in states.__all__)
    assert list(states.__all__) == sorted(states.__all__, key=lambda name: (not name.isupper(), name))
