"""Journals that the pictures are drawn from."""

import pytest
from leasehold.states import Entry, Kind
from walks import Move, journal

HAPPY = (
    Move("resolve"),
    Move("acquire", Kind.BEGUN),
    Move("owe"),
    Move("acquire"),
    Move("realize", Kind.BEGUN),
    Move("realize"),
    Move("provision", Kind.BEGUN),
    Move("provision"),
    Move("target"),
)
ENDED = (
    *HAPPY,
    Move("sync_back", Kind.BEGUN),
    Move("sync_back"),
    Move("release"),
    Move("clean", Kind.BEGUN),
    Move("clean"),
)


@pytest.fixture
def life() -> tuple[Entry, ...]:
    """A whole life in which nothing goes wrong."""
    return journal(*ENDED)


@pytest.fixture
def broken_life() -> tuple[Entry, ...]:
    """A provision command fails, another owner takes over, and the place is gone at the third try."""
    return journal(
        *HAPPY[:7],
        Move("provision", Kind.FAILED, "workspace_realization_failed"),
        Move("clean", Kind.BEGUN),
        Move("clean", Kind.FAILED, "lease_release_failed"),
        Move("take_over", Kind.NOTE),
        Move("clean", Kind.BEGUN),
        Move("clean", Kind.FAILED, "lease_cleanup_failed"),
        Move("clean", Kind.BEGUN),
        Move("clean", Kind.FAILED, "lease_cleanup_failed"),
        Move("clean", Kind.BEGUN),
        Move("clean"),
    )


@pytest.fixture
def open_life() -> tuple[Entry, ...]:
    """Its owner is realizing, or died while it did."""
    return journal(*HAPPY[:5])
