"""Each commit and each driver verb of a life is a point; the process is killed before and after each of them.

Another process recovers. Whether a place leaked is judged by the provider's own listing. The points are the log
of one undisturbed run of each path, and stand in ``points.txt``: a commit or verb that is not there fails here.
"""

import multiprocessing
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from leasehold.states import Policy
from paths import PATHS, Case, journals, live, recover, verdict
from protocol import Rules, Step, paths, strays
from scenes import SCENES, clear

POINTS = Path(__file__).with_name("points.txt")
Tried = Callable[..., None]
FORKS = multiprocessing.get_context("forkserver")
# what a process would import while it runs is there already, so that it starts in milliseconds
FORKS.set_forkserver_preload(
    [
        "leasehold.orchestrator.verify",
        "leasehold.orchestrator.store.migration",
        "leasehold.orchestrator.store.sqlite_backend",
        "leasehold.orchestrator.store.postgres_backend",
        "leasehold.drivers.local",
        "leasehold.drivers.scripted",
        "alembic.command",
        "alembic.autogenerate",
        "sqlalchemy.dialects.postgresql.psycopg",
    ]
)
SIGKILLED = -signal.SIGKILL
OTHERS = [scene for scene in SCENES if scene != "scripted"]
NIGHTLY = (pytest.mark.long, pytest.mark.nightly)

pytestmark = pytest.mark.timeout(600)


def points() -> dict[str, list[str]]:
    """The steps of each path, as they are written down."""
    found: dict[str, list[str]] = {}
    for line in POINTS.read_text().splitlines():
        if line.startswith("# "):
            continue
        if line and not line.startswith(" "):
            found[line] = []
        elif line:
            found[[*found][-1]].append(line.strip())
    return found


class Cases:
    """Makes the folders and stores of the cases of one test, and runs their processes."""

    def __init__(self, folder: Path, fresh: Callable[[Path], str]) -> None:
        self._folder = folder
        self._fresh = fresh
        self._numbers = count()

    def make(self, scene: str, path: str, kill: int | None = None) -> Case:
        folder = self._folder / f"case{next(self._numbers)}"
        (folder / "state").mkdir(parents=True)
        return Case(folder, self._fresh(folder), scene, path, kill)

    def run(self, work: Callable[[Case], None], case: Case) -> bool:
        """Run it in a process of its own; whether that was killed at its point. Anything else fails the test."""
        process = FORKS.Process(target=work, args=(case,))
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{case} hangs")
        if process.exitcode not in (0, SIGKILLED):
            raise AssertionError(f"{case}:\n{(case.folder / 'trouble').read_text()}")
        assert process.exitcode == 0 or case.kill is not None
        return process.exitcode == SIGKILLED


@pytest.fixture(params=["sqlite", "postgresql"])
def cases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cases]:
    """Cases on a fresh store each."""
    if request.param == "sqlite":
        made: Path = request.getfixturevalue("made_store")

        def fresh(folder: Path) -> str:
            return f"sqlite:///{shutil.copy(made, folder / 'state' / 'leasehold.db')}"
    else:
        server: Any = request.getfixturevalue("postgres")
        database: str = request.getfixturevalue("made_database")

        def fresh(folder: Path) -> str:
            server.empty(database)
            return str(server.url(database))

    yield Cases(tmp_path, fresh)
    for folder in tmp_path.glob("case*"):
        clear(folder)


def log(case: Case, name: str = "log") -> list[str]:
    return (case.folder / name).read_text().splitlines()


def nothing_is_left(case: Case) -> list[str]:
    """What stands at the provider; a command's processes have a moment to end, as its supervisor ends them."""
    end = time.monotonic() + 10
    while (left := SCENES[case.scene].left(case.folder)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def is_recovered(cases: Cases, case: Case) -> list[str]:
    """What is wrong once another process has recovered it."""
    assert not cases.run(recover, replace(case, kill=None))
    wrong = [*verdict(case).wrong, *(f"it leaked {left}" for left in nothing_is_left(case))]
    for journal in journals(case):
        wrong += [f"no worker of the model does this: {stray}" for stray in strays(journal, model())]
    return wrong


@cache
def model() -> set[Step]:
    """All that a worker may commit, after two faults: what real ones did is held to it."""
    worlds = [Rules(), Rules(resume=True), Rules(policy=Policy.RETAIN_ON_FAILURE)]
    reused = Rules(policy=Policy.REUSE_BY_ENVIRONMENT)
    worlds += [reused, reused._replace(provisions=False), reused._replace(provisions=False, resume=True)]
    return paths(*(rules._replace(faults=2) for rules in worlds))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("resume", [False, True], ids=["abandoned", "resumed"])
@pytest.mark.parametrize(
    ("scene", "every"),
    [
        ("scripted", 16),
        pytest.param("scripted", 3, marks=pytest.mark.long),
        *(pytest.param(scene, 7, marks=pytest.mark.long) for scene in OTHERS),
        *(pytest.param(scene, 1, marks=NIGHTLY) for scene in SCENES),
    ],
)
def test_killed_at_each_point(cases: Cases, scene: str, every: int, path: str, resume: bool, tried: Tried) -> None:
    whole = cases.make(scene, path)
    cases.run(live, whole)
    expected = [f"{when} {step}" for step in points()[path] for when in ("before", "after")]
    assert log(whole) == expected
    assert is_recovered(cases, whole) == []
    wrong: dict[str, list[str]] = {}
    kills = range((len(path) + resume) % every, len(expected), every)
    for kill in kills:
        case = replace(cases.make(scene, path, kill), resume=resume)
        assert cases.run(live, case), f"it was not killed {expected[kill]}"
        assert log(case) == expected[: kill + 1]
        if found := is_recovered(cases, case):
            wrong[expected[kill]] = found
    tried("crash points", killed=len(kills), leaks=len(wrong))
    assert wrong == {}


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("scene", "every"), [("scripted", 11), *(pytest.param(scene, 1, marks=pytest.mark.nightly) for scene in SCENES)]
)
def test_killed_again_in_the_recovery(cases: Cases, scene: str, every: int, path: str, tried: Tried) -> None:
    """The recovery is killed too, at each of its own points in turn; a third process ends what is left."""
    wrong, pairs = dict[tuple[int, int], list[str]](), 0
    for kill in range(len(path) % every, 2 * len(points()[path]), every):
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
