"""How long the command line takes to start, and what ``leasehold run`` adds to a command, step by step."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_TIMED = Path(__file__).with_name("timed_run.py")


def _seconds(argv: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, env=environment, cwd=cwd, timeout=60)
    return time.perf_counter() - began


def leasehold() -> str:
    """The installed command beside this interpreter."""
    return str(Path(sys.executable).with_name("leasehold"))


def help_ratio() -> float:
    """``leasehold --help``, in parts of ``python -c pass``."""
    return _seconds([leasehold(), "--help"]) / _seconds([sys.executable, "-c", "pass"])


def run_parts(folder: Path, rounds: int) -> list[tuple[str, float]]:
    """What ``leasehold run -- true`` spends its time on, in milliseconds: the median of each part.

    The first row is ``true`` alone and the last the whole of an untouched ``leasehold run -- true``.
    """
    tree = folder / "tree"
    tree.mkdir()
    environment = {
        **os.environ,
        "LEASEHOLD_STORE": f"sqlite:///{folder / 'run.db'}",
        "LEASEHOLD_STATE_FOLDER": str(folder),
    }
    command = [leasehold(), "run", "--", "true"]
    _seconds(command, environment, tree)  # the store is made once, not at each run
    alone: list[float] = []
    whole: list[float] = []
    parts: dict[str, list[float]] = {}
    for number in range(rounds):
        alone.append(_seconds(["true"]) * 1000)
        whole.append(_seconds(command, environment, tree) * 1000)
        report = folder / f"report{number}.json"
        timed = [sys.executable, str(_TIMED), str(report), str(time.time()), *command[1:]]
        began = time.perf_counter()
        subprocess.run(timed, check=True, capture_output=True, env=environment, cwd=tree, timeout=60)
        total = (time.perf_counter() - began) * 1000
        measured: dict[str, float] = json.loads(report.read_text())
        measured["the interpreter's end, and what no part counts"] = total - sum(measured.values())
        for name, spent in measured.items():
            parts.setdefault(name, []).append(spent)
    rows = [(name, statistics.median(spent)) for name, spent in parts.items()]
    return [("true, alone", statistics.median(alone)), *rows, ("leasehold run -- true", statistics.median(whole))]
