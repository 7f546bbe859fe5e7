"""The model check: three workers and more faults than a life meets, in every order, after the literals in ``states``.

What is judged are the invariants of DESIGN section 12: 1 to 4, 5 by the fold, 9. The seeded bugs are those that
the model can have; those of the code are in ``test_seeded_bugs.py``.
"""

from collections.abc import Callable

import pytest
from leasehold.states import Policy
from protocol import Rules, World

NIGHTLY = (pytest.mark.long, pytest.mark.nightly)
WORLDS = {
    "a place that fences": Rules(),
    "resumed": Rules(resume=True),
    "a place that does not fence": Rules(enforced=False),
    "resumed, at a place that does not fence": Rules(enforced=False, resume=True),
    "kept after a failure": Rules(policy=Policy.RETAIN_ON_FAILURE, resume=True),
    "parked": Rules(policy=Policy.REUSE_BY_ENVIRONMENT, resume=True),
    "parked, with nothing to provision or bring back": Rules(
        policy=Policy.REUSE_BY_EXECUTION_WORKSPACE, provisions=False, syncs=False
    ),
}
REUSED = Rules(resume=True, policy=Policy.REUSE_BY_ENVIRONMENT)
BUGS = {
    "intent after effect": (Rules(), "4"),
    "epoch unchecked at begun": (Rules(), "1"),
    "epoch unchecked at done": (Rules(), "1"),
    "the client's clock": (Rules(), "5"),
    "new key on redo": (Rules(resume=True, enforced=False), "2"),
    "absent at the first look": (Rules(), "4"),
    "a done step redone": (Rules(resume=True), "5"),
    "sweep trusting the tag": (Rules(resume=True), "4"),
    "parking after a takeover": (REUSED, "5"),
    "place destroyed before its sync-back": (Rules(), "13"),
}
"""Each bug, a world in which it bites, and the number of what breaks; without it, nothing breaks in any world."""


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        *((name, 2) for name in WORLDS),
        pytest.param("a place that fences", 4, marks=pytest.mark.long),
        *(pytest.param(name, 4, marks=NIGHTLY) for name in WORLDS if name != "a place that fences"),
        pytest.param("a place that fences", 5, marks=NIGHTLY),
    ],
)
@pytest.mark.timeout(3600)
def test_every_interleaving_keeps_the_invariants(name: str, faults: int, tried: Callable[..., None]) -> None:
    world = World(WORLDS[name]._replace(faults=faults))
    tried(f"situations of three workers and {faults} faults", reached=len(world), wrong=len(world.wrong))
    assert world.wrong == {}


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(bug: str, tried: Callable[..., None]) -> None:
    rules, invariant = BUGS[bug]
    world = World(rules._replace(faults=2, bugs=frozenset({bug})))
    tried("bugs seeded in the model", seeded=1, caught=bool(world.wrong))
    assert {what.partition(":")[0] for what in world.wrong} == {invariant}, world.wrong
