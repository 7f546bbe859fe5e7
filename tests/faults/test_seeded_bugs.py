"""Each bug that such a system is tempted by is seeded in the code, and caught: by a crash point or by a net.

Without the bug the same crash point and the same net must hold. The bugs that the model can have are seeded
there as well, in ``test_protocol.py``.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bugs import BUGS
from cases import Cases, is_recovered
from nets import Cast, cast
from paths import live

CAUGHT_BY_CRASHING = {
    "intent after effect": ("scripted", "it succeeds", "after acquire", False),
    "a done step redone": ("local copy", "it succeeds", "after execute", True),
    "parking after a takeover": (
        "scripted",
        "its place is parked and handed over",
        "after commit provision done, target done",
        True,
    ),
    "a place destroyed before its sync-back": ("local copy", "it brings its changes back", None, False),
}
"""Where the process is killed (none: nowhere), and whether it is resumed."""

CAUGHT_BY_A_NET = {
    "epoch unchecked at begun": "late_at_begun",
    "epoch unchecked at done": "late_at_done",
    "the client's clock": "clocks",
    "a new key on redo": "late_acquire",
    "absent at the first look": "late_place",
    "sweep trusting the tag": "handed_over",
    "a hold freed before cleanup ends": "hold",
    "a lost commit taken as failed": "lost_commit",
    "one conflict aborting the batch": "batch",
}


def test_each_bug_has_its_net() -> None:
    assert sorted([*CAUGHT_BY_CRASHING, *CAUGHT_BY_A_NET]) == sorted(BUGS)


@pytest.mark.parametrize("bug", CAUGHT_BY_CRASHING)
def test_a_crash_point_catches(cases: Cases, bug: str, tried: Callable[..., None]) -> None:
    scene, path, point, resume = CAUGHT_BY_CRASHING[bug]

    def found(seeded: str | None) -> list[str]:
        case = replace(cases.make(scene, path, point), resume=resume, bug=seeded)
        try:
            cases.run(live, case)
            return is_recovered(cases, case)
        except AssertionError as error:
            return [str(error)]  # its process, or the one that recovered it, got into trouble

    assert found(None) == []
    caught = found(bug)
    tried("bugs seeded in the code", seeded=1, caught=bool(caught))
    assert caught != []


@pytest.mark.parametrize("bug", CAUGHT_BY_A_NET)
def test_a_net_catches(cases: Cases, bug: str, tried: Callable[..., None]) -> None:
    net = CAUGHT_BY_A_NET[bug]

    def found(seeded: str | None) -> list[str]:
        case = cases.make("scripted", net)
        cases.start(cast, Cast(net, seeded, case.folder, case.url))
        wrong: list[str] = json.loads(Path(case.folder, "found").read_text())
        return wrong

    if net == "lost_commit" and not cases.on_a_server:
        pytest.skip("a file's commit is answered by no connection")
    assert found(None) == []
    caught = found(bug)
    tried("bugs seeded in the code", seeded=1, caught=bool(caught))
    assert caught != []
