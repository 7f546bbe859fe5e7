"""The sweep: places that bear our tags and belong to no lease (DESIGN section 10).

Whose a place is, the store says, never the tag alone. Destroyed is only what belonged to nobody in two looks,
past its grace and its provider's visibility delay, the driver healthy; and the decision is a commit of its own
before the deed, which looks once more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from leasehold.drivers import Context, Driver, DriverError, Registry, Resource
from leasehold.orchestrator.environments import LOCAL, Environments
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.sightings import Sighting, Sightings
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.errors import StoreBehind
from leasehold.orchestrator.store.store import Store
from pydantic import ValidationError

_AT_ONCE = 16
_PROBE_SECONDS = 60.0
_LOCAL = (LOCAL, "{}")  # a company's local default is made on first need: a store that was wiped has none yet


class Verdict(StrEnum):
    """What a sweep decided of one place."""

    BELONGS = "belongs"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    SEEN = "seen"
    DESTROY = "destroy"
    DESTROYED = "destroyed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Decision:
    """One place, or one driver that could not be asked (then ``place`` is empty), and why it was decided so.

    ``epoch`` is that of its tags.
    """

    driver: str
    place: str
    key: str
    lease_id: str
    verdict: Verdict
    why: str
    epoch: int = 0

    @property
    def decision(self) -> str:
        """The verdict, in its one word."""
        return self.verdict.value

    def __str__(self) -> str:
        return f"{f'{self.driver} place {self.place}' if self.place else self.driver}: {self.verdict}: {self.why}"


@dataclass(frozen=True, slots=True)
class _Source:
    """One driver with one config: what lists places."""

    driver: Driver
    config: Any
    delay: float


class Sweep:
    """Looks at every driver with every config that the store knows, of every company."""

    def __init__(
        self,
        store: Store,
        environments: Environments,
        registry: Registry,
        settings: Settings,
        redaction: Redaction,
    ) -> None:
        self._store = store
        self._environments = environments
        self._registry = registry
        self._settings = settings
        self._redaction = redaction
        self._sightings = Sightings(store)

    async def sweep(
        self,
        *,
        apply: bool,
        grace: float | None = None,
        unknown: bool = False,
        ledgers: Sequence[str] = (),
        patience: float = 60.0,
        until: asyncio.Event | None = None,
    ) -> list[Decision]:
        """A decision for each place that is listed, and for each driver that could not be asked.

        ``grace`` is in seconds. ``unknown`` counts places of leases that this store does not know as belonging
        to nobody, and ``ledgers`` names other ledgers whose places do too. With ``apply``, a second look that is due
        within ``patience`` seconds is waited for. Once ``until`` is set no further driver is asked. Raises
        ``StoreBehind``.
        """
        grace = self._settings.sweep_grace_seconds if grace is None else grace
        decisions: list[Decision] = []
        seen: set[tuple[str, str]] = set()
        async for source, listed in self._listed(decisions, until):
            fresh = [each for each in listed if (each.driver, each.place) not in seen]
            seen.update((each.driver, each.place) for each in fresh)
            await self._check_epochs(fresh, ledgers)
            wait = max(grace, source.delay)
            found, orphans = await self._sightings.look(fresh, unknown=unknown, ledgers=ledgers)
            left = self._left(orphans, wait)
            if apply and left is not None and left <= patience:
                await asyncio.sleep(left)  # the second look, which comes no earlier than this
                try:
                    again = await self._owned(source)
                except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other driver's sweep
                    decisions.append(self._unasked(source.driver.name, error))
                else:
                    found, orphans = await self._sightings.look(again, unknown=unknown, ledgers=ledgers)
            decisions += [self._decided(sighting) for sighting in found]
            decisions += await self._orphans(source, orphans, wait, apply=apply)
        return decisions

    async def listing(self) -> list[Decision]:
        """Every place that is listed, and whose it is; nothing is written and nothing destroyed."""
        decisions: list[Decision] = []
        async for _, listed in self._listed(decisions):
            found, orphans = await self._sightings.whose(listed)
            decisions += [self._decided(sighting) for sighting in (*found, *orphans)]
        return decisions

    # --- beneath them

    async def _listed(
        self, decisions: list[Decision], until: asyncio.Event | None = None
    ) -> AsyncIterator[tuple[_Source, list[Resource]]]:
        """Each driver that is well, with what it lists; what cannot be asked becomes a decision."""
        for (provider, config), names in (await self._sources()).items():
            if until is not None and until.is_set():
                return
            try:
                source = self._source(provider, config)
                if source is None:
                    continue
                await self._check_health(source)
                yield source, await self._owned(source)
            except Exception as error:
                if isinstance(error, StoreBehind):
                    raise
                decisions.append(self._unasked(provider, error, names))

    def _unasked(self, provider: str, error: Exception, names: Sequence[str] = ()) -> Decision:
        why = self._redaction.clean(str(error) or error.__class__.__name__)
        where = f" (environment {', '.join(names)})" if names else ""
        return Decision(provider, "", "", "", Verdict.LEFT, f"it could not be asked{where}: {why}")

    async def _sources(self) -> dict[tuple[str, str], list[str]]:
        """Each provider with each config that an environment or an owed place has, in one form; and the names of
        the environments, of the settings' company alone.
        """
        company = self._settings.company
        named = [
            (each.provider, encode(each.driver_config), each.name if each.company_id == company else None)
            for each in await self._environments.everywhere()
        ]
        unnamed = [(*each, None) for each in (_LOCAL, *await self._sightings.owed())]
        found: dict[tuple[str, str], list[str]] = {}
        for provider, config, name in (*named, *unnamed):
            try:
                whole = self._registry.get(provider).Config.model_validate_json(config).model_dump_json()
            except (DriverError, ValidationError):
                whole = config  # it is told when it is asked
            found.setdefault((provider, whole), []).extend([] if name is None else [name])
        return found

    def _source(self, provider: str, config: str) -> _Source | None:
        driver = self._registry.get(provider)
        parsed = driver.Config.model_validate_json(config)
        offer = driver.capabilities(parsed)
        return _Source(driver, parsed, offer.visibility_delay) if offer.tagged else None

    async def _check_health(self, source: _Source) -> None:
        async with asyncio.timeout(_PROBE_SECONDS):
            health = await source.driver.probe(source.config)
        if not health.ok:
            raise DriverError(f"it is not well: {health.detail}")

    async def _owned(self, source: _Source) -> list[Resource]:
        context = self._context(source, 0)
        async with asyncio.timeout(context.remaining()):
            return [resource async for resource in source.driver.owned(None, context)]

    async def _check_epochs(self, listed: Sequence[Resource], ledgers: Sequence[str]) -> None:
        """Places refuse what comes under an epoch that is older than theirs, also those of a ledger that is named."""
        ours = [each for each in listed if each.tags.ledger in (self._store.ledger, *ledgers)]
        newest = max(ours, key=lambda each: each.tags.epoch, default=None)
        if newest is not None and newest.tags.epoch > (drawn := await self._store.drawn()):
            raise StoreBehind(f"the place {newest.place}", newest.tags.epoch, drawn)

    def _left(self, orphans: Sequence[Sighting], wait: float) -> float | None:
        """Seconds until all of them may be destroyed by a second look; none where no look is wanting."""
        now = self._store.clock.now()
        ripe = [(sighting.is_first, sighting.first_seen + int(wait * 1e6)) for sighting in orphans]
        return max((max(0, at - now) / 1e6 for first, at in ripe if first or now < at), default=None)

    async def _orphans(
        self, source: _Source, orphans: Sequence[Sighting], wait: float, *, apply: bool
    ) -> list[Decision]:
        turns = asyncio.Semaphore(_AT_ONCE)
        now = self._store.clock.now()

        async def one(sighting: Sighting) -> Decision:
            ripe = sighting.first_seen + int(wait * 1e6)
            if sighting.is_first or now < ripe:
                first = f"seen first at {iso(sighting.first_seen)}"
                why = f"{sighting.why}; {first}, destroyed by a sweep after {iso(ripe)}"
                return self._decided(replace(sighting, why=why), Verdict.SEEN)
            if not apply:
                why = f"{sighting.why}, since {iso(sighting.first_seen)}: --apply destroys it"
                return self._decided(replace(sighting, why=why), Verdict.DESTROY)
            async with turns:
                return await self._destroy(source, sighting)

        return list(await asyncio.gather(*(one(sighting) for sighting in orphans)))

    async def _destroy(self, source: _Source, sighting: Sighting) -> Decision:
        resource = sighting.resource
        if not await self._sightings.decide(sighting):
            return self._decided(replace(sighting, why="a lease took it just then"), Verdict.BELONGS)
        context = self._context(source, await self._store.draw())
        tags = resource.tags
        context = replace(context, ledger=tags.ledger, lease_id=tags.lease_id)
        try:
            async with asyncio.timeout(context.remaining()):
                await source.driver.destroy(resource, context)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the next sweep tries again
            cause = self._redaction.clean(str(error) or error.__class__.__name__)
            why = f"{sighting.why}; it could not be destroyed: {cause}"
            return self._decided(replace(sighting, why=why), Verdict.LEFT)
        await self._sightings.forget(sighting)
        return self._decided(sighting, Verdict.DESTROYED)

    def _decided(self, sighting: Sighting, verdict: Verdict | None = None) -> Decision:
        resource = sighting.resource
        return Decision(
            resource.driver,
            resource.place,
            resource.tags.key,
            resource.tags.lease_id,
            verdict or Verdict(sighting.whose.value),
            sighting.why,
            resource.tags.epoch,
        )

    def _context(self, source: _Source, epoch: int) -> Context:
        return Context(
            config=source.config,
            deadline=time.monotonic() + self._settings.cleanup_seconds,
            epoch=epoch,
            ledger=self._store.ledger,
            lease_id="",
            state_folder=self._settings.state_folder,
            learn=lambda secret: self._redaction.learn([secret]),
        )
