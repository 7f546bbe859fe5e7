"""``leasehold worker``: the duties, until it is stopped."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from leasehold.orchestrator.arguments import member
from leasehold.orchestrator.cli.display import when
from leasehold.orchestrator.cli.failure import say
from leasehold.orchestrator.cli.session import on_signals, perform
from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.request import SweepBy


def worker(
    context: typer.Context,
    sweep: Annotated[
        str, typer.Option(metavar="HOW", help="apply, report or never: what becomes of places that are nobody's.")
    ] = SweepBy.APPLY.value,
    health: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a line of JSON there after each pass.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One pass over what is due, and no sweep.")] = False,
) -> int:
    """Settle leases whose owners are lost or whose time is over, try cleanups again, end what was kept, and sweep.

    For the whole ledger, every company; any number of workers may run side by side. One line a decision goes
    to stderr. SIGTERM or SIGINT ends it once what is under way is done, with exit code 0; a third one ends it at once.
    """
    by = member(SweepBy, sweep, "--sweep") or SweepBy.APPLY
    if health is not None and once:
        raise WrongUsage("--once writes no health file", hint="leave --health out: the exit code says how it went")
    if health is not None and not health.absolute().parent.is_dir():
        hint = "make the folder, or name another file"
        raise WrongUsage(f"--health {health}: there is no folder {health.absolute().parent}", hint=hint)

    async def work(orchestrator: Orchestrator) -> int:
        def told(line: str) -> None:
            say(f"{when(orchestrator.store.clock.now())} {line}")

        if once:
            await orchestrator.duties(told=told)
            return 0
        stop = asyncio.Event()
        on_signals(stop.set)
        told(f"worker: begins on ledger {orchestrator.store.ledger}")
        done = await orchestrator.work(stop, told=told, sweeps=by, health=health)
        told(f"worker: ends after {done.passes} passes and {done.deeds} deeds")
        return 0

    return perform(context, work, seconds=None, makes=True)
