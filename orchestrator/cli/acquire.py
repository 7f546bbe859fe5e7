"""``leasehold acquire``: a lease that is left standing, for other commands."""

import typer
from leasehold.drivers import DriverError
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import out
from leasehold.orchestrator.cli.ended import tell_what_is_left_after
from leasehold.orchestrator.cli.failure import report, warn
from leasehold.orchestrator.cli.leasing import (
    Adapter,
    Agent,
    Env,
    Issue,
    Keep,
    Mode,
    Policy,
    Provision,
    RunId,
    Share,
    SyncBack,
    Ttl,
    Untracked,
    Variables,
    Wait,
    Workspace,
    request,
)
from leasehold.orchestrator.cli.options import Quiet
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.cli.steps import StepsShown
from leasehold.orchestrator.errors import EnvironmentRunError, IllegalTransition, LeaseholdError, StoreError
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.run_leases import failure_by
from leasehold.orchestrator.step import Failure


def acquire(
    context: typer.Context,
    env: Env = None,
    workspace: Workspace = ".",
    mode: Mode = None,
    provision: Provision = None,
    policy: Policy = None,
    keep: Keep = None,
    run_id: RunId = None,
    issue: Issue = None,
    agent: Agent = None,
    adapter: Adapter = None,
    variables: Variables = None,
    untracked: Untracked = False,
    sync_back: SyncBack = None,
    ttl: Ttl = None,
    wait: Wait = None,
    share: Share = False,
    quiet: Quiet = False,
) -> int:
    """Take a lease, let go of it, and print its id.

    It lives on without an owner until leasehold release or fail ends it, or its --ttl does (24h if none is given).
    Values of --env reach the provision command and are not stored: leasehold exec takes its own.
    """
    asked = request(
        env=env,
        workspace=workspace,
        mode=mode,
        provision=provision,
        policy=policy,
        keep=keep,
        run_id=run_id,
        issue_id=issue,
        agent_id=agent,
        adapter_type=adapter,
        variables=variables,
        untracked=untracked,
        sync_back=sync_back,
        ttl=ttl,
        wait=wait,
        share=share,
    )
    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        with StepsShown(quiet=quiet) as steps:
            try:
                lease = await orchestrator.acquire(**asked, listener=steps)
            except EnvironmentRunError as error:
                code = report(error, choices)
                if error.lease_id is not None:
                    await tell_what_is_left_after(orchestrator, error.lease_id, choices)
                return code
            try:
                await lease.detach()
            except BaseException as error:
                if lease.facts.owner is None:
                    out(lease.id)
                else:  # nobody would get its id
                    await _end(lease, failure_by(error), choices)
                raise
        out(lease.id)
        return 0

    return perform(context, work, seconds=None, makes=True)


async def _end(lease: Lease, failure: Failure, choices: Choices) -> None:
    try:
        await lease.fail(failure.message, code=failure.code)
    except (LeaseholdError, StoreError, IllegalTransition, DriverError) as error:
        warn(f"lease {lease.id} is left as it is: {error}", f"end it: {choices.command('release', lease.id)}")
