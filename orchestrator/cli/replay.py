"""``leasehold replay``: settling what is stuck."""

import sys
from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Any

import typer
from leasehold.orchestrator.cli.aftermath import Aftermath, aftermath
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.failure import say
from leasehold.orchestrator.cli.options import Force, Json
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.replay import Replay
from leasehold.states import Answer, Move

_NAME_ONE = "name a lease, or --stuck for all that are stuck"


def replay(
    context: typer.Context,
    lease: Annotated[str | None, typer.Argument(metavar="[LEASE]", help="Its id, or a unique beginning of it.")] = None,
    stuck: Annotated[bool, typer.Option("--stuck", help="Every lease of this company that is stuck.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and why; touch nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the lease where the plan has a way, instead of ending it.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Settle a lease that is stuck: take it over, ask its driver what became of the open step, follow the plan.

    By default the lease ends as failed and its place is cleaned up; with --resume it is brought on to where
    its run can be attached. Doing it twice, or from two places, is harmless. Exit code 1: something is still
    stuck.
    """
    if (lease is None) is not stuck:
        raise WrongUsage("a lease and --stuck exclude each other" if lease else "no lease was named", hint=_NAME_ONE)
    if stuck and force:
        raise WrongUsage("--force takes one lease, by name", hint="leasehold ls shows them")

    def told(done: Replay) -> None:
        if not as_json:
            _show(done, dry_run=dry_run)

    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        if lease is None:
            replays = await orchestrator.replay_stuck(resume=resume, dry_run=dry_run, told=told)
        else:
            replays = [await orchestrator.replay(lease, resume=resume, force=force, dry_run=dry_run)]
            told(replays[0])
        lefts = [] if dry_run else [await _left(orchestrator, done) for done in replays]
        if as_json:
            records = [_record(done, left) for done, left in zip_longest(replays, lefts)]
            emit(records if stuck else records[0])
        elif not replays:
            out("no lease is stuck")
        else:
            _tell([left for left in lefts if left is not None], choices, named=stuck)
        return 0 if dry_run or all(done.done for done in replays) else 1

    return perform(context, work, seconds=None)


def _show(done: Replay, *, dry_run: bool) -> None:
    out(f"{done.lease_id}  {f'{done.stuck}: {done.stuck.gloss}' if done.stuck else 'not stuck'}")
    if done.open is not None:
        asked = "" if done.answer in (None, Answer.NOT_ASKED) else f"; its driver says: {done.answer.gloss}"
        out(f"  open: {done.open.replace('_', ' ')}{asked}")
    if done.moves and not dry_run:
        out(f"  plan: {said(done.moves)}")
    if done.why:
        out(f"  because: {done.why}")
    if dry_run and done.rows:
        for line in planned(done):
            out(f"  {line}")
    else:
        out(f"  now: {done.outcome}")


def said(moves: Sequence[Move]) -> str:
    """The moves of a plan, in plain words."""
    return ", then ".join(move.gloss for move in moves)


def planned(done: Replay) -> list[str]:
    """What a dry run would do; where the driver is asked first, for each of its answers."""
    ways = [(row, said(row.resume if done.resumed else row.abandon)) for row in done.rows]
    if len(ways) == 1:
        return [f"would {ways[0][1]}"]
    return [f"if {row.answer.gloss}: would {way}. {row.why}" for row, way in ways]


async def _left(orchestrator: Orchestrator, done: Replay) -> Aftermath | None:
    """What became of its place; none where another has it now."""
    if done.lost:
        return None
    return await aftermath(orchestrator, await orchestrator.ledger.find(orchestrator.settings.company, done.lease_id))


def _tell(lefts: Sequence[Aftermath], choices: Choices, *, named: bool) -> None:
    """Where places and changes were kept, and why a cleanup failed: the last lines, on stderr as release has them."""
    sys.stdout.flush()
    for left in lefts:
        for line in left.lines(choices):
            say(f"lease {left.row.terms.id}: {line}" if named else line)


def _record(done: Replay, left: Aftermath | None) -> dict[str, Any]:
    return {
        "lease_id": done.lease_id,
        "stuck": done.stuck,
        "open": done.open,
        "answer": done.answer,
        "moves": list(done.moves),
        "why": done.why,
        "resumed": done.resumed,
        "done": done.done,
        "outcome": done.outcome,
        "kept": [] if left is None else list(left.kept),
        "notes": [] if left is None else list(left.notes),
        "cleanup_message": left.message if left is not None and left.owed else None,
        "plan": [
            {"answer": row.answer, "abandon": list(row.abandon), "resume": list(row.resume), "why": row.why}
            for row in done.rows
        ],
    }
