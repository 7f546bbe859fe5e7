"""``leasehold run``: a whole life around one command."""

import asyncio

import typer
from leasehold.drivers import DriverError, Streams
from leasehold.orchestrator.cli.ended import exit_code, in_words, tell_never_ran, tell_what_is_left_after
from leasehold.orchestrator.cli.failure import LIFECYCLE_FAILED, report
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
    Timeout,
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
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.errors import EnvironmentRunError, WrongUsage
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.states import ErrorCode


def run(
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
    timeout: Timeout = None,
    ttl: Ttl = None,
    wait: Wait = None,
    share: Share = False,
    quiet: Quiet = False,
) -> int:
    """A whole life around one command: a lease is taken, the command runs, the place is cleaned up.

    The command's own streams are untouched; the steps and their times go to stderr.

    The exit code is the command's own; 128+N where signal N ended it; 124 at its timeout; 126 or 127 where it
    cannot be executed or found; 125 where the lease failed; 130 or 143 after SIGINT or SIGTERM.
    """
    argv = context.args
    if not argv:
        raise WrongUsage("no command was given", hint="write it after --, as in: leasehold run -- make test")
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
    limit = None if timeout is None else seconds(timeout)
    choices = choices_of(context)
    choices.lifecycle_failed = LIFECYCLE_FAILED

    async def work(orchestrator: Orchestrator) -> int:
        async def close() -> None:
            if steps.lease_id is not None:
                await tell_what_is_left_after(orchestrator, steps.lease_id, choices)

        with StepsShown(quiet=quiet) as steps:
            try:
                async with orchestrator.lease(**asked, listener=steps) as lease:
                    result = await lease.exec(*argv, timeout=limit, streams=Streams(0, 1, 2))
                    steps.command(in_words(result, argv), result.duration)
                    if not result.ok:
                        await lease.fail(in_words(result, argv))
                tell_never_ran(result, argv)
                code = exit_code(result)
            except asyncio.CancelledError:
                await close()
                raise
            except DriverError as error:  # the place failed under the command, and the lease with it
                failed = EnvironmentRunError(ErrorCode.RUN_FAILED, str(error), hint=error.hint)
                failed.__cause__ = error
                code = report(failed, choices)
            except Exception as error:  # noqa: BLE001 - told here, so that what is left is said after it
                code = report(error, choices)
            await close()
            return code

    return perform(context, work, seconds=None, makes=True)
