"""One of the processes of the chaos test: it lives leases side by side, works off what is due, and is killed."""

import asyncio
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leasehold.drivers import DriverError
from leasehold.orchestrator import EnvironmentRunError, LeaseLost, Orchestrator, Settings, StoreError
from leasehold.orchestrator.lease import Lease
from leasehold.states import IllegalTransition

CLAIM_SECONDS = 2.0
SIDE_BY_SIDE = 8
_SETBACKS = (EnvironmentRunError, LeaseLost, StoreError, IllegalTransition, DriverError)


@dataclass(frozen=True)
class Member:
    """One process. It ends by itself once the file ``stop`` is in the folder."""

    folder: Path
    url: str
    number: int


class Acknowledged:
    """What the process was told, line by line: who reads it after a crash finds nothing torn but the last line."""

    def __init__(self, member: Member) -> None:
        path = member.folder / f"acknowledged-{member.number}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, lease: Lease) -> None:
        facts = lease.facts
        os.write(self._file, f"{lease.id} {facts.version} {facts.state} {facts.epoch}\n".encode())


def settings(folder: Path) -> Settings:
    return Settings(
        state_folder=folder / "state",
        claim_seconds=CLAIM_SECONDS,
        store_patience_seconds=10.0,
        worker_seconds=0.5,
        sweep_seconds=3600.0,
    )


def live(member: Member) -> None:
    """Be that process."""
    asyncio.run(_live(member))


async def _live(member: Member) -> None:
    told = Acknowledged(member)
    while not (member.folder / "stop").exists():
        try:
            async with (
                Orchestrator.open(member.url, settings=settings(member.folder)) as orchestrator,
                orchestrator.worker(),
            ):
                await asyncio.gather(*(_lives(orchestrator, member, told) for _ in range(SIDE_BY_SIDE)))
        except StoreError:
            await asyncio.sleep(0.2)  # the store is away: it comes back


async def _lives(orchestrator: Orchestrator, member: Member, told: Acknowledged) -> None:
    dice = random.Random(os.urandom(8))
    while not (member.folder / "stop").exists():
        with suppress(*_SETBACKS):
            await _one(orchestrator, member, told, dice)
        await asyncio.sleep(dice.random() * 1.5)


async def _one(orchestrator: Orchestrator, member: Member, told: Acknowledged, dice: random.Random) -> None:
    request: dict[str, Any] = {"environment": "place", "workspace": member.folder, "mode": "copy"}
    policy = dice.choice(["ephemeral", "ephemeral", "reuse_by_environment"])
    lease = await orchestrator.acquire(**request, policy=policy, provision="make", run_id=f"run-{time.time_ns()}")
    told.note(lease)
    await asyncio.sleep(dice.random() * 0.5)
    await lease.exec("true")
    if dice.random() < 0.2:
        await lease.fail("the dice say so")
    else:
        await lease.release()
    told.note(lease)


def acknowledged(folder: Path) -> list[tuple[str, int, str, int]]:
    """All that any process was told."""
    found: list[tuple[str, int, str, int]] = []
    for path in sorted(folder.glob("acknowledged-*")):
        for line in path.read_text().splitlines():
            lease_id, version, state, epoch = line.split()
            found.append((lease_id, int(version), state, int(epoch)))
    return found
