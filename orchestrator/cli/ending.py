"""``leasehold release``, ``fail``, ``extend`` and ``forget``: what an operator sends to a lease."""

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import console, out, when
from leasehold.orchestrator.cli.ended import tell_what_is_left
from leasehold.orchestrator.cli.failure import say
from leasehold.orchestrator.cli.options import Force, LeaseId
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.errors import StillHeld, WrongUsage
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.states import DUE

Reason = Annotated[str, typer.Option("--reason", metavar="R", help="Why; it stands on the lease for good.")]

_LOOK_EVERY = 0.2


def release(context: typer.Context, lease: LeaseId, force: Force = False) -> int:
    """End a lease as wanted and clean its place up; or end the keeping of a place.

    A lease that a living process owns is asked for, not taken: that process ends it.
    """
    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        return await _end(orchestrator, choices, lease, lambda: orchestrator.release(lease, force=force))

    return perform(context, work, seconds=None)


def fail(context: typer.Context, lease: LeaseId, reason: Reason, force: Force = False) -> int:
    """End a lease as failed, and clean up all that it, or its crash, left behind.

    A lease that a living process owns is asked for, not taken: that process ends it.
    """
    choices = choices_of(context)
    said = _said(reason)

    async def work(orchestrator: Orchestrator) -> int:
        return await _end(orchestrator, choices, lease, lambda: orchestrator.fail(lease, said, force=force))

    return perform(context, work, seconds=None)


def extend(
    context: typer.Context, lease: LeaseId, ttl: Annotated[str, typer.Argument(metavar="T", help="How long, from now.")]
) -> int:
    """Let a lease live until T from now."""
    more = seconds(ttl)

    async def work(orchestrator: Orchestrator) -> int:
        before = await orchestrator.ledger.find(orchestrator.settings.company, lease)
        row = await orchestrator.extend(before.terms.id, more)
        if row.end_requested is not None:
            row = await _until(orchestrator, row, lambda row: row.facts.expires_at != before.facts.expires_at)
            if row.facts.expires_at == before.facts.expires_at:
                raise StillHeld(f"lease {row.terms.id} lost its owner before it was extended", hint="end it with fail")
        out(f"lease {row.terms.id} lives until {when(row.facts.expires_at)}")
        return 0

    return perform(context, work, seconds=None)


def forget(context: typer.Context, lease: LeaseId, reason: Reason) -> int:
    """Take the place of an ended lease out of Leasehold's care: nobody cleans it up any more."""
    said = _said(reason)
    who = f"{_user()}@{socket.gethostname()}"

    async def work(orchestrator: Orchestrator) -> int:
        forgotten = await orchestrator.forget(lease, said, who=who)
        out(f"the place of lease {forgotten.id} is forgotten")
        return 0

    return perform(context, work, seconds=None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number alone
        return f"uid {os.getuid()}"


async def _end(
    orchestrator: Orchestrator, choices: Choices, lease_id: str, end: Callable[[], Awaitable[Lease | None]]
) -> int:
    before = await orchestrator.ledger.find(orchestrator.settings.company, lease_id)
    if await end() is None:
        row = await _until(orchestrator, before, _settled)
        if not _settled(row):
            await end()  # its owner was dead all the while, and its claim is over now
    if not before.facts.state.live and not before.facts.cleanup.open:
        out(f"lease {before.terms.id} is {before.status} already, and nothing is owed")
        return 0
    row = (await tell_what_is_left(orchestrator, before.terms.id, choices)).row
    out(f"lease {row.terms.id} is {row.status}")
    return 1 if row.facts.cleanup in DUE else 0


async def _until(orchestrator: Orchestrator, row: Row, done: Callable[[Row], bool]) -> Row:
    """Wait, for the claim time and a little more, until the lease's owner has done what it was asked, or is gone.

    Raises ``StillHeld``, which says how the lease stands.
    """
    claim = orchestrator.settings.claim_seconds + 1.0
    owner = f"process {row.owner_pid} on {row.owner_host}"
    told = f"asked its owner, {owner}; waiting up to {claim:g} s"
    if row.owner_gone:
        told = f"its owner, {owner}, is gone; waiting up to {claim:g} s until its claim is over (--force: at once)"
    if not sys.stderr.isatty():
        say(f"leasehold: {told}")
        return await _looked(orchestrator, row, done, claim, owner)
    with console(sys.stderr).status(told):
        return await _looked(orchestrator, row, done, claim, owner)


def _settled(row: Row) -> bool:
    return not row.facts.state.live and row.facts.pending_event is None


async def _looked(orchestrator: Orchestrator, row: Row, done: Callable[[Row], bool], claim: float, owner: str) -> Row:
    loop = asyncio.get_running_loop()
    end = loop.time() + claim
    while loop.time() < end:
        row = await orchestrator.ledger.find(orchestrator.settings.company, row.terms.id)
        if done(row) or not row.alive:
            return row
        await asyncio.sleep(_LOOK_EVERY)
    doing = f"{row.facts.pending_event} under way" if row.facts.pending_event else f"{row.facts.state}"
    raise StillHeld(
        f"lease {row.terms.id} is {row.status} ({doing}) after {claim:g} s; {owner} has been asked",
        hint="wait longer, or take it over with --force",
    )


def _said(reason: str) -> str:
    if not reason.strip():
        raise WrongUsage("--reason is empty", hint="say why: it stands on the lease for good")
    return reason.strip()
