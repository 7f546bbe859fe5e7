"""Each commit and each driver verb of a life is a point; the process is killed before and after each of them.

Another process recovers. Whether a place leaked is judged by the provider's own listing. The points are the log
of one undisturbed run of each path, and stand in ``points.txt``: a commit or verb that is not there fails here.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from cases import Cases, is_recovered, points
from paths import PATHS, live, recover
from scenes import SCENES

Tried = Callable[..., None]
LONG = {"scripted": 7, "local copy": 23, "local worktree": 29, "bubblewrap": 29}
"""The long profile takes each so many-th point, each path and store another; the nightly one takes all."""
SLOW = {"ssh": 97, "docker": 97, "podman": 97, "kubernetes": 17}
"""Where a verb takes long, the long profile takes each so many-th point of all paths as one row. The nightly one
takes all on each store: every other one is resumed, on the other store those between."""
PAIRS = {"scripted": 1, "local copy": 13, "local worktree": 13, "bubblewrap": 13, "ssh": 61, "docker": 61, "podman": 61}
"""The recovery from each so many-th point is killed at all its own points, in the nightly profile."""

NIGHTLY = (pytest.mark.long, pytest.mark.nightly, pytest.mark.timeout(1800))

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("resume", [False, True], ids=["abandoned", "resumed"])
@pytest.mark.parametrize(
    ("scene", "every"),
    [
        ("scripted", 16),
        *(pytest.param(scene, every, marks=pytest.mark.long) for scene, every in LONG.items()),
        *(pytest.param(scene, 2 if scene in SLOW else 1, marks=NIGHTLY) for scene in SCENES),
    ],
)
def test_killed_at_each_point(cases: Cases, scene: str, every: int, path: str, resume: bool, tried: Tried) -> None:
    whole = cases.make(scene, path)
    cases.run(live, whole)
    expected = points(path)
    assert cases.log(whole) == expected
    assert is_recovered(cases, whole) == []
    kills = _each(every, path, resume + cases.on_a_server)
    found = {f"{kill}: {expected[kill]}": _killed(cases, scene, path, kill, resume=resume) for kill in kills}
    _judge(found, tried)


@pytest.mark.long
@pytest.mark.parametrize("resume", [False, True], ids=["abandoned", "resumed"])
@pytest.mark.parametrize(("scene", "every"), [row for row in SLOW.items() if row[0] in SCENES])
def test_killed_at_some_points_of_all_paths(cases: Cases, scene: str, every: int, resume: bool, tried: Tried) -> None:
    row = [(path, kill) for path in PATHS for kill in range(len(points(path)))]
    kills = row[(2 * resume + cases.on_a_server) * every // 4 :: every]  # each of the four takes others
    found = {
        f"{path}: {kill}: {points(path)[kill]}": _killed(cases, scene, path, kill, resume=resume)
        for path, kill in kills
    }
    _judge(found, tried)


def _each(every: int, path: str, shift: int) -> range:
    """Each so many-th point of a path, and one at least; other ones for each path and ``shift``."""
    number = len(points(path))
    return range((len(path) + shift) % min(every, number), number, every)


def _killed(cases: Cases, scene: str, path: str, kill: int, *, resume: bool) -> list[str]:
    """What is wrong after one life was killed at that point, and recovered."""
    expected = points(path)
    case = replace(cases.make(scene, path, kill), resume=resume)
    assert cases.run(live, case), f"it was not killed {expected[kill]}"
    assert cases.log(case) == expected[: kill + 1]
    return is_recovered(cases, case)


def _judge(found: dict[str, list[str]], tried: Tried) -> None:
    wrong = {point: trouble for point, trouble in found.items() if trouble}
    tried("crash points", killed=len(found), leaks=len(wrong))
    assert wrong == {}


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("scene", "every"),
    [
        ("scripted", 61),
        *(pytest.param(scene, every, marks=NIGHTLY) for scene, every in PAIRS.items()),
    ],
)
def test_killed_again_in_the_recovery(cases: Cases, scene: str, every: int, path: str, tried: Tried) -> None:
    """The recovery is killed too, at each of its own points in turn; a third process ends what is left."""
    wrong, pairs = dict[tuple[int, int], list[str]](), 0
    for kill in _each(every, path, cases.on_a_server):
        for second in count():
            case = cases.make(scene, path, kill)
            assert cases.run(live, case)
            if not cases.run(recover, replace(case, kill=second)):
                break  # it has no further point
            pairs += 1
            if found := is_recovered(cases, case):
                wrong[kill, second] = found
    tried("crashes within the recovery", pairs=pairs, leaks=len(wrong))
    assert wrong == {}
