"""The original's entry points, for a platform that drives the steps of a run itself.

The platform has made the tree already: on ``local`` it stands in place, elsewhere it is copied. What the
platform calls its mode and strategy is carried, never interpreted. Order, fallbacks and messages are the
original's (docs/original.md).
"""

import asyncio
import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

from leasehold.drivers import Registry, specifies_remote
from leasehold.orchestrator.adapters import Adapters
from leasehold.orchestrator.environments import Environment, Environments, EnvironmentStatus
from leasehold.orchestrator.errors import EnvironmentRunError, NoSuch, StoreError
from leasehold.orchestrator.execution_target import execution_target, remote_spec
from leasehold.orchestrator.execution_workspaces import ExecutionWorkspaces, Workspaces
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.offer import first_problem
from leasehold.orchestrator.realization import carried, field_of, realization_record, realization_request
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.request import Request
from leasehold.orchestrator.results import AcquisitionResult, LeaseRecord, RealizationResult, ReleaseResult
from leasehold.orchestrator.run_ending import RunEnding, failure_of
from leasehold.orchestrator.run_leases import RunLeases
from leasehold.orchestrator.runtime import Runtime
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import CANCELLED, Failure
from leasehold.states import ErrorCode, LeaseEvent
from pydantic import ValidationError

_TRANSPORT_SECONDS = 30.0


