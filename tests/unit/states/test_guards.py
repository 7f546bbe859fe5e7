"""A guard says why not, or nothing."""

import pytest
from leasehold.states import GUARDS, CleanupState, Facts, IllegalTransition, LeaseState


@pytest.mark.parametrize(
    ("guard", "facts", "why"),
    [
        ("no_step_open", Facts(), None),
        ("no_step_open", Facts(pending_event="realize"), "realize is under way"),
        ("lease_is_live", Facts(state=LeaseState.TARGETED), None),
        ("lease_is_live", Facts(state=LeaseState.FAILED), "the lease is failed"),
        ("lease_has_ended", Facts(state=LeaseState.RELEASED), None),
        ("lease_has_ended", Facts(state=LeaseState.LEASED), "the lease is still leased"),
        ("no_handle", Facts(), None),
        ("no_handle", Facts(handle={"place": "x"}), "a place was recorded"),
        ("one_owner_all_its_life", Facts(owners=1), None),
        ("one_owner_all_its_life", Facts(owners=2), "the lease had 2 owners"),
    ],
)
def test_a_guard_gives_its_reason(guard: str, facts: Facts, why: str | None) -> None:
    assert GUARDS[guard](facts) == why


def test_an_illegal_transition_says_all_there_is_to_say() -> None:
    error = IllegalTransition("lease1", "release", CleanupState.PENDING.value, "no row leads from there")
    assert str(error) == "lease lease1: release is not possible at pending: no row leads from there"
    assert (error.lease, error.event, error.state, error.why) == (
        "lease1",
        "release",
        "pending",
        "no row leads from there",
    )
