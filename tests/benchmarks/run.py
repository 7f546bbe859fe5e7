"""Runs every benchmark and prints what is wanted and what was got: ``run.py [--quick] [--write PAGE]``.

Each figure is a ratio within a round, both sides measured one after the other, and the median of the
rounds counts: absolutes drift with the machine. ``--quick`` asserts nothing about time, only that every
intent that was looked for was committed.
"""

import argparse
import asyncio
import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure
from lives import rounds
from memory import lease_bytes
from rich.console import Console
from rich.table import Table
from startup import help_ratio, run_parts
from trigger import machine_growth, trigger_ratio

_CONCURRENT = {1: (0.85, None, 150), 16: (0.6, 2.5, 1000), 64: (0.5, 4.0, 2000), 256: (0.5, None, 3000)}
_WHY_GROUP = (
    "The raw writer needs no Python between two commits of a life. Ours runs the machine, folds twelve journal "
    "rows and calls the driver there, in one interpreter with the writer's thread: both take turns with its lock."
)
_WHY_BYTES = (
    "A held lease keeps what its attributes show: the texts of handle, realization and target (540 B), request, "
    "terms and facts (560), ids and times (320), and itself with its lock (480). The machine holds nothing of it."
)

Parts = list[tuple[str, float]]


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="under a minute; times are not judged")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the table as a page")
    chosen = options.parse_args()
    console = Console()
    figures, looked = asyncio.run(_figures(quick=chosen.quick))
    with TemporaryDirectory(prefix="leasehold-bench-") as folder:
        parts = run_parts(Path(folder), 1 if chosen.quick else 7)
    _show(console, figures, parts, looked)
    if chosen.write is not None:
        chosen.write.write_text(_page(figures, parts, looked))
    if not looked:
        console.print("no intent was looked for: the driver was called too seldom")
        return 1
    return 0


async def _figures(*, quick: bool) -> tuple[list[Figure], int]:
    times = 2 if quick else 5
    triggers = [await trigger_ratio(500 if quick else 5000) for _ in range(times)]
    figures = [
        Figure("a trigger with four async callbacks: CPU, of stock AsyncMachine", 0.25, False, triggers),
        Figure("what the machine holds for each lease", 0, False, [await machine_growth(2000)], " B"),
    ]
    leases = 1000 if quick else 20_000
    with TemporaryDirectory(prefix="leasehold-bench-") as folder:
        bytes_each = await lease_bytes(Path(folder), leases)
    figures.append(Figure(f"a held lease in memory, {leases:,} of them", 1000, False, [bytes_each], " B", _WHY_BYTES))
    looked = 0
    for concurrent, (of_group, of_step, lives) in _CONCURRENT.items():
        found = await rounds(concurrent, max(concurrent, 30) if quick else lives, 1 if quick else times)
        looked += sum(each.looked for each in found)
        at = f"{concurrent} lease{'s' if concurrent > 1 else ''} at a time"
        ratios = [each.engine / each.group for each in found]
        figures.append(Figure(f"SQLite, {at}: of a raw group writer", of_group, True, ratios, why=_WHY_GROUP))
        if of_step is not None:
            ratios = [each.engine / each.step for each in found]
            figures.append(Figure(f"SQLite, {at}: of one raw commit a step", of_step, True, ratios, " times"))
    helps = [help_ratio() for _ in range(times)]
    figures.append(Figure("leasehold --help, of python -c pass", 8, False, helps, " times"))
    return figures, looked


def _show(console: Console, figures: list[Figure], parts: Parts, looked: int) -> None:
    table = Table("figure", "wanted", "got (median, range)", "")
    for figure in figures:
        table.add_row(figure.name, figure.wanted, figure.shown, figure.verdict, style="" if figure.met else "yellow")
    console.print(table)
    console.print(f"intents looked for over a second connection, all committed: {looked}")
    where = Table("leasehold run -- true, in place", "ms")
    for name, spent in parts:
        where.add_row(name, f"{spent:.1f}")
    console.print(where)


def _page(figures: list[Figure], parts: Parts, looked: int) -> str:
    names = ("transitions", "sqlalchemy", "pydantic")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`python tests/benchmarks/run.py --write docs/benchmarks.md`).",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version} (WAL, synchronous=FULL), {versions}",
        "- The driver does nothing. Each figure is a ratio within one round; the median of the rounds counts."
        " Before each round what was imported is put out of the garbage collector's sight (`gc.freeze`).",
        f"- On 1 call in 50 the driver looked over a second connection for its committed intent: {looked} looks,"
        " all found.",
        "",
        "| figure | wanted | got (median, range) | |",
        "|---|---|---|---|",
    ]
    lines += [f"| {each.name} | {each.wanted} | {each.shown} | {each.verdict} |" for each in figures]
    reasons = {each.why: None for each in figures if not each.met and each.why}
    if reasons:
        lines += ["", "## Why some are missed", "", *[f"- {why}" for why in reasons]]
    lines += ["", "## What `leasehold run -- true` adds to `true`, in place", "", "| part | ms |", "|---|---|"]
    lines += [f"| {name} | {spent:.1f} |" for name, spent in parts]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
