"""The worker: the duties and the sweep in a loop, with any number of others beside it."""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from leasehold.drivers.durable import write_whole
from leasehold.orchestrator.duties import Deed, Duties
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.request import SweepBy
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.sweep import Decision, Sweep, Verdict
from leasehold.orchestrator.telling import tell

_LONGEST_PAUSE = 30.0
_JITTER = 0.2
_NEWS = frozenset({Verdict.DESTROYED, Verdict.DESTROY, Verdict.LEFT})

Told = Callable[[str], None]


def _silent(_: str) -> None:
    return


class Worker:
    """Does what is due, pass after pass, until it is stopped.

    ``told`` hears one line a decision. Where ``health`` names a file, it is written after each pass: JSON
    with ``at``, ``passes``, ``deeds``, ``destroyed`` and ``error`` (why the last pass or sweep failed; null where
    neither did).
    """

    def __init__(
        self,
        store: Store,
        owner: Owner,
        duties: Duties,
        sweep: Sweep,
        settings: Settings,
        *,
        told: Told = _silent,
        sweeps: SweepBy = SweepBy.APPLY,
        health: Path | None = None,
    ) -> None:
        self._store = store
        self._owner = owner
        self._duties = duties
        self._sweep = sweep
        self._settings = settings
        self._told = told
        self._sweeps = sweeps
        self._health = health
        self._unhealthy: str | None = None
        self._stop = asyncio.Event()
        self._sweep_at = 0.0
        self._sweeping: asyncio.Task[None] | None = None
        self._said: dict[tuple[str, str], Verdict] = {}
        self.passes = 0
        self.deeds = 0
        self.destroyed = 0
        self.error: str | None = None
        self._sweep_error: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Worker"]:
        """Run beside the block; at its end, finish what has begun."""
        task = asyncio.create_task(self.run(), name="leasehold-worker")
        try:
            yield self
        finally:
            self.stop()
            await task

    def stop(self) -> None:
        """End the loop after the pass that is under way."""
        self._stop.set()

    async def run(self) -> None:
        """Pass after pass, until ``stop``. After one that fails, a store's above all, the next waits longer."""
        pause = self._settings.worker_seconds
        while not self._stop.is_set():
            try:
                await self._duties.begin(self._deed, until=self._stop)
                await self._begin_sweep()
                self.error, pause = self._sweep_error, self._settings.worker_seconds
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next pass tries again
                self.error, pause = _words(error), min(_LONGEST_PAUSE, 2 * pause)
                self._tell(f"the {'store' if isinstance(error, StoreError) else 'pass'}: {self.error}")
            self.passes += 1
            await self._write_health()
            await self._rest(pause * random.uniform(1 - _JITTER, 1 + _JITTER))
        await self._duties.rest()
        if self._sweeping is not None:
            await self._sweeping
        await self._write_health()

    async def once(self) -> list[Deed]:
        """One pass over what is due, to its end. Raises ``StoreError``."""
        return await self._duties.once(self._deed)

    def _tell(self, line: str) -> None:
        tell(self._told, line)

    def _deed(self, deed: Deed) -> None:
        self.deeds += 1
        self._tell(str(deed))

    async def _begin_sweep(self) -> None:
        """Sweep beside the passes, where one is due and none is under way."""
        idle = self._sweeping is None or self._sweeping.done()
        if idle and time.monotonic() >= self._sweep_at:
            await self._owner.remove_old()
            self._sweep_at = time.monotonic() + self._settings.sweep_seconds
            if self._sweeps is not SweepBy.NEVER:
                self._sweeping = asyncio.create_task(self._swept(), name="leasehold-sweep")

    async def _swept(self) -> None:
        try:
            apply = self._sweeps is SweepBy.APPLY
            self._report(await self._sweep.sweep(apply=apply, patience=0.0, until=self._stop))
            self._sweep_error = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next sweep tries again
            self.error = self._sweep_error = _words(error)
            self._tell(f"the sweep: {self.error}")

    def _report(self, decisions: list[Decision]) -> None:
        """Say what is new: a verdict that stands since the last sweep is not told again."""
        before, self._said = self._said, {}
        for decision in decisions:
            self.destroyed += decision.verdict is Verdict.DESTROYED
            if decision.verdict in _NEWS:
                about = decision.driver, decision.place or decision.why
                self._said[about] = decision.verdict
                if before.get(about) is not decision.verdict:
                    self._tell(str(decision))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _write_health(self) -> None:
        if self._health is None:
            return
        record: dict[str, Any] = {
            "at": iso(self._store.clock.now()),
            "pid": os.getpid(),
            "passes": self.passes,
            "deeds": self.deeds,
            "destroyed": self.destroyed,
            "error": self.error,
        }
        data = (json.dumps(record) + "\n").encode()
        try:
            await asyncio.to_thread(write_whole, self._health, data, mode=0o644)
        except OSError as error:
            problem = f"the health file {self._health} cannot be written: {error}"
            if problem != self._unhealthy:  # it is told once, not each second
                self._tell(problem)
            self._unhealthy = problem
        else:
            self._unhealthy = None


def _words(error: Exception) -> str:
    said = str(error).partition("\n")[0]
    return said if isinstance(error, StoreError) else f"{type(error).__name__}: {said}"
