"""Eight processes on one PostgreSQL: killed, frozen and woken, cut off from their server, which restarts at once.

Afterwards every journal is read once, in time linear to its length.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
from chaos import Member, acknowledged, live, settings
from forks import forks
from leasehold.drivers.scripted import Provider
from leasehold.drivers.scripted.shelf import FolderShelf
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.verify import verify
from leasehold.states import LEASE_EVENTS, CleanupState
from postgres import PostgresServer
from proxy import Cut, Proxy

PROCESSES = 8
NIGHTLY = (pytest.mark.long, pytest.mark.nightly)


class Herd:
    """The processes, and what is done to them."""

    def __init__(self, folder: Path, server: PostgresServer, database: str, dice: random.Random) -> None:
        self._folder = folder
        self._server = server
        self._database = database
        self._dice = dice
        self._numbers = count()
        self._frozen: list[tuple[float, Any]] = []
        self._proxies = [Proxy(server.port) for _ in range(PROCESSES)]
        self.done = {"killed": 0, "frozen": 0, "cut": 0, "restarted": 0}
        self._members = [self._start(index) for index in range(PROCESSES)]

    def _start(self, index: int) -> Any:
        url = f"postgresql://postgres@127.0.0.1:{self._proxies[index].port}/{self._database}"
        process = forks().Process(target=live, args=(Member(self._folder, url, next(self._numbers)),))
        process.start()
        return process

    def strike(self) -> None:
        """One fault, to one of them or to the server."""
        now = time.monotonic()
        for until, process in [each for each in self._frozen if each[0] <= now]:
            os.kill(process.pid, signal.SIGCONT)
            self._frozen.remove((until, process))
        index = self._dice.randrange(PROCESSES)
        process = self._members[index]
        frozen = any(each is process for _, each in self._frozen)
        match self._dice.choice(["kill", "kill", "freeze", "freeze", "cut", "cut", "cut", "restart"]):
            case "kill" if not frozen:
                process.kill()
                process.join(30)
                self._members[index] = self._start(index)
                self.done["killed"] += 1
            case "freeze" if not frozen:
                os.kill(process.pid, signal.SIGSTOP)
                self._frozen.append((now + self._dice.choice([0.3, 1.0, 3.0, 6.0]), process))
                self.done["frozen"] += 1
            case "cut":
                self._proxies[index].cut = self._dice.choice([Cut.UNSENT, Cut.SENT, Cut.ANSWERED])
                self.done["cut"] += 1
            case "restart" if self.done["restarted"] * 20 < sum(self.done.values()):
                self._server.restart()
                self.done["restarted"] += 1
            case _:
                pass

    def end(self) -> None:
        """Wake all, and have them end by themselves."""
        for _, process in self._frozen:
            os.kill(process.pid, signal.SIGCONT)
        (self._folder / "stop").touch()
        for process in self._members:
            process.join(60)
            assert process.exitcode == 0, f"it ended with {process.exitcode}"

    def bury(self) -> None:
        for process in self._members:
            process.kill()
            process.join(30)
        for proxy in self._proxies:
            proxy.close()


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "least"), [(25, 100), pytest.param(600, 1000, marks=NIGHTLY)])
@pytest.mark.timeout(1200)
async def test_nothing_is_lost_doubled_or_left(
    server: PostgresServer, tmp_path: Path, seconds: int, least: int, tried: Callable[..., None]
) -> None:
    dice = random.Random(seconds)
    database = server.database()
    url = server.url(database)
    async with Orchestrator.open(url, settings=settings(tmp_path)) as orchestrator:
        config = {"root": str(tmp_path / "provider")}
        await orchestrator.environments.add("default", "place", "scripted", config)
    herd = Herd(tmp_path, server, database, dice)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            herd.strike()
            time.sleep(dice.random() * 0.6)  # noqa: ASYNC251 - nothing else runs in this process
        herd.end()
    finally:
        herd.bury()

    async with Orchestrator.open(url, settings=settings(tmp_path)) as orchestrator:
        fewest, until = sys.maxsize, 0.0
        while left := await unended(orchestrator):
            if left < fewest:
                fewest, until = left, time.monotonic() + 60
            assert time.monotonic() < until, f"{left} stay stuck"
            await orchestrator.duties()
        rows = await orchestrator.ledger.listing("default", limit=1_000_000)
        for row in rows:
            if row.facts.cleanup in (CleanupState.PARKED, CleanupState.RETAINED):
                await orchestrator.release(row.terms.id)
        findings = [str(finding) async for finding in verify(orchestrator.store)]
        wrong = await journals(orchestrator, acknowledged(tmp_path))
        places = [each.place for each in Provider(FolderShelf(tmp_path / "provider")).standing()]
        swept = [decision for decision in await orchestrator.sweep() if decision.place]
    tried(
        "chaos", **herd.done, leases=len(rows), acknowledged=len(acknowledged(tmp_path)), leaks=len(places),
        wrong=len(wrong) + len(findings),
    )  # fmt: skip
    assert (findings, wrong, places, swept) == ([], [], [], [])
    assert len(rows) >= least, "so few say nothing"


async def unended(orchestrator: Orchestrator) -> int:
    """How many leases are stuck, or live yet: their owner's claim has still to run out."""
    rows = await orchestrator.ledger.listing("default", limit=1_000_000)
    return sum(1 for row in rows if row.stuck or row.facts.state.live or row.facts.pending_event)


async def journals(orchestrator: Orchestrator, told: list[tuple[str, int, str, int]]) -> list[str]:
    """One pass over all journals: epochs grow, each has one owner and one lease, no gap, what was told is there."""
    table = orchestrator.store.schema.journal
    query = table.select().order_by(table.c.lease_id, table.c.seq)
    lines = await orchestrator.store.read(lambda connection: connection.execute(query).all())
    wrong, belongs = list[str](), dict[int, tuple[str, str | None]]()
    states: dict[tuple[str, int], tuple[str, int]] = {}
    for lease_id, rows in groupby(lines, key=lambda row: str(row.lease_id)):
        last_epoch, last_seq, state = 0, 0, "requested"
        for row in rows:
            if row.seq != last_seq + 1:
                wrong.append(f"{lease_id}: row {row.seq} after {last_seq}")
            if row.epoch < last_epoch:
                wrong.append(f"{lease_id}: epoch {row.epoch} after {last_epoch}")
            if row.owner is not None and belongs.setdefault(row.epoch, (lease_id, row.owner)) != (lease_id, row.owner):
                wrong.append(f"epoch {row.epoch}: {belongs[row.epoch]} and {(lease_id, row.owner)}")
            if row.event in LEASE_EVENTS:
                state = str(row.dest)
            last_epoch, last_seq = row.epoch, row.seq
            states[lease_id, row.seq] = (state, row.epoch)
    for lease_id, version, state, epoch in told:
        if states.get((lease_id, version)) != (state, epoch):
            wrong.append(f"{lease_id} was told {state} at {version}; the journal has {states.get((lease_id, version))}")
    return wrong
