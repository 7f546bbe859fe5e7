"""Our lives on PostgreSQL beside hand-written ones and DBOS Transact: ``run.py [--quick] [--ended N] [--write PAGE]``.

All on one server with fsync and synchronous commits on, each contender in a process of its own, one after the
other within a round; a figure is the median of the rounds' ratios. The server is started for it, on a temporary
folder and a free port.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE.parent), str(_HERE.parents[1] / "servers")]

from figure import Figure  # noqa: E402 - found by the line above
from leasehold.orchestrator.store import columns  # noqa: E402 - as above
from lives import INSERT, record_life  # noqa: E402 - as above
from postgres import PostgresServer, programs  # noqa: E402 - as above
from rich.console import Console  # noqa: E402 - as above
from rich.table import Table  # noqa: E402 - as above

_DBOS = ("dbos_lives", "dbos_sync", "dbos_queue")
_LIVES = {
    "leasehold_lives": (150, 1500, 3000),
    "psycopg_lives": (100, 300, 300),
    "core_lives": (60, 150, 150),
    **dict.fromkeys(_DBOS, (40, 120, 120)),
}
_PROCESSES = 8
_ENDED = 100_000
_PAIRS = 9
_CONCURRENT = (1, 16, 64)
_WANTED = (  # what, beside whom, at how many, bound, at least
    ("lives", "dbos", 16, 12.0, True),
    ("lives", "dbos", 64, 25.0, True),
    ("lives", "psycopg_lives", 1, 1.0, True),
    ("lives", "psycopg_lives", 16, 3.0, True),
    ("lives", "psycopg_lives", 64, 3.0, True),
    ("cpu", "core_lives", 16, 0.25, False),
    ("cpu", "core_lives", 64, 0.25, False),
)
_NAMES = {
    "leasehold_lives": "Leasehold",
    "psycopg_lives": "psycopg by hand, a connection a lease",
    "core_lives": "SQLAlchemy Core, a commit each",
    "dbos": "DBOS Transact (its fastest)",
}

_CONSOLE = Console()

_HELD = (
    "Their renewal is one row each second. The rest is Python: a larger heap to walk for the garbage collector, and one"
    " look at every lease's end at each renewal."
)
_SHARED = (
    "Client and server share the two cores of this machine: what is wanted of many at a time, or of many processes, is"
    " more CPU than there is. A process that is alone keeps both busy already."
)
_TURNS = (
    "Between two commits of a life the event loop runs the machine, folds the journal and calls the driver; with few"
    " leases at a time the server idles meanwhile."
)

Got = dict[tuple[str, int], list[dict[str, float]]]


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="a tenth of the lives, one round")
    options.add_argument("--ended", type=int, default=_ENDED, metavar="N", help="how many leases a long history has")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the table as a page")
    chosen = options.parse_args()
    folder = programs()
    if folder is None:
        _CONSOLE.print("no PostgreSQL server is installed: apt-get install postgresql")
        return 2
    with TemporaryDirectory(prefix="leasehold-bench-") as name:
        Path(name).chmod(0o755)
        place = Path(name) / "server"
        place.mkdir()
        server = PostgresServer(place, folder, ("fsync=on", "synchronous_commit=on", "max_connections=200"))
        server.create()
        try:
            rounds, less = (1, 10) if chosen.quick else (3, 1)
            got = _rounds(server, Path(name), rounds, less)
            more = [*_more(server, Path(name), rounds, less), _history(server, Path(name), chosen.ended // less, less)]
            said = str(server.ask("SHOW server_version")[0][0])
        finally:
            server.stop()
    figures = [*(_figure(got, *wanted) for wanted in _WANTED), *more]
    _show(figures, got)
    if chosen.write is not None:
        chosen.write.write_text(_page(figures, got, said))
    return 0


def _rounds(server: PostgresServer, folder: Path, rounds: int, less: int) -> Got:
    life = asyncio.run(record_life(folder))
    width = len(columns.CHANGING)
    rows = [
        ([*row[:-width]] if statement == INSERT else None, [*row[-width:]], [[*line] for line in journal], met)
        for statement, row, journal, met in life
    ]
    commits = folder / "commits.json"
    commits.write_text(json.dumps(rows))
    postmaster = (Path(server.data) / "postmaster.pid").read_text().split()[0]
    got: Got = {}
    for number in range(rounds):
        for at, concurrent in enumerate(_CONCURRENT):
            for name, lives in _LIVES.items():
                url = server.url(server.database())
                count = str(max(concurrent, lives[at] // less))
                arguments = [name, url, postmaster, str(concurrent), count, str(commits)]
                result = _contend(arguments)
                shown = f"{result['lives']:,.0f} lives/s, {result['cpu']:.1f} ms"
                _CONSOLE.print(f"round {number + 1}, {concurrent} at a time, {name}: {shown}")
                got.setdefault((name, concurrent), []).append(result)
    for concurrent in _CONCURRENT:
        flavours = [got[name, concurrent] for name in _DBOS]
        got["dbos", concurrent] = [max(each, key=lambda one: one["lives"]) for each in zip(*flavours, strict=True)]
    return got


def _more(server: PostgresServer, folder: Path, rounds: int, less: int) -> list[Figure]:
    """What many processes and many held leases do to it."""
    ours = partial(_ours, server, folder, less)
    processes: list[float] = []
    held: list[float] = []
    for number in range(rounds):
        alone = _contend(ours(server.url(server.database()), 64, 3000))
        url = server.url(server.database())
        _contend(ours(url, 1, 10))  # the tables and the environment are made once
        with ThreadPoolExecutor(_PROCESSES) as threads:
            each = list(threads.map(_contend, [ours(url, 8, 500)] * _PROCESSES))
        lives = [one["lives"] for one in each]
        processes.append(sum(lives) / alone["lives"])
        beside = _contend(ours(server.url(server.database()), 64, 3000, "leasehold_beside_held"))
        held.append(beside["lives"] / alone["lives"])
        spread = f"{min(lives):,.0f} to {max(lives):,.0f} lives/s each"
        _CONSOLE.print(f"round {number + 1}: {_PROCESSES} processes, {spread}")
    return [
        Figure(
            f"{_PROCESSES} processes, 8 at a time each: lives per second of one process's 64",
            1.3,
            True,
            processes,
            why=_SHARED,
        ),
        Figure("beside 10,000 held leases: lives per second of without", 0.95, True, held, why=_HELD),
    ]


def _history(server: PostgresServer, folder: Path, ended: int, less: int) -> Figure:
    """What a long history does to it: runs on a store with one, and on a store with next to none, by turns."""
    ours = partial(_ours, server, folder, less)
    few, many = server.database(), server.database()
    for database, count in ((few, 1000), (many, ended)):
        _contend(ours(server.url(database), 1, 1))
        _lengthen(server, database, count)
    ratios: list[float] = []
    for number in range(_PAIRS if less == 1 else 1):
        order = (few, many) if number % 2 else (many, few)
        cpu = {database: _contend(ours(server.url(database), 16, 1500))["cpu"] for database in order}
        ratios.append(cpu[many] / cpu[few])
        _CONSOLE.print(f"{ended:,} ended leases, pair {number + 1}: {ratios[-1]:.2f}")
    return Figure(f"with {ended:,} ended leases: CPU a life of with 1,000", 1.2, False, ratios)


def _ours(
    server: PostgresServer,
    folder: Path,
    less: int,
    url: str,
    concurrent: int,
    lives: int,
    name: str = "leasehold_lives",
) -> list[str]:
    postmaster = (Path(server.data) / "postmaster.pid").read_text().split()[0]
    count = str(max(concurrent, lives // less))
    return [name, url, postmaster, str(concurrent), count, str(folder / "commits.json")]


def _lengthen(server: PostgresServer, database: str, ended: int) -> None:
    """Give a store so many ended leases with their journals: copies of one."""
    copied = (
        "INSERT INTO leasehold_{0} SELECT (jsonb_populate_record(t, jsonb_build_object('{1}', 'l0' || lpad(g::text, 18,"
        " '0')))).* FROM leasehold_{0} t, generate_series(1, {2}) g WHERE t.{1} = (SELECT min(id) FROM leasehold_lease"
        " WHERE id > 'l1')"
    )
    for table, key in (("journal", "lease_id"), ("lease", "id")):
        server.ask(copied.format(table, key, ended), database=database)
    server.ask("VACUUM ANALYZE", database=database)


def _contend(arguments: Sequence[str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(_HERE / "contender.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed: {done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _figure(got: Got, what: str, beside: str, concurrent: int, bound: float, at_least: bool) -> Figure:
    ours, theirs = got["leasehold_lives", concurrent], got[beside, concurrent]
    ratios = [mine[what] / other[what] for mine, other in zip(ours, theirs, strict=True)]
    said = "lives per second" if what == "lives" else "CPU, client and server,"
    name = f"{said} of {_NAMES[beside]}, {concurrent} at a time"
    why = _TURNS if concurrent == 16 else _SHARED
    return Figure(name, bound, at_least, ratios, " times" if at_least else "", why)


def _median(got: Got, name: str, concurrent: int, what: str) -> float:
    return statistics.median(result[what] for result in got[name, concurrent])


def _rows(got: Got) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, spoken in _NAMES.items():
        lives = [f"{_median(got, name, concurrent, 'lives'):,.0f}" for concurrent in _CONCURRENT]
        cpu = [f"{_median(got, name, concurrent, 'cpu'):.1f}" for concurrent in _CONCURRENT]
        rows.append([spoken, *lives, " / ".join(cpu)])
    return rows


def _show(figures: Sequence[Figure], got: Got) -> None:
    table = Table("figure", "wanted", "got (median, range)", "")
    for figure in figures:
        table.add_row(figure.name, figure.wanted, figure.shown, figure.verdict, style="" if figure.met else "yellow")
    _CONSOLE.print(table)
    absolute = Table("lives per second", *map(str, _CONCURRENT), "CPU ms a life")
    for row in _rows(got):
        absolute.add_row(*row)
    _CONSOLE.print(absolute)


def _chart(got: Got) -> list[str]:
    names = [*_NAMES]
    bars = ", ".join(f"{_median(got, name, 64, 'lives'):.0f}" for name in names)
    labels = ", ".join(f'"{_NAMES[name].partition(",")[0].partition(" (")[0]}"' for name in names)
    return [
        "```mermaid",
        "xychart-beta",
        '    title "Lives per second, 64 at a time"',
        f"    x-axis [{labels}]",
        '    y-axis "lives per second"',
        f"    bar [{bars}]",
        "```",
    ]


def _reasons(figures: Sequence[Figure]) -> list[str]:
    reasons = {each.why: None for each in figures if not each.met and each.why}
    return ["", "## Why some are missed", "", *[f"- {why}" for why in reasons]] if reasons else []


def _page(figures: Sequence[Figure], got: Got, server: str) -> str:
    versions: dict[str, Any] = {name: version(name) for name in ("dbos", "psycopg", "sqlalchemy")}
    lines = [
        "# Benchmarks on PostgreSQL, beside its peers",
        "",
        "Written by `make bench` (`python tests/benchmarks/peers/run.py --write docs/benchmarks-postgresql.md`).",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; client and server on the same machine",
        f"- PostgreSQL {server} (fsync and synchronous_commit on), Python {platform.python_version()}, "
        + ", ".join(f"{name} {said}" for name, said in versions.items()),
        "- A life is six durable commits and twelve journal rows (DESIGN section 4); DBOS runs a workflow of six steps"
        " that do nothing. Each contender is a process of its own; absolutes drift with the machine, ratios less.",
        "",
        "| figure | wanted | got (median, range) | |",
        "|---|---|---|---|",
        *[f"| {each.name} | {each.wanted} | {each.shown} | {each.verdict} |" for each in figures],
        *_reasons(figures),
        "",
        "| lives per second | 1 at a time | 16 | 64 | CPU ms a life (1 / 16 / 64) |",
        "|---|---|---|---|---|",
        *["| " + " | ".join(row) + " |" for row in _rows(got)],
        "",
        *_chart(got),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
