"""The leases of a platform's run: held, realized in a tree that is named late, and ended all together."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from leasehold.drivers import DriverError, Unusable
from leasehold.orchestrator.arguments import check_ids
from leasehold.orchestrator.environments import Environment, Environments
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.errors import EnvironmentRunError, LeaseLost, NoSuch
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.offer import with_environment
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.place_request import place_request, subjects
from leasehold.orchestrator.request import Request
from leasehold.orchestrator.results import LeaseContext, LeaseRecord, ReleaseFailure, ReleaseResult
from leasehold.orchestrator.step import CANCELLED, Failure, Listener, StepFailed
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.errors import HoldConflict, StoreError
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.terms import Terms
from leasehold.states import (
    CLEANUP_EVENTS,
    CleanupState,
    ErrorCode,
    Facts,
    IllegalTransition,
    Kind,
    LeaseEvent,
    LeaseState,
    Policy,
)

_TRIES = 5

Acquire = Callable[[Request, Listener | None], Awaitable[Lease]]
End = Callable[..., Awaitable[Lease | None]]


class RunLeases:
    """What the original's entry points do with leases.

    ``acquire``, ``release`` and ``fail`` are the orchestrator's own; the latter two are for leases that
    this process does not hold.
    """

    def __init__(
        self,
        store: Store,
        environments: Environments,
        ledger: Ledger,
        life: Life,
        steps: Steps,
        owner: Owner,
        others: Takeover,
        *,
        acquire: Acquire,
        release: End,
        fail: End,
    ) -> None:
        self._store = store
        self._environments = environments
        self._ledger = ledger
        self._life = life
        self._steps = steps
        self._owner = owner
        self._others = others
        self._acquire = acquire
        self._release_by_id = release
        self._fail_by_id = fail

    async def hold(self, request: Request) -> LeaseRecord[Lease]:
        """A lease at ``leased``. Raises ``EnvironmentRunError`` once its failure is recorded, and ``WrongUsage``."""
        check_ids(request)
        lease = await self._acquire(request, None)
        try:
            return await self._record(lease)
        except (asyncio.CancelledError, Exception) as error:
            await self.end_unused(lease, failure_by(error))
            raise

    async def refused(self, request: Request, environment: Environment | None, error: EnvironmentRunError) -> None:
        """Record a lease that failed before a driver was asked, and name it on the error."""
        check_ids(request)
        policy = environment.policy if environment else Policy.EPHEMERAL
        terms = Terms(self._store.ids.sortable(self._store.clock.now()), request, policy)
        if environment is not None:
            terms = with_environment(terms, environment, None)
        lease = Lease(self._life, terms, Facts())
        await self._owner.ensure()
        await self._life.fail(lease, Failure(error.code, error.message, "resolve", LeaseEvent.RESOLVE))
        error.lease_id = lease.id

    async def end_unused(self, lease: Lease, failure: Failure) -> None:
        """End a lease that nobody gets, or whose caller has an error of its own, which stays the first."""
        if lease.facts.version and lease.facts.state.live and lease.lost is None:
            with contextlib.suppress(StoreError, LeaseLost, IllegalTransition, DriverError):
                await self._life.end(lease, partial(self._life.fail, lease, failure))

    async def realize(self, lease: Lease, tree: str, provision: str | None, *events: LeaseEvent) -> None:
        """Put the tree, a folder of this machine, into a lease at ``leased``, and go on through ``events``.

        Raises ``EnvironmentRunError`` once the failure is recorded, ``LeaseLost``, and
        ``IllegalTransition`` where the lease is not at ``leased``.
        """
        self._check(lease, LeaseState.LEASED)
        await self._recorded(lease, self._realize(lease, tree, provision, events))

    async def go_on(self, lease: Lease, *events: LeaseEvent, metadata: dict[str, Any] | None = None) -> None:
        """Take a realized lease further; ``metadata`` is written with the next outcome. Raises as ``realize``."""
        self._check(lease, LeaseState.REALIZED, LeaseState.PROVISIONED)
        papers = None if metadata is None else {"metadata": encode(metadata)}
        await self._recorded(lease, self._life.settled(lease, self._life.go_on(lease, *events, papers=papers)))

    async def release(self, company_id: str, run_id: str, failure: Failure | None) -> ReleaseResult[Lease]:
        """End all that a run holds, as released or for a failure; one that fails stops no other."""
        result: ReleaseResult[Lease] = ReleaseResult()
        try:
            rows = await self._ledger.live_of_run(company_id, run_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the platform gets it, under no lease's name
            result.errors.append(ReleaseFailure("*", error))
            return result
        for row in rows:
            try:
                result.released.append(await self._release(row, failure))
            except Exception as error:  # noqa: BLE001 - it is kept with its lease, and the others go on
                result.errors.append(ReleaseFailure(row.terms.id, error))
        return result

    # --- beneath them

    async def _record(self, lease: Lease) -> LeaseRecord[Lease]:
        """A lease with its environment and execution workspace."""
        request = lease.terms.request
        environment = await self._environments.find(request.company_id, lease.environment_id)
        if environment is None:
            raise NoSuch(f'Environment "{lease.environment_id}" not found.')
        context = LeaseContext(request.execution_workspace_id, request.execution_workspace_mode)
        return LeaseRecord(environment, lease, context)

    async def _realize(self, lease: Lease, tree: str, provision: str | None, events: tuple[LeaseEvent, ...]) -> None:
        try:
            await self._name_tree(lease, tree, provision)
        except Exception as error:  # whatever a driver says of a tree, realizing it has failed
            raise await self._life.refuse(lease, error) from error
        for _ in range(_TRIES):
            try:
                await self._life.settled(lease, self._life.go_on(lease, *events))
            except HoldConflict as conflict:
                lease.draft = None
                await self._others.resolve_conflict(lease, conflict)
            else:
                return
        raise await self._life.refuse(lease, Held("its holder keeps changing; try again"))

    async def _name_tree(self, lease: Lease, tree: str, provision: str | None) -> None:
        """Have the lease know its tree: what its driver refuses is raised, what it holds alone is held."""
        if not tree.strip():
            raise Unusable("the execution workspace names no folder", hint="give its cwd")
        driver, mode = self._steps.driver_of(lease), lease.terms.mode
        assert mode is not None
        path = _absolute(tree)
        request = replace(lease.terms.request, workspace=str(path), provision=provision)
        lease.terms = replace(lease.terms, request=request)
        lease.subjects = await subjects(driver, lease.config, place_request(lease, path, mode))
        lease.tree = path
        lease.named = {"workspace": str(path), "provision_command": provision}

    async def _recorded(self, lease: Lease, operation: Awaitable[None]) -> None:
        try:
            await operation
        except StepFailed as failed:
            raise self._life.reported(lease, failed) from failed.__cause__

    def _check(self, lease: Lease, *states: LeaseState) -> None:
        """Raise where the lease is another's, has failed, or stands elsewhere."""
        self._life.check(lease)
        facts = lease.facts
        if facts.state is LeaseState.FAILED:
            first = Failure(ErrorCode(str(facts.error_code)), facts.error_message or "", facts.error_stage or "")
            raise self._life.reported(lease, StepFailed(first))
        if facts.state not in states:
            why = f"it has to be {' or '.join(states)}"
            raise IllegalTransition(lease.id, "realize", facts.state.value, why)

    async def _release(self, row: Row, failure: Failure | None) -> LeaseRecord[Lease]:
        lease = self._owner.leases.get(row.terms.id)
        if lease is None:
            lease = await self._end_elsewhere(row, failure)
            if lease is None:
                raise self._others.held(row, "it was asked to end it, and does with its next renewal")
        elif failure is None:
            await self._life.release(lease)
        else:
            lease.interrupt(failure)
            await self._life.fail(lease, failure)
        if lease.cleanup is CleanupState.FAILED:
            raise await self._cleanup_error(lease)
        return await self._record(lease)

    async def _end_elsewhere(self, row: Row, failure: Failure | None) -> Lease | None:
        company_id = row.terms.request.company_id
        if failure is None:
            return await self._release_by_id(row.terms.id, company_id=company_id)
        return await self._fail_by_id(row.terms.id, failure.message, company_id=company_id, code=failure.code)

    async def _cleanup_error(self, lease: Lease) -> EnvironmentRunError:
        """Why the last try to end the lease's place failed."""
        tries = [
            entry
            for entry in await self._life.journal(lease.id)
            if entry.event in CLEANUP_EVENTS and entry.kind is Kind.FAILED
        ]
        last = tries[-1]
        failure = Failure(ErrorCode(str(last.error_code)), str(last.details.get("message")), last.event)
        return self._life.reported(lease, StepFailed(failure, "it is tried again; leasehold release tries it now"))


def _absolute(tree: str) -> Path:
    return Path(tree).absolute()


def failure_by(error: BaseException) -> Failure:
    """As what a lease fails that nobody gets because of an error that is not its own."""
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    why = f"it came to no end of its own: {error.__class__.__name__}: {error}"
    return Failure(ErrorCode.LEASE_CANCELLED, why, "caller")
