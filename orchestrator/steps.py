"""The steps: the callbacks of the tables' rows, each of which invokes a driver.

A step gets the lease and its ``Step``, does its work at the place, and leaves what must be recorded
in the step. It writes nothing itself.
"""

import asyncio
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from leasehold.drivers import (
    Absent,
    Command,
    Context,
    Found,
    Handle,
    Mode,
    Refused,
    Registry,
    ReleaseMode,
    Tags,
    Unavailable,
    syncs_back,
)
from leasehold.orchestrator.adapters import Adapters
from leasehold.orchestrator.environments import Environment, Environments, EnvironmentStatus
from leasehold.orchestrator.error_table import (
    AdapterRefused,
    CompanyHasNoSuchEnvironment,
    EnvironmentArchived,
    ProbeFailed,
)
from leasehold.orchestrator.fingerprint import fingerprint
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.offer import check_offer, first_problem, with_environment
from leasehold.orchestrator.place_request import place_request, realized_cwd, subjects
from leasehold.orchestrator.provisioning import ProvisionFailed, told_to
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import ProvenAbsent, Step, StillUnknown
from leasehold.orchestrator.store.encoding import digest, encode
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.verbs import Verbs, handle_of, realization_of
from pydantic import BaseModel, ValidationError

T = TypeVar("T")


