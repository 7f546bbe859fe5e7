"""The model check: every situation that the tables reach, with every event, kind and code.

The fold is the transition function; ``walks.lawful`` says from the tables and the design what it must answer.
Numbers are those of the invariants in DESIGN section 12.
"""

import random
from collections import defaultdict
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.states import (
    LEASE_TABLE,
    POLICY_TABLE,
    BrokenJournal,
    CleanupState,
    Entry,
    Facts,
    Kind,
    LeaseState,
    Policy,
    cleanup_event,
    cleanup_transition,
    fold,
    step,
    transition,
)
from leasehold.states.lease import LeaseEvent
from leasehold.states.policy import Outcome
from walks import CLEANUP_EVENTS, LEASE_EVENTS, MOVES, NOTES, Move, Situation, World, entry, is_refused, lawful, walks

SETTLED = tuple(state for state in CleanupState if not state.open)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_the_world_is_whole(world: World) -> None:
    assert {here.state for here in world.facts} == set(LeaseState)
    assert {here.cleanup for here in world.facts} == set(CleanupState)
    assert {each.move.event for ways in world.steps.values() for each in ways} == {
        *LEASE_EVENTS,
        *CLEANUP_EVENTS,
        *NOTES,
    }
    assert len(world.facts) > 100


def test_5_the_fold_allows_exactly_what_the_tables_allow(world: World) -> None:
    wrong = [
        (here, str(move), str(refusal))
        for here, facts in world.facts.items()
        for move in MOVES
        for refusal in [is_refused(facts, move)]
        if (refusal is None) != lawful(facts, move)
    ]
    assert wrong == []


def test_5_an_illegal_event_raises_and_changes_nothing(world: World) -> None:
    for facts in world.facts.values():
        before = deepcopy(facts)
        for move in MOVES:
            is_refused(facts, move)
        assert facts == before


def test_5_each_state_is_reached_only_through_a_row(world: World) -> None:
    for here, ways in world.steps.items():
        for each in ways:
            if each.to.state is not here.state:
                row = transition(LeaseEvent(each.move.event))
                assert here.state in row.sources
                assert each.to.state is (LeaseState.FAILED if each.to.error else row.dest)
            if each.to.cleanup is not here.cleanup:
                cleanup = cleanup_transition(each.move.event)
                assert here.cleanup in cleanup.sources
                assert each.to.cleanup in (cleanup.dest, cleanup.failure)


def test_5_a_row_that_leads_elsewhere_is_refused(world: World) -> None:
    for here, facts in world.facts.items():
        for each in world.steps[here]:
            row = entry(facts, each.move)
            for false in (*LeaseState, *CleanupState, "nowhere", None):
                moved = row._replace(dest=None if false is None else str(false))
                if each.move.event not in NOTES and moved != row:
                    with pytest.raises(BrokenJournal) as raised:
                        step(facts, moved)
                    assert raised.value.invariant == 5


def test_6_a_journal_folds_into_its_facts(world: World) -> None:
    for here, entries in world.journals.items():
        assert fold(entries) == world.facts[here]


def test_6_a_gap_is_refused(world: World) -> None:
    for entries in world.journals.values():
        for missing in range(len(entries) - 1):
            with pytest.raises(BrokenJournal, match="is missing") as raised:
                fold([*entries[:missing], *entries[missing + 1 :]])
            assert raised.value.invariant == 6


def test_6_a_row_twice_is_refused(world: World) -> None:
    for entries in world.journals.values():
        if entries:
            with pytest.raises(BrokenJournal):
                fold([*entries, entries[-1]])


def test_1_a_row_of_somebody_else_is_refused(world: World) -> None:
    for here, facts in world.facts.items():
        if not here.begun:
            continue
        for each in world.steps[here]:
            row = entry(facts, each.move)
            for false in (row._replace(owner="somebody"), row._replace(epoch=0)):
                if each.move.event not in ("take_over", "attach") or false.epoch == 0:
                    with pytest.raises(BrokenJournal) as raised:
                        step(facts, false)
                    assert raised.value.invariant == 1


def test_7_the_same_failure_at_the_same_step_is_the_same_code_and_the_same_plan(world: World) -> None:
    codes: dict[tuple[str, LeaseState], set[frozenset[str]]] = defaultdict(set)
    for here, ways in world.steps.items():
        failing = [each for each in ways if each.to.state is LeaseState.FAILED and here.state.live]
        by_event: dict[str, set[str]] = defaultdict(set)
        for each in failing:
            assert each.move.code is not None
            by_event[each.move.event].add(each.move.code)
            after = step(world.facts[here], entry(world.facts[here], each.move))
            assert (after.error_code, after.cleanup) == (each.move.code, here.cleanup)
        for event, allowed in by_event.items():
            codes[event, here.state].add(frozenset(allowed))
    assert {event for event, _ in codes} == {row.event.value for row in LEASE_TABLE if row.codes}
    for (event, _), seen in codes.items():
        assert seen == {frozenset(code.value for code in transition(LeaseEvent(event)).codes)}


