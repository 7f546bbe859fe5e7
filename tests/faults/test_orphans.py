"""Places that belong to nobody, planted on every driver: ``sweep --apply`` ends each, and touches nothing else.

A hand-over that wins over a sweep is in ``tests/unit/orchestrator/test_sweep.py``.
"""

from collections.abc import Callable

import pytest
from cases import Cases, nothing_is_left
from orphans import found, sweep
from scenes import SCENES


@pytest.mark.parametrize(
    "scene", ["scripted", "local copy", *(pytest.param(each, marks=pytest.mark.long) for each in [*SCENES][2:])]
)
def test_what_belongs_to_nobody_goes_and_nothing_else(cases: Cases, scene: str, tried: Callable[..., None]) -> None:
    case = cases.make(scene, "planted")
    cases.run(sweep, case)
    wrong = [*found(case), *nothing_is_left(case)]
    tried("orphans", planted=4, left=len(wrong))
    assert wrong == []