class EntryPoints:
    """The part of ``Orchestrator`` that stands in for the original's central service."""

    environments: Environments
    registry: Registry
    adapters: Adapters
    redaction: Redaction
    settings: Settings

    def __init__(
        self, runs: RunLeases, execution_workspaces: ExecutionWorkspaces, workspaces: Workspaces | None
    ) -> None:
        self.runtime = Runtime(runs, self.settings)
        self.execution_workspaces = execution_workspaces
        self._workspaces = workspaces
        self._runs = runs

    async def resolve_environment(
        self,
        *,
        company_id: str,
        selected_environment_id: str | None = None,
        default_environment_id: str | None = None,
    ) -> Environment:
        """The environment of a run: the selected one, else the default.

        Asking for the default makes the company's local environment where it is missing; nothing else is
        written. Raises ``EnvironmentRunError`` (``environment_not_found``, ``environment_inactive``).
        """
        environment_id = selected_environment_id or default_environment_id
        self.environments.forget(company_id)
        if environment_id == default_environment_id:
            environment: Environment | None = await self.environments.local_default(company_id)
        else:
            environment = await self.environments.find(company_id, environment_id)
        if environment is None:
            assert environment_id is not None
            # another company's, too: the original said so, and told that it exists (invariant 12)
            what = f'Environment "{environment_id}" not found.'
            raise EnvironmentRunError(ErrorCode.ENVIRONMENT_NOT_FOUND, what, environment_id=environment_id)
        if environment.status is not EnvironmentStatus.ACTIVE:
            raise EnvironmentRunError(
                ErrorCode.ENVIRONMENT_INACTIVE,
                environment.inactive,
                environment_id=environment.id,
                driver=environment.driver,
                provider=environment.provider,
                hint=environment.way_back,
            )
        return environment

    async def acquire_lease(
        self,
        *,
        company_id: str,
        environment: Environment,
        run_id: str,
        issue_id: str | None = None,
        persisted_execution_workspace: object = None,
        agent_id: str | None = None,
        adapter_type: str | None = None,
        share: bool = False,
    ) -> LeaseRecord[Lease]:
        """A lease at ``leased``; its tree is named when it is realized.

        ``share`` lets other leases work in the same tree at once. Raises ``EnvironmentRunError``; the
        failed lease is recorded.
        """
        return await self.runtime.acquire_run_lease(
            company_id=company_id,
            environment=environment,
            run_id=run_id,
            issue_id=issue_id,
            persisted_execution_workspace=persisted_execution_workspace,
            agent_id=agent_id,
            adapter_type=adapter_type,
            share=share,
        )

    async def resolve_transport(
        self,
        *,
        company_id: str,
        adapter_type: str | None,
        environment: Environment,
        lease_metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """What the adapter would connect by: ssh's remote spec, else none. Writes nothing.

        Raises ``EnvironmentRunError`` (``transport_resolution_failed``).
        """
        try:
            if environment.company_id != company_id:
                raise NoSuch(f'Environment "{environment.id}" not found.')
            driver = self.registry.get(environment.provider)
            config = driver.Config.model_validate(environment.driver_config)
            transport = driver.capabilities(config).transport
            if not specifies_remote(driver) or self.adapters.refusal(adapter_type, transport) is not None:
                return None
            async with asyncio.timeout(_TRANSPORT_SECONDS):
                return await driver.remote_spec(config, lease_metadata or {})
        except Exception as error:
            raise EnvironmentRunError(
                ErrorCode.TRANSPORT_RESOLUTION_FAILED,
                f'Failed to resolve execution transport for "{environment.name}": {self._cause(error)}',
                environment_id=environment.id,
                driver=environment.driver,
                provider=environment.provider,
            ) from error

    async def acquire_for_run(
        self,
        *,
        company_id: str,
        selected_environment_id: str | None = None,
        default_environment_id: str | None = None,
        adapter_type: str | None,
        issue_id: str | None = None,
        run_id: str,
        agent_id: str | None = None,
        persisted_execution_workspace: object = None,
        share: bool = False,
    ) -> AcquisitionResult[Lease]:
        """Resolve the environment, take a lease, resolve the transport: the first call of a run.

        Raises ``EnvironmentRunError``; the failed lease is recorded, whatever failed, and its place owed
        or gone.
        """
        try:
            environment = await self.resolve_environment(
                company_id=company_id,
                selected_environment_id=selected_environment_id,
                default_environment_id=default_environment_id,
            )
        except EnvironmentRunError as error:
            known = error.environment_id if error.code is ErrorCode.ENVIRONMENT_INACTIVE else None
            request = Request(
                company_id=company_id,
                run_id=run_id,
                workspace="",
                environment=error.environment_id,
                issue_id=issue_id,
                agent_id=agent_id,
                adapter_type=adapter_type,
                **carried(persisted_execution_workspace),
            )
            found = None if known is None else await self.environments.find(company_id, known)
            with contextlib.suppress(StoreError):  # the failure that led here stays the first
                await self._runs.refused(request, found, error)
            raise
        held = await self.acquire_lease(
            company_id=company_id,
            environment=environment,
            run_id=run_id,
            issue_id=issue_id,
            persisted_execution_workspace=persisted_execution_workspace,
            agent_id=agent_id,
            adapter_type=adapter_type,
            share=share,
        )
        try:
            transport = await self.resolve_transport(
                company_id=company_id,
                adapter_type=adapter_type,
                environment=environment,
                lease_metadata=held.lease.metadata,
            )
        except EnvironmentRunError as error:
            error.lease_id = held.lease.id
            await self._runs.end_unused(held.lease, Failure(error.code, error.message, "transport"))
            raise
        except asyncio.CancelledError:
            await self._runs.end_unused(held.lease, CANCELLED)
            raise
        return AcquisitionResult(held.environment, held.lease, held.lease_context, transport)

    async def realize_for_run(
        self,
        *,
        environment: Environment,
        lease: Lease,
        adapter_type: str | None,
        company_id: str,
        issue_id: str | None = None,
        run_id: str,
        execution_workspace: object,
        effective_execution_workspace_mode: str | None = None,
        persisted_execution_workspace: object = None,
    ) -> RealizationResult[Lease]:
        """Put the platform's tree into a lease at ``leased``, provision it, and resolve the target.

        ``execution_workspace`` is a ``RealizedWorkspace``, or any object or mapping with its fields;
        ``persisted_execution_workspace`` the platform's own record of it, whose config may have a
        ``provision_command``. Raises ``EnvironmentRunError``; the lease has failed then, and its place is
        owed or gone. What a host's own ``workspaces`` raise goes through, and the lease stands.
        """
        if lease.company_id != company_id or lease.environment_id != environment.id:
            raise NoSuch(f"there is no lease {lease.id} in this company's environment {environment.name}")
        request = realization_request(
            adapter_type=adapter_type,
            company_id=company_id,
            environment_id=environment.id,
            issue_id=issue_id,
            run_id=run_id,
            execution_workspace=execution_workspace,
            effective_mode=effective_execution_workspace_mode,
            persisted=persisted_execution_workspace,
        )
        provision = request["runtime_overlay"]["provision_command"]
        tree = request["source"]["local_path"]
        await self._runs.realize(lease, tree, provision, LeaseEvent.REALIZE, LeaseEvent.PROVISION)
        record = realization_record(lease, request)
        metadata, persisted = None, persisted_execution_workspace
        if record:
            metadata = {**lease.metadata, "workspace_realization": record}
            persisted = await self._persisted(company_id, persisted, request, record)
        await self._runs.go_on(lease, LeaseEvent.TARGET, metadata=metadata)
        target = execution_target(lease)
        return RealizationResult(lease, record, target, remote_spec(target), persisted)

    async def release_for_run(
        self,
        *,
        run_id: str,
        company_id: str,
        agent_id: str | None = None,
        status: str | None = None,
        failure_reason: str | None = None,
    ) -> ReleaseResult[Lease]:
        """End all that a run holds: ``released`` (the default), ``failed`` or ``expired`` (it was cancelled).

        Raises ``WrongUsage`` for another status, and nothing else: each error is kept with its lease's id
        (``*`` where the leases could not be listed) and stops no other lease. A second call does nothing.
        """
        reason = None if failure_reason is None else self.redaction.clean(failure_reason)
        return await self._runs.release(company_id, run_id, failure_of(status or RunEnding.RELEASED, reason))

    # --- beneath them

    async def _persisted(
        self, company_id: str, persisted: object, request: dict[str, Any], record: dict[str, Any]
    ) -> Any:
        """The execution workspace with its realization; the caller's copy where it is gone meanwhile."""
        workspace_id = field_of(persisted, "id")
        if workspace_id is None:
            return persisted
        workspaces = self._workspaces or self.execution_workspaces.of(company_id)
        current = await _awaited(workspaces.get(workspace_id))
        if current is None:
            return persisted
        metadata = {
            **(field_of(current, "metadata") or {}),
            "workspace_realization_request": request,
            "workspace_realization": record,
        }
        updated = await _awaited(workspaces.update_metadata(workspace_id, metadata))
        return persisted if updated is None else updated

    def _cause(self, error: Exception) -> str:
        if isinstance(error, ValidationError):
            return first_problem(error)
        if isinstance(error, TimeoutError):
            return f"its driver gave no answer within {_TRANSPORT_SECONDS:g} s"
        return self.redaction.clean(str(error) or error.__class__.__name__)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