def test_7_the_policy_alone_decides_the_first_cleanup_and_it_is_always_possible(world: World) -> None:
    assert {(row.policy, row.outcome) for row in POLICY_TABLE} == {(p, o) for p in Policy for o in Outcome}
    owed = [here for here in world.facts if here.cleanup is CleanupState.PENDING and here.pending is None]
    for here in owed:
        if here.state.live or not here.owned:
            continue
        outcomes = {
            LeaseState.RELEASED: (Outcome.SUCCESS_TAKEN_OVER if here.taken_over else Outcome.SUCCESS,),
            LeaseState.FAILED: (Outcome.FAILURE, Outcome.SYNC_FAILED),
        }[here.state]
        for policy in Policy:
            for outcome in outcomes:
                first = Move(cleanup_event(policy, outcome).value, Kind.BEGUN)
                assert lawful(world.facts[here], first), (here, policy, outcome)


def test_8_the_first_error_is_never_overwritten(world: World) -> None:
    for here, facts in world.facts.items():
        if not here.error:
            continue
        for each in world.steps[here]:
            after = step(facts, entry(facts, each.move))
            told = (after.error_code, after.error_stage, after.error_message)
            assert told == (facts.error_code, facts.error_stage, facts.error_message)


def test_8_an_ended_lease_never_moves_again(world: World) -> None:
    for here, ways in world.steps.items():
        if not here.state.live:
            assert {each.to.state for each in ways} == {here.state}


def test_9_a_step_that_is_done_is_never_begun_again(world: World) -> None:
    order = list(LeaseState)
    for here, ways in world.steps.items():
        for each in ways:
            if each.move.kind is Kind.BEGUN and each.move.event in LEASE_EVENTS:
                dest = transition(LeaseEvent(each.move.event)).dest
                assert order.index(dest) > order.index(here.state) or each.move.event == "sync_back"


def test_4_every_live_lease_can_end_and_every_place_can_too(world: World) -> None:
    for here in world.facts:
        after = world.reach(here)
        assert any(not there.state.live for there in after), here
        assert any(not there.state.live and there.cleanup in SETTLED for there in after), here


def test_4_every_open_step_can_be_settled_by_its_owner(world: World) -> None:
    for here in world.facts:
        if here.pending is not None:
            assert any(there.pending is None for there in world.reach(here, without_notes=True)), here


def test_4_nobody_is_needed_but_an_owner(world: World) -> None:
    """A lease without an owner moves on when somebody takes it, and only then."""
    for here, ways in world.steps.items():
        if not here.owned and here.begun:
            moved = {each.move.event for each in ways if each.to.owned}
            assert moved == {"take_over", "attach"}


def test_3_a_place_stands_only_where_it_is_owed_or_settled(world: World) -> None:
    for here in world.facts:
        if here.place:
            assert here.cleanup is not CleanupState.NOT_NEEDED, here
        if here.state.live and here.place:
            assert here.cleanup is CleanupState.PENDING, here


def test_4_what_is_owed_ends_by_a_row_that_says_so(world: World) -> None:
    """Once a place is owed, an ended lease is ``not_needed`` again only by ``absolve``."""
    start = next(iter(world.facts))
    todo: list[tuple[Situation, bool]] = [(start, False)]
    seen = set(todo)
    for here, debt in todo:
        if debt and not here.state.live:
            assert here.cleanup is not CleanupState.NOT_NEEDED, here
        for each in world.steps[here]:
            owes = (debt or each.move.event == "owe") and each.move.event != "absolve"
            if (each.to, owes) not in seen:
                seen.add((each.to, owes))
                todo.append((each.to, owes))
    assert any(debt and here.cleanup is CleanupState.SUCCEEDED for here, debt in seen)


def test_4_a_cleanup_that_is_settled_stays_so(world: World) -> None:
    for here, ways in world.steps.items():
        if here.cleanup in SETTLED and not here.state.live:
            assert {each.to.cleanup for each in ways} == {here.cleanup}


def test_only_a_lease_of_one_owner_parks(world: World) -> None:
    for here in world.facts:
        if here.taken_over:
            assert Move("park", Kind.BEGUN) not in [each.move for each in world.steps[here]]


def test_every_walk_of_five_rows_is_one_that_the_fold_takes() -> None:
    quiet = [move for move in MOVES if move.event not in NOTES]
    found = list(walks(5, quiet))
    assert len(found) == len(set(found)) > 500
    for walk in found:
        facts, entries = Facts(), list[Entry]()
        for move in walk:
            entries.append(entry(facts, move))
            facts = step(facts, entries[-1])
        assert fold(entries) == facts


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 60))
def test_a_long_random_walk_keeps_the_invariants(seed: int, length: int) -> None:
    dice = random.Random(seed)
    facts, entries = Facts(), list[Entry]()
    for _ in range(length):
        move = dice.choice([move for move in MOVES if lawful(facts, move)])
        row = entry(facts, move)
        after = step(facts, row)
        assert after.version == facts.version + 1
        assert after.epoch >= facts.epoch
        assert after.owners >= facts.owners
        assert facts.error_code in (None, after.error_code)
        assert facts.state.live or after.state is facts.state
        assert after.state.live or after.ended_at is not None
        assert (after.pending_event is None) == (after.pending_attempt is None)
        entries.append(row)
        facts = after
    assert fold(entries) == facts
