"""The original's runtime: one verb at a time, for who drives leases by hand.

Each verb takes a lease and fires its machine, so what it does is claimed and recorded like any step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from leasehold.drivers import Mode
from leasehold.orchestrator.environments import LOCAL, Environment
from leasehold.orchestrator.execution_target import Runner
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.realization import carried, realization_record, realization_request
from leasehold.orchestrator.request import Request
from leasehold.orchestrator.results import Executed, LeaseRecord, WorkspaceRealized
from leasehold.orchestrator.run_ending import RunEnding, failure_of
from leasehold.orchestrator.run_leases import RunLeases
from leasehold.orchestrator.settings import Settings
from leasehold.states import LeaseEvent, LeaseState


class Runtime:
    """The verbs of ``Orchestrator.runtime``."""

    def __init__(self, runs: RunLeases, settings: Settings) -> None:
        self._runs = runs
        self._settings = settings

    async def acquire_run_lease(
        self,
        *,
        company_id: str,
        environment: Environment,
        run_id: str,
        issue_id: str | None = None,
        agent_id: str | None = None,
        adapter_type: str | None = None,
        persisted_execution_workspace: object = None,
        share: bool = False,
    ) -> LeaseRecord[Lease]:
        """A lease at ``leased``; its tree is named when it is realized.

        ``share`` lets other leases work in the same tree at once. Raises ``EnvironmentRunError``; the
        failed lease is recorded.
        """
        request = Request(
            company_id=company_id,
            run_id=run_id,
            workspace="",
            environment=environment.id,
            mode=_mode(environment),
            ttl=environment.ttl or self._settings.ttl_seconds,
            share=share,
            issue_id=issue_id,
            agent_id=agent_id,
            adapter_type=adapter_type,
            **carried(persisted_execution_workspace),
        )
        return await self._runs.hold(request)

    async def realize_workspace(
        self, *, environment: Environment, lease: Lease, workspace: Mapping[str, Any]
    ) -> WorkspaceRealized:
        """Put a tree into a lease at ``leased``: it stands at ``realized`` then.

        ``workspace`` has ``local_path``, and may have ``mode`` and ``metadata`` with a
        ``workspace_realization_request``. Raises ``EnvironmentRunError`` and ``IllegalTransition``.
        """
        metadata = workspace.get("metadata") or {}
        request = metadata.get("workspace_realization_request") or realization_request(
            adapter_type=lease.terms.request.adapter_type,
            company_id=lease.company_id,
            environment_id=environment.id,
            issue_id=lease.issue_id,
            run_id=lease.run_id,
            execution_workspace={"cwd": workspace.get("local_path"), "source": "task_session"},
            effective_mode=workspace.get("mode"),
            persisted={"id": lease.execution_workspace_id},
        )
        await self._runs.realize(lease, str(workspace.get("local_path") or ""), None, LeaseEvent.REALIZE)
        record = realization_record(lease, request)
        return WorkspaceRealized(lease.cwd or "", {"workspace_realization": record})

    async def execute(
        self,
        *,
        environment: Environment,
        lease: Lease,
        command: str,
        args: Sequence[str] = (),
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout_ms: int | None = None,
    ) -> Executed:
        """Run a command in a lease's place, to its end; a lease at ``realized`` comes to ``targeted`` first.

        Raises ``EnvironmentRunError``, ``LeaseLost``, ``IllegalTransition`` and ``DriverError``.
        """
        if lease.state is not LeaseState.TARGETED:
            await self._runs.go_on(lease, LeaseEvent.PROVISION, LeaseEvent.TARGET)
        runner = Runner(lease)
        return await runner.execute(command=command, args=args, cwd=cwd, env=env, stdin=stdin, timeout_ms=timeout_ms)

    async def release_run_leases(
        self, run_id: str, status: str = RunEnding.RELEASED, *, company_id: str | None = None
    ) -> list[LeaseRecord[Lease]]:
        """End all that a run holds; the first error is raised once every lease was tried.

        ``status`` is ``released``, ``failed`` or ``expired``.
        """
        failure = failure_of(status, None)
        result = await self._runs.release(company_id or self._settings.company, run_id, failure)
        if result.errors:
            raise result.errors[0].error
        return result.released


def _mode(environment: Environment) -> Mode:
    """The platform has made the tree already: on this machine it stands, elsewhere it is copied."""
    return Mode.IN_PLACE if environment.driver == LOCAL else Mode.COPY
