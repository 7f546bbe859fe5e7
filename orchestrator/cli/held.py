"""``leasehold exec`` and ``shell``: using a lease that is held, or a place that was kept."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import typer
from leasehold.drivers import Command, Streams
from leasehold.orchestrator.cli.display import when
from leasehold.orchestrator.cli.ended import exit_code, tell_never_ran
from leasehold.orchestrator.cli.failure import LIFECYCLE_FAILED, say
from leasehold.orchestrator.cli.leasing import Timeout, Variables, values
from leasehold.orchestrator.cli.options import Force, LeaseId
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.errors import IllegalTransition, WrongUsage
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.states import CleanupState

_SHELL = 'exec "${SHELL:-/bin/sh}"'


def execute(
    context: typer.Context,
    lease: LeaseId,
    variables: Variables = None,
    timeout: Timeout = None,
    force: Force = False,
) -> int:
    """Run a command in a held lease, as leasehold run would; the lease stays held.

    The exit code is the command's own, or one of those that leasehold run has.
    """
    argv = context.args
    if not argv:
        raise WrongUsage("no command was given", hint="write it after --, as in: leasehold exec LEASE -- make test")
    env = values(variables)
    limit = None if timeout is None else seconds(timeout)
    choices_of(context).lifecycle_failed = LIFECYCLE_FAILED

    async def work(orchestrator: Orchestrator) -> int:
        async with _attached(orchestrator, lease, force) as held:
            result = await held.exec(*argv, env=env, timeout=limit, streams=Streams(0, 1, 2))
        tell_never_ran(result, argv)
        return exit_code(result)

    return perform(context, work, seconds=None)


def shell(context: typer.Context, lease: LeaseId, variables: Variables = None, force: Force = False) -> int:
    """Open a shell in a held lease, or in the place that a failed run's lease kept.

    A held lease stays held afterwards; a kept place stays kept until its deadline.
    """
    env = values(variables)
    choices_of(context).lifecycle_failed = LIFECYCLE_FAILED
    terminal = sys.stdin.isatty()
    command = Command((_SHELL,), shell=True, env=env, streams=Streams(0, 1, 2), terminal=terminal)

    async def work(orchestrator: Orchestrator) -> int:
        row = await orchestrator.ledger.find(orchestrator.settings.company, lease)
        if row.facts.cleanup is CleanupState.RETAINED:
            target = await orchestrator.visit(row.terms.id)
            say(f"leasehold: this place is kept until {when(row.facts.keep_until)}")
            try:
                return exit_code(await target.execute(command))
            finally:
                await target.close()
        async with _attached(orchestrator, row.terms.id, force) as held:
            result = await held.exec(_SHELL, shell=True, env=env, streams=command.streams, terminal=terminal)
        return exit_code(result)

    return perform(context, work, seconds=None)


@asynccontextmanager
async def _attached(orchestrator: Orchestrator, lease_id: str, force: bool) -> AsyncGenerator[Lease]:
    """The lease for the length of a block; it is let go afterwards, unless it was ended meanwhile."""
    lease = await orchestrator.attach(lease_id, force=force)
    try:
        yield lease
    finally:
        if lease.state.live and lease.lost is None and lease.interruption is None:
            with suppress(IllegalTransition):  # it was taken by force in the middle of a step: who asks for it was told
                await lease.detach()
