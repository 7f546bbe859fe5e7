"""Replay: a stuck lease is taken over, the driver is asked, and the plan is followed (DESIGN section 10).

Replaying twice, or from two places at once, is harmless: taking over is a commit that one of them wins.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from leasehold.orchestrator.errors import EnvironmentRunError, LeaseLost, NotStuck
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.recovery import Recovery
from leasehold.orchestrator.step import Failure, StepFailed
from leasehold.orchestrator.takeover import Takeover, failure
from leasehold.orchestrator.telling import tell
from leasehold.states import (
    Answer,
    Move,
    Open,
    PlanRow,
    Stuck,
    open_step,
    plan_row,
    plan_rows,
)

_AT_ONCE = 32
_TRY_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found, planned and did with one lease.

    Attributes:
        lease_id: which.
        stuck: why it was stuck; none where it was not.
        open: the step that was left open; none where nothing is left to settle.
        answer: what the driver said of it; none where it was not asked, as in a dry run.
        moves: what was, or will be, done; empty in a dry run whose moves depend on the driver's answer.
        why: the plan's sentence.
        done: whether nothing is left for a further replay.
        outcome: what it came to; in a dry run, what it would.
        rows: the rows of the plan that may apply: one, once the driver has answered.
        resumed: whether it goes on with the lease, where the plan can.
        lost: whether another took the lease over just then.
    """

    lease_id: str
    stuck: Stuck | None
    open: Open | None
    answer: Answer | None
    moves: tuple[Move, ...]
    why: str
    done: bool
    outcome: str
    rows: tuple[PlanRow, ...] = ()
    resumed: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A lease that was taken over and not settled: when to try again, under which epoch it was left, and how.

    ``resume`` is what was asked; ``awaits`` whether its platform said that it will attach it.
    """

    at: float
    epoch: int
    resume: bool
    awaits: bool
    failure: Failure


class Replays:
    """Replays leases of one store."""

    def __init__(self, ledger: Ledger, others: Takeover, life: Life, recovery: Recovery) -> None:
        self._ledger = ledger
        self._others = others
        self._life = life
        self._recovery = recovery
        self._unfinished: dict[str, _Unfinished] = {}

    async def unfinished(self) -> Sequence[Row]:
        """Leases that this process took over and could not settle, and whose time to be tried again has come."""
        now = time.monotonic()
        due = [lease_id for lease_id, each in self._unfinished.items() if each.at <= now]
        if not due:
            return []
        rows = [row for row in await self._ledger.of_ids(due) if self.is_unfinished(row)]
        for lease_id in {*due} - {row.terms.id for row in rows}:
            self._unfinished.pop(lease_id, None)  # another has it, or it is gone
        return rows

    def is_unfinished(self, row: Row) -> bool:
        """Whether the row stands as this process left it, when it had taken it over and could not settle it."""
        known = self._unfinished.get(row.terms.id)
        return known is not None and known.epoch == row.facts.epoch and self._others.owns(row)

    async def replay(self, row: Row, *, resume: bool | None = None, force: bool = False) -> Replay:
        """Settle one lease. Raises ``NotStuck`` and ``StillHeld`` where it is not for us to.

        Without ``resume`` said, one that this process could not settle before is tried as it was then.
        """
        found = self._open(row, force=force)
        if found is None:
            self._unfinished.pop(row.terms.id, None)
            return _nothing(row)
        before = self._unfinished.get(row.terms.id) if self.is_unfinished(row) else None
        asked = before.resume if before is not None and resume is None else bool(resume)
        awaits = before.awaits if before is not None else row.awaits_attach
        resume = (asked or awaits) and not row.over
        why_failed = before.failure if before is not None else failure(row)
        refused = self._refused(row, found) if resume else None
        if refused is not None:
            return refused
        left = _Unfinished(0.0, 0, asked, awaits, why_failed)
        lease = self._others.lease_of(row)
        work = self._settle(lease, row, found, left, resume=resume, force=force or before is not None)
        return await self._life.settled(lease, work)

    async def _settle(
        self, lease: Lease, row: Row, found: Open, left: _Unfinished, *, resume: bool, force: bool
    ) -> Replay:
        """Take it over and follow the plan; ``left`` is what to know of it where that cannot be finished."""
        try:
            await self._others.take(lease, row, force=force)
            left = replace(left, at=time.monotonic() + _TRY_AGAIN_SECONDS, epoch=lease.facts.epoch)
            self._unfinished[lease.id] = left
            answer, said = await self._recovery.ask(lease, found)
            plan = plan_row(found, answer)
            goes_on = resume and plan.resume != plan.abandon
            refusal = self._recovery.refusal(row.terms, row.facts, plan) if goes_on else None
            moves = plan.resume if resume else plan.abandon
            why = " ".join(part for part in (plan.why, f"({said})" if said else "") if part)
            report = partial(Replay, row.terms.id, row.stuck, found, answer, moves, why, rows=(plan,), resumed=resume)
            if refusal is not None:
                self._unfinished[lease.id] = replace(left, resume=False)
                return report(done=False, outcome=_refusal(refusal))
            await (self._recovery.resume(lease, plan) if goes_on else self._life.settle(lease, left.failure))
        except LeaseLost as lost:
            self._unfinished.pop(row.terms.id, None)
            outcome = "another has it now"
            return Replay(row.terms.id, row.stuck, found, None, (), str(lost), done=True, outcome=outcome, lost=True)
        except (StepFailed, EnvironmentRunError):
            pass  # it is recorded on the lease, whose row says so
        after = await self._ledger.find(None, row.terms.id)
        if not after.held:
            self._unfinished.pop(row.terms.id, None)
        return report(done=after.stuck is None and Move.WAIT not in moves, outcome=_outcome(after, moves))

    def _refused(self, row: Row, found: Open) -> Replay | None:
        """Why it cannot go on, whatever its driver would say: known before it is taken over."""
        ways = [plan for plan in plan_rows(found) if plan.resume != plan.abandon]
        refusals = [self._recovery.refusal(row.terms, row.facts, plan) for plan in ways]
        if not refusals or None in refusals:
            return None
        outcome = _refusal(str(refusals[0]))
        return Replay(row.terms.id, row.stuck, found, None, (), ways[0].why, done=False, outcome=outcome)

    def plan(self, row: Row, *, resume: bool = False, force: bool = False) -> Replay:
        """What ``replay`` would do; touches neither store nor place. Raises as it does."""
        found = self._open(row, force=force)
        if found is None:
            return _nothing(row)
        resume = (resume or row.awaits_attach) and not row.over
        rows = plan_rows(found)
        ways = [(plan.resume if resume else plan.abandon, plan) for plan in rows]
        sure = len(rows) == 1
        return Replay(
            row.terms.id,
            row.stuck,
            found,
            Answer.NOT_ASKED if sure else None,
            ways[0][0] if sure else (),
            rows[0].why if sure else "The driver is asked first; its answer decides.",
            done=False,
            outcome="; ".join(_way(moves, plan, sure=sure) for moves, plan in ways),
            rows=rows,
            resumed=resume,
        )

    async def all(
        self,
        rows: Sequence[Row],
        *,
        resume: bool,
        dry_run: bool,
        told: Callable[[Replay], None] | None = None,
        force: bool = False,
    ) -> list[Replay]:
        """Each of these that is stuck; one that fails stops no other, and says so in its outcome."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Row) -> Replay:
            async with turns:
                try:
                    if dry_run:
                        done = self.plan(row, resume=resume, force=force)
                    else:
                        done = await self.replay(row, resume=resume, force=force)
                except Exception as error:  # noqa: BLE001 - whatever it is, the others are replayed
                    found = open_step(row.facts)
                    done = Replay(
                        row.terms.id, row.stuck, found, None, (), "", done=False, outcome=f"not done: {error}"
                    )
            if told is not None:
                tell(told, done)
            return done

        return list(await asyncio.gather(*(one(row) for row in rows)))

    def _open(self, row: Row, *, force: bool) -> Open | None:
        found = open_step(row.facts)
        if found is None or row.stuck is not None or force or self.is_unfinished(row):
            return found
        if row.held:
            raise self._others.held(row)
        raise NotStuck(
            f"lease {row.terms.id} is not stuck: nobody holds it, and it lives until {iso(row.facts.expires_at)}",
            hint=f"leasehold release {row.terms.id} ends it",
        )


def _refusal(why: str) -> str:
    return f"not resumed: {why}; replay it without --resume"


def _nothing(row: Row) -> Replay:
    outcome = f"{row.status}, cleanup {row.facts.cleanup}: nothing is left to settle"
    return Replay(row.terms.id, None, None, None, (), "", done=True, outcome=outcome)


def _way(moves: Sequence[Move], plan: PlanRow, *, sure: bool) -> str:
    said = ", ".join(str(move).replace("_", " ") for move in moves)
    return said if sure else f"{plan.answer}: {said}"


def _outcome(row: Row, moves: Sequence[Move]) -> str:
    """How a lease stands now, in words."""
    facts = row.facts
    if Move.WAIT in moves:
        return "the driver cannot say yet whether a place stands: replay it again later"
    state = str(facts.state) if facts.error_code is None else f"{facts.state} ({facts.error_code})"
    held = ", held by nobody: exec, shell or release it" if facts.state.live and facts.owner is None else ""
    tried = facts.next_try_at
    late = f", tried again after {iso(tried)}" if tried is not None and facts.cleanup.open else ""
    return f"{state}, cleanup {facts.cleanup}{late}{held}"