class Steps(Verbs):
    """What the rows of the tables call."""

    def __init__(
        self,
        store: Store,
        environments: Environments,
        registry: Registry,
        adapters: Adapters,
        settings: Settings,
        redaction: Redaction,
    ) -> None:
        super().__init__(store, registry, settings, redaction)
        self._folder = str(settings.state_folder.absolute())
        self._environments = environments
        self._adapters = adapters
        self._configs: dict[str, tuple[int, BaseModel, str]] = {}  # by environment: its version, and what it says

    # --- the lease table's callbacks

    async def resolve(self, lease: Lease, step: Step) -> None:
        """Everything that can be refused without paying for a place."""
        request = lease.terms.request
        environment = await self._environments.find(request.company_id, request.environment)
        if environment is None:
            raise CompanyHasNoSuchEnvironment(
                f'Environment "{request.environment}" not found.',
                hint="leasehold env list shows what there is",
            )
        # what is known so far stands on the lease also where the rest is refused
        lease.terms = with_environment(lease.terms, environment, None)
        if environment.status is not EnvironmentStatus.ACTIVE:
            raise EnvironmentArchived(environment.inactive, hint=environment.way_back)
        driver = self._registry.get(environment.provider)
        config, pinned = self._config(environment, driver.Config)
        offer = driver.capabilities(config)
        refusal = self._adapters.refusal(request.adapter_type, offer.transport)
        if refusal is not None:
            raise AdapterRefused(refusal)
        mode = request.mode or offer.modes[0]
        check_offer(offer, mode, lease.terms, environment)
        lease.terms = with_environment(lease.terms, environment, mode, pinned)
        bound = offer.machine_bound or None
        lease.terms = replace(lease.terms, machine=self.machine, state_folder=self._folder, bound=bound)
        path = Path(request.workspace)
        lease.subjects = await subjects(driver, config, place_request(lease, path, mode))
        lease.driver, lease.config, lease.tree = driver, config, path
        lease.environment_version = environment.version
        if lease.terms.policy.reuses:
            known = await asyncio.to_thread(fingerprint, self._store.ledger, driver, config, pinned, lease.terms)
            lease.terms = replace(lease.terms, fingerprint=known)

    async def know(self, lease: Lease) -> None:
        """What ``resolve`` told its own process of the lease, told to another: driver, tree, and what it holds."""
        driver, mode, path = self.driver_of(lease), lease.terms.mode, Path(lease.terms.request.workspace)
        assert mode is not None
        lease.tree = path
        lease.subjects = await subjects(driver, lease.config, place_request(lease, path, mode))

    async def acquire(self, lease: Lease, step: Step) -> None:
        """Ask the driver for the place of this lease's key, or find the parked one that it took over."""
        assert lease.driver is not None
        assert lease.terms.mode is not None
        context = self.context(lease, step)
        if vars(lease.config).get("probe"):
            health = await self.verb(lease, step, context, lease.driver.probe(lease.config))
            if not health.ok:
                raise ProbeFailed(health.detail, hint="leasehold env probe shows what is wrong and how to mend it")
        key = lease.facts.resource_key or ""
        tags = Tags(self._store.ledger, lease.id, key, lease.facts.epoch, lease.facts.expires_at or 0)
        place = place_request(lease, lease.tree or Path(), lease.terms.mode)
        parked, lease.parked = lease.parked, None
        handle = None if parked is None else await self._resume(parked, lease, step, context)
        if handle is None:
            handle = await self.verb(lease, step, context, lease.driver.acquire(key, place, tags, context))
        if not isinstance(handle, Handle):  # pyright: ignore[reportUnnecessaryIsInstance]  # foreign drivers lie
            raise Refused(f"driver {lease.driver.name} answered without a place")
        value, lease.handle = handle.to_json(), handle
        step.details["handle"] = value
        step.papers["handle"] = encode(value)
        step.papers["provider_lease_id"] = handle.place

    async def _resume(self, parked: Lease, lease: Lease, step: Step, context: Context) -> Handle | None:
        """The parked place as it is found; none where it is gone."""
        assert lease.driver is not None
        asked = lease.driver.recover(lease.facts.resource_key or "", handle_of(lease), context)
        found = await self.verb(lease, step, context, asked)
        if isinstance(found, Found):
            step.details["resumed"] = f"the place of lease {parked.id}"
            return found.handle
        if not isinstance(found, Absent):
            raise Unavailable(f"whether the parked place stands cannot be said: {found.why}")
        step.details["replaced"] = f"the place of lease {parked.id} is gone"
        return None

    async def realize(self, lease: Lease, step: Step) -> None:
        """Put the workspace there."""
        assert lease.driver is not None
        assert lease.terms.mode is not None
        context = self.context(lease, step)
        tree = lease.terms.request.tree(lease.tree, lease.terms.mode)
        handle = handle_of(lease)
        record = await self.verb(lease, step, context, lease.driver.realize(handle, tree, context))
        cwd = realized_cwd(record.cwd, handle.data.get("remote_cwd"), tree.path)
        if cwd != record.cwd:
            record = replace(record, cwd=cwd)
        lease.realized = record
        text = encode(record.to_json())
        step.papers["realization"] = text
        step.details["digests"] = {"realization": digest(text)}
        step.details["summary"] = self._redaction.clean(record.summary)

    def passed_over(self, lease: Lease) -> str | None:
        """Why the provision command is not run here; none where it is."""
        if not (lease.terms.request.provision or "").strip():
            return "none"
        offer = self.driver_of(lease).capabilities(lease.config)
        if lease.terms.mode is Mode.IN_PLACE and not offer.provisions_in_place:
            return "a workspace that is used in place stands ready"
        return None

    async def provision(self, lease: Lease, step: Step) -> None:
        """Run the provision command in the realized place, and take the baseline."""
        assert lease.driver is not None
        if "passed_over" in step.details:
            await self._baseline(lease, step)
            return
        if lease.afresh:
            await self.realize(lease, step)
        context, request = self.context(lease, step), lease.terms.request
        handle, realization = handle_of(lease), realization_of(lease)
        opened = lease.driver.target(handle, realization, _lasting(context))
        target = await self.verb(lease, step, context, opened)
        lease.target = target
        command = Command(
            argv=("bash", "-lc", (request.provision or "").strip()),
            env={**request.variables, "SHELL": "/bin/bash"},
            cwd=realization.cwd,
            timeout=request.provision_timeout,
            limit=64 * 1024,
            record=step.attempt,
        )
        result = await self.verb(lease, step, context, target.execute(command), stoppable=True)
        if not result.ok:
            raise ProvisionFailed(result, await asyncio.to_thread(told_to, lease))
        await self._baseline(lease, step, context)

    async def provisioned(self, lease: Lease, step: Step) -> None:
        """Take the baseline of a place that an earlier owner's command provisioned."""
        self.driver_of(lease)
        await self._baseline(lease, step)

    async def resolve_target(self, lease: Lease, step: Step) -> None:
        """Resolve what the adapter gets."""
        assert lease.driver is not None
        context = self.context(lease, step)
        if lease.target is None:
            opened = lease.driver.target(handle_of(lease), realization_of(lease), _lasting(context))
            lease.target = await self.verb(lease, step, context, opened)
        described = {
            **lease.target.describe(),
            "environment_id": lease.terms.environment_id,
            "lease_id": lease.id,
        }
        text = encode(described)
        lease.handle = lease.realized = lease.tree = None  # what only the way here needed
        step.papers["target"] = text
        step.details["digests"] = {"target": digest(text)}

    async def sync_back(self, lease: Lease, step: Step) -> None:
        """Bring the run's changes back into the workspace."""
        driver = self.driver_of(lease)
        assert syncs_back(driver)
        context = self.context(lease, step)
        report = await self.verb(
            lease, step, context, driver.sync_back(handle_of(lease), realization_of(lease), context)
        )
        step.details["summary"] = self._redaction.clean(report.summary)
        if report.branch is not None:
            step.details["branch"] = report.branch

    # --- the cleanup table's callbacks

    async def clean(self, lease: Lease, step: Step) -> None:
        """Destroy the place; where no handle was recorded, ask by the key first."""
        driver = self.driver_of(lease)
        context = self.context(lease, step)
        handle = None if lease.ahead.handle is None else handle_of(lease)
        if handle is None:
            key = lease.ahead.resource_key or ""
            answer = await self.verb(lease, step, context, driver.recover(key, None, context))
            if isinstance(answer, Absent):
                raise ProvenAbsent
            if not isinstance(answer, Found):
                raise StillUnknown(answer.why)
            handle = answer.handle
        await self._release(lease, step, handle, ReleaseMode.DESTROY, context)

    async def keep(self, lease: Lease, step: Step) -> None:
        """Keep the place for a person, until its deadline."""
        self.driver_of(lease)
        context = self.context(lease, step)
        await self._release(lease, step, handle_of(lease), ReleaseMode.KEEP, context)
        step.details["keep_until"] = self._store.clock.now() + int(lease.terms.request.keep_for * 1e6)

    async def park(self, lease: Lease, step: Step) -> None:
        """Keep the place for the next run that fits, until its deadline."""
        self.driver_of(lease)
        context = self.context(lease, step)
        await self._release(lease, step, handle_of(lease), ReleaseMode.PARK, context)
        request = lease.terms.request
        environment = await self._environments.get(request.company_id, str(lease.terms.environment_id))
        if environment.status is not EnvironmentStatus.ACTIVE:
            step.details["keep_until"] = self._store.clock.now()  # it takes no new leases: nobody will want it
        else:
            step.details["keep_until"] = self._store.clock.now() + int(request.keep_for * 1e6)

    # --- beneath them

    async def _baseline(self, lease: Lease, step: Step, context: Context | None = None) -> None:
        driver = self.driver_of(lease)
        if syncs_back(driver) and lease.terms.mode is not Mode.IN_PLACE:
            context = context or self.context(lease, step)
            await self.verb(lease, step, context, driver.baseline(handle_of(lease), realization_of(lease), context))

    async def _release(self, lease: Lease, step: Step, handle: Handle, mode: ReleaseMode, context: Context) -> None:
        driver = self.driver_of(lease)
        released = await self.verb(lease, step, context, driver.release(handle, mode, context))
        if released.kept:
            step.details["kept"] = [asdict(kept) for kept in released.kept]
        if released.open_with is not None:
            step.details["open_with"] = released.open_with
        if released.notes:
            step.details["notes"] = [self._redaction.clean(note) for note in released.notes]
        if not released.was_there:
            step.details["was_there"] = False

    def _config(self, environment: Environment, model: type[BaseModel]) -> tuple[BaseModel, str]:
        known = self._configs.get(environment.id)
        if known is None or known[0] != environment.version:
            try:
                config = model.model_validate(environment.driver_config)
            except ValidationError as error:
                raise Refused(f'config of environment "{environment.name}": {first_problem(error)}') from error
            known = self._configs[environment.id] = (environment.version, config, config.model_dump_json())
        return known[1:]


def _lasting(context: Context) -> Context:
    """A target outlives the step that resolves it: its commands end with the lease, which can be extended."""
    return replace(context, deadline=math.inf)
