"""Verbs: how a lease's driver is invoked, with which circumstances and for how long."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from leasehold.drivers import (
    Context,
    Handle,
    NotInstalled,
    Realization,
    Refused,
    Registry,
    Stale,
    TimedOut,
    Unavailable,
    machine_id,
)
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.offer import first_problem
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import Interrupted, News, Step
from leasehold.orchestrator.store.encoding import decode
from leasehold.orchestrator.store.errors import StoreBehind
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.terms import Terms
from leasehold.orchestrator.watch import Overdue, Stopped, Watch, Watches
from leasehold.states import LEASE_EVENTS, LeaseEvent
from pydantic import ValidationError

T = TypeVar("T")

_GRACE = 5.0  # seconds that a verb has beyond its own deadline, to say so itself


class Verbs:
    """Invokes drivers for leases of one store."""

    def __init__(self, store: Store, registry: Registry, settings: Settings, redaction: Redaction) -> None:
        self._store = store
        self._registry = registry
        self._settings = settings
        self._redaction = redaction
        self.machine = machine_id(settings.state_folder)
        self.watches = Watches()

    def seconds(self, event: str, lease: Lease) -> float:
        """How long a step may take."""
        settings = self._settings
        match event:
            case LeaseEvent.ACQUIRE:
                return settings.acquire_seconds
            case LeaseEvent.REALIZE:
                return settings.realize_seconds
            case LeaseEvent.PROVISION:
                return (
                    lease.terms.request.provision_timeout + 30.0 + (settings.realize_seconds if lease.afresh else 0.0)
                )
            case LeaseEvent.SYNC_BACK:
                return settings.sync_back_seconds
            case _:
                return settings.cleanup_seconds

    def driver_of(self, lease: Lease) -> Any:
        """The lease's driver, under its pinned config. Raises ``NotInstalled`` and ``Refused``."""
        if lease.driver is None:
            if lease.terms.provider is None:
                raise NotInstalled("no driver was ever resolved")
            driver = self._registry.get(lease.terms.provider)
            try:
                lease.config = driver.Config.model_validate_json(lease.terms.config)
            except ValidationError as error:
                raise Refused(f"the pinned config does not fit: {first_problem(error)}") from error
            lease.driver = driver
        return lease.driver

    def words_of(self, error: Exception) -> str:
        """What an error says, without secrets."""
        return self._redaction.clean(str(error) or error.__class__.__name__)

    def reaches(self, terms: Terms) -> bool:
        """Whether a place of these terms can be reached from this machine."""
        return not terms.bound or terms.machine == self.machine

    def context(self, lease: Lease, step: Step) -> Context:
        """The circumstances of one verb. Raises ``Unavailable`` where the place is another machine's."""
        if not self.reaches(lease.terms):
            raise Unavailable(
                f"its place is on another machine, {lease.terms.machine}, and is reached from there alone",
                hint="run leasehold worker, or leasehold replay, on that machine",
            )
        seconds = self.seconds(step.event, lease)
        stop = asyncio.Event()
        if step.event in LEASE_EVENTS:
            lease.stop = stop
            if lease.interruption is not None:
                stop.set()

        def progress(line: str) -> None:
            if lease.listener is not None:
                lease.tell(News(lease.id, step.event, "progress", self._redaction.clean(line)))

        return Context(
            config=lease.config,
            deadline=time.monotonic() + seconds,
            epoch=lease.facts.epoch,
            ledger=self._store.ledger,
            lease_id=lease.id,
            state_folder=self._state_folder(lease.terms),
            stop=stop,
            progress=progress,
            learn=self._learn,
            variables=dict(lease.terms.request.variables),
        )

    def _state_folder(self, terms: Terms) -> Path:
        """Where the lease's process kept what it needs of the place on its own side; here, elsewhere."""
        at_home = terms.machine == self.machine and terms.state_folder is not None
        return Path(str(terms.state_folder)) if at_home else self._settings.state_folder

    def _learn(self, secret: str) -> None:
        self._redaction.learn([secret])

    async def _check_behind(self, lease: Lease, error: Stale) -> None:
        """Raise ``StoreBehind`` where no owner can have had the epoch that the place has seen."""
        drawn = await self._store.drawn()
        if error.seen is not None and error.seen > drawn:
            raise StoreBehind(f"the place {lease.facts.resource_key}", error.seen, drawn) from error

    async def verb(
        self, lease: Lease, step: Step, context: Context, verb: Awaitable[T], *, stoppable: bool = False
    ) -> T:
        """Await a driver's verb until its deadline. What it raises after a stop is ``Interrupted``.

        What is ``stoppable``, a command, knows no stop signal: it is cut off when the step is told to end.
        """
        watch = Watch(context.deadline + _GRACE)
        if stoppable:
            lease.began(watch)
        try:
            return await self.watches.over(watch, verb)
        except Overdue as error:
            raise TimedOut(f"{step.event} did not end within {self.seconds(step.event, lease):g} s") from error
        except Stale as error:
            await self._check_behind(lease, error)
            raise
        except Exception as error:
            if context.stop.is_set() or isinstance(error, Stopped):
                raise Interrupted from error
            raise
        finally:
            if stoppable:
                lease.ended(watch)


def handle_of(lease: Lease) -> Handle:
    return lease.handle or Handle.from_json(_paper(lease, "handle"))


def realization_of(lease: Lease) -> Realization:
    if lease.realized is not None:
        return lease.realized
    return Realization.from_json(_paper(lease, "realization"))


def _paper(lease: Lease, name: str) -> Any:
    text = lease.papers.get(name)
    if lease.draft is not None:
        text = lease.draft.papers.get(name, text)
    return decode(text)
