"""A lease is stuck when nobody will move it on without help, and the reason is said."""

from dataclasses import replace

import pytest
from leasehold.states import CleanupState, Facts, LeaseState, Stuck, held, stuck

NOW = 1_000
LIVE = Facts(version=5, state=LeaseState.TARGETED, cleanup=CleanupState.PENDING, owner="a", owners=1, expires_at=2_000)
BUSY = replace(LIVE, state=LeaseState.LEASED, pending_event="realize", pending_attempt="x", pending_deadline=1_500)
ENDED = replace(LIVE, state=LeaseState.RELEASED, ended_at=900)


@pytest.mark.parametrize(
    ("facts", "alive", "why"),
    [
        (LIVE, True, None),
        (LIVE, False, Stuck.OWNER_LOST),
        (BUSY, True, None),
        (BUSY, False, Stuck.OWNER_LOST),
        (replace(BUSY, pending_deadline=999), True, Stuck.STEP_OVERDUE),
        (replace(BUSY, pending_deadline=NOW), True, None),
        (replace(LIVE, expires_at=999), True, Stuck.EXPIRED),
        (replace(LIVE, expires_at=NOW), True, None),
        (replace(LIVE, expires_at=None), True, None),
        (replace(LIVE, owner=None), False, None),
        (replace(LIVE, owner=None, expires_at=999), False, Stuck.EXPIRED),
        (replace(LIVE, owner=None, state=LeaseState.LEASED), False, Stuck.OWNER_LOST),
        (replace(BUSY, owner=None), False, Stuck.OWNER_LOST),
        (ENDED, True, Stuck.CLEANUP_FAILED),
        (replace(ENDED, cleanup=CleanupState.FAILED), False, Stuck.CLEANUP_FAILED),
        (replace(ENDED, cleanup=CleanupState.SUCCEEDED), False, None),
        (replace(ENDED, cleanup=CleanupState.RETAINED), False, None),
        (replace(ENDED, cleanup=CleanupState.PARKED), False, None),
        (replace(ENDED, cleanup=CleanupState.NOT_NEEDED), False, None),
        (replace(ENDED, pending_event="clean", pending_deadline=1_500), True, None),
        (replace(ENDED, pending_event="clean", pending_deadline=999), True, Stuck.STEP_OVERDUE),
        (replace(ENDED, pending_event="clean", pending_deadline=1_500), False, Stuck.OWNER_LOST),
    ],
)
def test_why_it_is_stuck(facts: Facts, alive: bool, why: Stuck | None) -> None:
    assert stuck(facts, NOW, owner_alive=alive) is why


@pytest.mark.parametrize(
    ("facts", "alive", "waits_until", "in_hand"),
    [
        (LIVE, True, None, True),
        (LIVE, False, None, False),
        (replace(LIVE, owner=None), True, None, False),
        (replace(BUSY, pending_deadline=999), True, None, False),
        (replace(LIVE, expires_at=999), True, None, True),
        (replace(LIVE, expires_at=NOW - 101), True, None, False),
        (replace(LIVE, state=LeaseState.RESOLVED), True, NOW, True),
        (replace(LIVE, state=LeaseState.RESOLVED, expires_at=None), True, NOW - 5_000_101, False),
        (ENDED, True, None, False),
        (replace(ENDED, pending_event="clean", pending_deadline=1_500), True, None, True),
        (replace(ENDED, pending_event="clean", pending_deadline=1_500), False, None, False),
    ],
)
def test_who_has_it_in_hand(facts: Facts, alive: bool, waits_until: int | None, in_hand: bool) -> None:
    """A living owner, unless its step is overdue, or it has forgotten the lease for longer than the grace."""
    assert held(facts, NOW, owner_alive=alive, grace=100, waits_until=waits_until) is in_hand
