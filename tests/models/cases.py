"""Runs the lives of ``paths.py``, each in a process of its own, and judges by what the provider itself lists."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from forks import forks
from leasehold.states import Policy
from paths import Case, journals, recover, verdict
from protocol import Rules, Step, paths, strays
from scenes import SCENES, Scene

SIGKILLED = -signal.SIGKILL
POINTS = Path(__file__).parents[1] / "faults" / "points.txt"


def points(path: str) -> list[str]:
    """The points of a path, as they are written down: each commit and verb, before and after."""
    _, _, below = POINTS.read_text().partition(f"\n{path}\n")
    steps = [line.strip() for line in takewhile(lambda line: line.startswith(" "), below.splitlines())]
    return [f"{when} {step}" for step in steps for when in ("before", "after")]


class Cases:
    """Makes the folders and stores of the cases of one test, and runs their processes."""

    def __init__(
        self,
        folder: Path,
        fresh: Callable[[Path], str],
        prepare: Callable[[Scene, Path], None],
        *,
        on_a_server: bool,
    ) -> None:
        self._prepare = prepare
        self.on_a_server = on_a_server
        self._folder = folder
        self._fresh = fresh
        self._numbers = count()

    def make(self, scene: str, path: str, kill: int | str | None = None) -> Case:
        folder = self._folder / f"case{next(self._numbers)}"
        (folder / "state").mkdir(parents=True)
        if scene in SCENES:
            self._prepare(SCENES[scene], folder)
        return Case(folder, self._fresh(folder), scene, path, kill)

    def run(self, work: Callable[[Case], None], case: Case) -> bool:
        """Run it in a process of its own; whether that was killed at its point. Anything else fails the test."""
        code = self.start(work, case)
        if code not in (0, SIGKILLED):
            raise AssertionError(f"{case}:\n{(case.folder / 'trouble').read_text()}")
        assert code == 0 or case.kill is not None
        return code == SIGKILLED

    def start(self, work: Callable[[Any], None], argument: Any) -> int | None:
        """Run anything in a process of its own, to its end; gives its exit code."""
        process = forks().Process(target=work, args=(argument,))
        process.start()
        process.join(90)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{argument} hangs")
        return process.exitcode

    def log(self, case: Case) -> list[str]:
        """The points that the case's process came to."""
        return (case.folder / "log").read_text().splitlines()


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
    if "brings its changes back" in case.path and SCENES[case.scene].executes:
        ended = set(verdict(case).codes.values())
        brought = (SCENES[case.scene].workspace(case.folder) / "made.txt").exists()
        if ended == {None} and not case.resume and not brought:
            wrong.append("it was released, and what it changed was not brought back")
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
