"""Lives per second: the engine beside raw ``sqlite3`` doing the same statements with the same rows."""

import asyncio
import gc
import itertools
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from leasehold.orchestrator import Orchestrator, Settings
from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.write import Write
from noop import NoopDriver

Row = tuple[Any, ...]
Commit = tuple[str, Row, list[Row], int | None]

_INSERT = "INSERT INTO leasehold_lease ({}) VALUES ({})"
_NAMES = (*columns.TERMS, *columns.CHANGING)
INSERT = _INSERT.format(",".join(_NAMES), ",".join("?" * len(_NAMES)))
UPDATE = "UPDATE leasehold_lease SET {} WHERE id=? AND version=? AND epoch=?".format(
    ",".join(f"{name}=?" for name in columns.CHANGING)
)
JOURNAL = "INSERT INTO leasehold_journal ({}) VALUES ({})".format(
    ",".join(columns.JOURNAL), ",".join("?" * len(columns.JOURNAL))
)


async def engine_lives(folder: Path, concurrent: int, lives: int) -> tuple[float, int]:
    """Lives per second through the library, ``concurrent`` at a time; and how many intents were looked for."""
    path = folder / "engine.db"
    driver = NoopDriver(path)
    async with Orchestrator.open(
        f"sqlite:///{path}", drivers=[driver], settings=Settings(state_folder=folder)
    ) as orchestrator:
        await orchestrator.environments.add("default", "noop", "noop", {})
        left = itertools.count()

        async def work() -> None:
            while next(left) < lives:
                async with orchestrator.lease(environment="noop", workspace=folder, provision="true") as lease:
                    await lease.exec("true")

        await work_once(orchestrator, folder)
        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrent)))
        took = time.perf_counter() - began
    driver.close()
    return lives / took, driver.looked


async def work_once(orchestrator: Orchestrator, folder: Path) -> None:
    """One life, so that nothing is imported or registered while it is measured."""
    async with orchestrator.lease(environment="noop", workspace=folder, provision="true") as lease:
        await lease.exec("true")


async def record_life(folder: Path) -> list[Commit]:
    """The commits of one life, as the engine hands them to its writer."""
    path = folder / "record.db"
    commits: list[Commit] = []
    async with Orchestrator.open(
        f"sqlite:///{path}", drivers=[NoopDriver(path)], settings=Settings(state_folder=folder)
    ) as orchestrator:
        await orchestrator.environments.add("default", "noop", "noop", {})
        writer = orchestrator.store.writer
        forward = writer.write

        def spy(write: Write) -> asyncio.Future[int]:
            rows = write.journal(1)
            changing = [*write.changing]
            changing[columns.EPOCH] = 1  # the store draws the real one, after this
            if write.terms is not None:
                commits.append((INSERT, (*write.terms, *changing), rows, None))
            else:
                commits.append((UPDATE, (*changing,), rows, write.version))
            return forward(write)

        writer.write = spy  # type: ignore[method-assign]  # a recording of what the writer is given
        await work_once(orchestrator, folder)
    return commits


def _bound(commit: Commit, lease_id: str) -> tuple[str, Row, list[Row]]:
    statement, row, journal, version = commit
    place = len(row) - len(columns.PAPERS)
    if row[place] is not None:  # the provider's id of the place, unique among those that stand
        row = (*row[:place], lease_id, *row[place + 1 :])
    row = (lease_id, *row[1:]) if version is None else (*row, lease_id, version, row[columns.EPOCH])
    return statement, row, [(lease_id, *line[1:]) for line in journal]


async def raw_group_lives(folder: Path, life: Sequence[Commit], concurrent: int, lives: int) -> float:
    """Lives per second of one raw writer thread that commits what is queued together."""
    loop = asyncio.get_running_loop()
    queue: SimpleQueue[Any] = SimpleQueue()

    def write() -> None:
        with closing(_raw(folder / "engine.db")) as raw:
            while (first := queue.get()) is not None:
                batch = [first]
                while True:
                    try:
                        item = queue.get_nowait()
                    except Empty:
                        break
                    batch.append(item)
                raw.execute("BEGIN IMMEDIATE")
                for statement in (INSERT, UPDATE):
                    rows = [row for (kind, row, _), _ in batch if kind is statement]
                    if rows and raw.executemany(statement, rows).rowcount != len(rows):
                        raise AssertionError("a raw write met no row")
                raw.executemany(JOURNAL, [line for (_, _, journal), _ in batch for line in journal])
                raw.execute("COMMIT")
                loop.call_soon_threadsafe(_answer, [future for _, future in batch])

    thread = threading.Thread(target=write)
    thread.start()
    left = itertools.count()

    async def work() -> None:
        while (number := next(left)) < lives:
            for commit in life:
                future: asyncio.Future[None] = loop.create_future()
                queue.put((_bound(commit, f"raw{id(queue)}{number}"), future))
                await future

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrent)))
    took = time.perf_counter() - began
    queue.put(None)
    thread.join()
    return lives / took


def raw_step_lives(folder: Path, life: Sequence[Commit], lives: int) -> float:
    """Lives per second of one connection that commits each step for itself."""
    with closing(_raw(folder / "engine.db")) as raw:
        began = time.perf_counter()
        for number in range(lives):
            for commit in life:
                statement, row, journal = _bound(commit, f"step{number}")
                raw.execute("BEGIN IMMEDIATE")
                if raw.execute(statement, row).rowcount != 1:
                    raise AssertionError("a raw write met no row")
                raw.executemany(JOURNAL, journal)
                raw.execute("COMMIT")
        return lives / (time.perf_counter() - began)


def _answer(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


def _raw(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode=WAL").fetchone()
    raw.execute("PRAGMA synchronous=FULL")
    return raw


@dataclass(frozen=True, slots=True)
class Round:
    """One interleaved round: lives per second of each way, and the looks at committed intents."""

    engine: float
    group: float
    step: float
    looked: int


async def rounds(concurrent: int, lives: int, count: int) -> list[Round]:
    """So many rounds of all three ways, one after the other in each, each round in a store of its own."""
    with TemporaryDirectory(prefix="leasehold-bench-") as folder:
        life = await record_life(Path(folder))
    found: list[Round] = []
    for _ in range(count):
        with TemporaryDirectory(prefix="leasehold-bench-") as folder:
            path = Path(folder)
            gc.collect()
            gc.freeze()  # what was imported is not looked through again while lives are counted, on either side
            engine, looked = await engine_lives(path, concurrent, lives)
            group = await raw_group_lives(path, life, concurrent, lives)
            step = await asyncio.to_thread(raw_step_lives, path, life, min(lives, 200))
            found.append(Round(engine, group, step, looked))
    return found
