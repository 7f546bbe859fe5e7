"""How fast what a killed process left is ended, beside DBOS Transact; and what a worker's pass costs in a full store.

``recovery.py [--lives N] [--rows N] [--write PAGE]``. Recovery runs on PostgreSQL with fsync and synchronous
commits on; the pass runs on SQLite.
"""

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE.parent / "servers")]

from figure import Figure  # noqa: E402 - its folder is this script's
from leasehold.orchestrator import Orchestrator, Settings  # noqa: E402 - as above
from noop import NoopDriver  # noqa: E402 - as above
from postgres import PostgresServer, programs  # noqa: E402 - found by the line above
from rich.console import Console  # noqa: E402 - as above
from sqlalchemy import Connection, text, update  # noqa: E402 - as above

_CLAIM = 3.0
_STUCK = 1000
_CONSOLE = Console()


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--lives", type=int, default=200, help="how many are in flight when their process is killed")
    options.add_argument("--rows", type=int, default=100_000, help="how many ended leases the full store has")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the figures as a page")
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
            lines = _ours(server, Path(name), chosen.lives)
            lines += _theirs(server, Path(name), chosen.lives)
        finally:
            server.stop()
        lines += asyncio.run(_passes(Path(name), chosen.rows))
    _CONSOLE.print(*lines, sep="\n")
    if chosen.write is not None:
        chosen.write.write_text(_page(lines))
    return 0


# --- recovery


def _killed(script: str, *arguments: str) -> float:
    """Start a process, wait until all its lives are in flight, and kill it; gives when that was."""
    process = subprocess.Popen([sys.executable, str(_HERE / script), *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in flight\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    return time.monotonic()


def _ours(server: PostgresServer, folder: Path, lives: int) -> list[str]:
    url = server.url(server.database())
    asyncio.run(_prepared(url, folder))
    time.sleep(_CLAIM)  # the server has been up for a claim time, or nobody takes over
    worker = subprocess.Popen([sys.executable, str(_HERE / "killed_leases.py"), "work", url, str(folder), str(_CLAIM)])
    try:
        killed = _killed("killed_leases.py", "live", url, str(folder), str(_CLAIM), str(lives))
        while _open(server, url):
            if time.monotonic() > killed + 120:
                raise RuntimeError("they do not end")
            time.sleep(0.02)
        took = time.monotonic() - killed
    finally:
        worker.terminate()
        worker.wait(60)
    verbs = Counter(line.split()[0] for line in (folder / "verbs").read_text().splitlines())
    again = sum(verbs[verb] - lives for verb in ("acquire", "realize", "execute"))
    left = verbs["acquire"] - verbs["release"]
    bound = Figure(f"{lives} leases killed in flight, all ended by another process", _CLAIM + 2, False, [took], " s")
    return [
        f"| {bound.name} (claim {_CLAIM:g} s) | {bound.wanted} | {bound.shown} | {bound.verdict} |",
        f"| steps run again, places left | 0, 0 | {again}, {left} | {'met' if (again, left) == (0, 0) else 'missed'} |",
    ]


async def _prepared(url: str, folder: Path) -> None:
    drivers = [NoopDriver(folder / "none", look=False)]
    async with Orchestrator.open(url, drivers=drivers, settings=Settings(state_folder=folder)) as orchestrator:
        await orchestrator.environments.add("default", "place", "noop", {})


def _open(server: PostgresServer, url: str) -> int:
    query = "SELECT count(*) FROM leasehold_lease WHERE ended_at IS NULL OR cleanup IN ('pending', 'failed')"
    return int(server.ask(query, database=url.rpartition("/")[2])[0][0])


def _theirs(server: PostgresServer, folder: Path, lives: int) -> list[str]:
    found: list[str] = []
    for executor, words in (("one", "the same executor, restarted"), ("two", "another executor")):
        url, ran = server.url(server.database()), folder / f"ran-{executor}"
        killed = _killed("killed_workflows.py", url, "one", str(ran), str(lives))
        second = subprocess.Popen([sys.executable, str(_HERE / "killed_workflows.py"), url, executor, str(ran), "0"])
        try:
            done, end = 0, time.monotonic() + 20
            while done < lives and time.monotonic() < end:
                time.sleep(0.05)
                done = ran.read_text().count("last")
            took = time.monotonic() - killed
        finally:
            second.kill()
            second.wait(30)
        said = f"{took:.1f} s" if done == lives else f"{done} of {lives} in {took:.0f} s"
        found.append(f"| DBOS Transact {version('dbos')}: {lives} workflows killed in flight, {words} | | {said} | |")
    return found


# --- a worker's pass


async def _passes(folder: Path, rows: int) -> list[str]:
    for name in ("few", "many"):
        (folder / name).mkdir()
    few, many = await _pass(folder / "few", 1000), await _pass(folder / "many", rows)
    name = f"CPU of a worker's pass over {rows:,} rows with {_STUCK:,} stuck, of one over 1,000 rows"
    figure = Figure(name, 1.2, False, [many / few], " times")
    return [f"| {figure.name} | {figure.wanted} | {figure.shown} | {figure.verdict} |"]


async def _pass(folder: Path, rows: int) -> float:
    """The CPU seconds of one pass over so many ended leases, and those that are stuck."""
    settings = Settings(state_folder=folder, claim_seconds=600.0)
    drivers = [NoopDriver(folder / "none", look=False)]
    url = f"sqlite:///{folder}/leasehold.db"
    async with Orchestrator.open(url, drivers=drivers, settings=settings) as dead:
        await dead.environments.add("default", "place", "noop", {})
        request: dict[str, Any] = {"environment": "place", "workspace": folder, "share": True}
        ended = await dead.acquire(**request)
        await ended.release()
        await asyncio.gather(*(dead.acquire(**request) for _ in range(_STUCK)))
        table = dead.store.schema.lease.name
        names = [column.name for column in dead.store.schema.lease.columns if column.name != "id"]

        def fill(connection: Connection) -> None:
            connection.execute(
                text(
                    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
                    f" INSERT INTO {table} (id, {', '.join(names)})"
                    f" SELECT printf('l0%018d', i), {', '.join(names)} FROM {table}, n WHERE id = '{ended.id}'"
                )
            )
            connection.execute(update(dead.store.schema.owner).values(alive_until=0))

        await dead.store.writer.job(fill)
        async with Orchestrator.open(url, drivers=drivers, settings=settings) as worker:
            began = time.process_time()
            deeds = await worker.duties()
            spent = time.process_time() - began
    assert sum(deed.done for deed in deeds) == _STUCK, len(deeds)
    return spent


def _page(lines: list[str]) -> str:
    head = [
        "# Recovery, measured",
        "",
        "Written by `python tests/benchmarks/recovery.py --write docs/benchmarks-recovery.md`.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "",
        "| figure | wanted | got | |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
