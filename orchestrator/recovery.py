"""Recovery: what becomes of a lease that was taken over, by the replay plan of ``states``.

The plan's rows name moves; each move that goes on with a lease is a method here. The moves that end one
are ``Life.settle``'s.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from leasehold.drivers import Absent, DriverError, Found, Unknown, keeps_records
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.errors import LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.provisioning import exit_detail
from leasehold.orchestrator.step import CANCELLED, Failure, Step
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.encoding import encode
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.terms import Terms
from leasehold.orchestrator.verbs import handle_of
from leasehold.states import Answer, ErrorCode, Facts, LeaseEvent, LeaseState, Move, Open, PlanRow

_AFTER: dict[LeaseState, tuple[LeaseEvent, ...]] = {
    LeaseState.RESOLVED: (LeaseEvent.ACQUIRE, LeaseEvent.REALIZE, LeaseEvent.PROVISION, LeaseEvent.TARGET),
    LeaseState.LEASED: (LeaseEvent.REALIZE, LeaseEvent.PROVISION, LeaseEvent.TARGET),
    LeaseState.REALIZED: (LeaseEvent.PROVISION, LeaseEvent.TARGET),
    LeaseState.PROVISIONED: (LeaseEvent.TARGET,),
}


class Recovery:
    """Asks what became of the open step of a lease that this process took over, and goes on with it.

    ``come_up`` brings up a lease that stands at ``resolved``: it may have to wait for its slot again.
    """

    def __init__(
        self, life: Life, engine: Engine, commits: Commits, steps: Steps, come_up: Callable[[Lease], Awaitable[None]]
    ) -> None:
        self._life = life
        self._engine = engine
        self._commits = commits
        self._steps = steps
        self._come_up = come_up
        self._moves: dict[Move, Callable[[Lease, Open], Awaitable[None]]] = {
            Move.ADOPT: self._adopt,
            Move.AGAIN: self._again,
            Move.USE: self._use,
            Move.REALIZE_AFRESH: self._realize_afresh,
            Move.LEAVE: self._leave,
        }

    async def ask(self, lease: Lease, found: Open) -> tuple[Answer, str]:
        """What the driver says of an open step, and in which words; a driver that cannot say does not know."""
        if found is not Open.ACQUIRE and found is not Open.PROVISION:
            return Answer.NOT_ASKED, ""
        try:
            if found is Open.PROVISION:
                return await self._ask_record(lease)
            answer = await self._recover(lease)
        except (StoreError, LeaseLost):
            raise
        except Exception as error:
            if lease.interruption is CANCELLED:
                raise  # who asked has gone: nothing is decided on an answer that did not come
            return Answer.UNKNOWN, self._steps.words_of(error)
        if isinstance(answer, Found):
            lease.handle = answer.handle
            return Answer.FOUND, f"{answer.handle.place} stands"
        return (Answer.ABSENT, "") if isinstance(answer, Absent) else (Answer.UNKNOWN, answer.why)

    def refusal(self, terms: Terms, facts: Facts, row: PlanRow) -> str | None:
        """Why a lease cannot be resumed, though the plan has a way; none where it can."""
        request = terms.request
        if request.late and row.open is not Open.TARGETED:
            return "its platform drives its steps"
        provisions = Move.USE not in row.resume and facts.state in _AFTER and bool(request.provision)
        if request.unknown_variables and provisions and facts.state is not LeaseState.PROVISIONED:
            return f"the values of {', '.join(request.unknown_variables)} were its process's own, and are lost"
        return None

    async def resume(self, lease: Lease, row: PlanRow) -> None:
        """Go on as the row says. Raises ``StepFailed`` once a further failure is recorded."""
        for move in row.resume:
            if move is not Move.WAIT:
                await self._moves[move](lease, row.open)

    # --- the moves

    async def _adopt(self, lease: Lease, _: Open) -> None:
        handle = lease.handle
        assert handle is not None
        async with lease.lock:
            draft = self._commits.draft(lease)
            draft.papers["handle"], draft.papers["provider_lease_id"] = encode(handle.to_json()), handle.place
            self._engine.adopt(lease, LeaseEvent.ACQUIRE, handle=handle.to_json(), resumed="by its key")
        await self._go_on(lease, LeaseState.LEASED)

    async def _again(self, lease: Lease, found: Open) -> None:
        match found:
            case Open.SYNC_BACK:
                await self._sync_back_again(lease)
            case Open.BETWEEN if lease.facts.state is LeaseState.RESOLVED:
                await self._come_up(lease)
                await self._let_go(lease)
            case Open.ACQUIRE | Open.REALIZE | Open.BETWEEN:
                await self._abandon(lease)
                await self._go_on(lease, lease.facts.state)
            case _:
                raise AssertionError(f"{found} is settled, not resumed")

    async def _use(self, lease: Lease, _: Open) -> None:
        status = await self._recorded(lease)
        assert status is not None
        if status != 0:
            error = DriverError(exit_detail(status))
            raise await self._life.end_failed(lease, LeaseEvent.PROVISION, error)
        async with lease.lock:
            await self._steps.provisioned(lease, Step(LeaseEvent.PROVISION.value))
            self._engine.adopt(lease, LeaseEvent.PROVISION, recorded=status)
        await self._go_on(lease, LeaseState.PROVISIONED)

    async def _realize_afresh(self, lease: Lease, _: Open) -> None:
        await self._abandon(lease)
        lease.afresh, lease.named = True, {"afresh": True}
        await self._go_on(lease, LeaseState.REALIZED)

    async def _leave(self, lease: Lease, _: Open) -> None:
        await self._let_go(lease)

    # --- beneath them

    async def _recover(self, lease: Lease) -> Found | Absent | Unknown:
        driver, step = self._steps.driver_of(lease), Step(LeaseEvent.ACQUIRE.value)
        context = self._steps.context(lease, step)
        handle = None if lease.ahead.handle is None else handle_of(lease)
        key = lease.facts.resource_key or ""
        return await self._steps.verb(lease, step, context, driver.recover(key, handle, context))

    async def _recorded(self, lease: Lease) -> int | None:
        """The exit status of the provision command that an earlier owner began; none where nobody knows it."""
        driver, step = self._steps.driver_of(lease), Step(LeaseEvent.PROVISION.value)
        if not keeps_records(driver):
            return None
        context, attempt = self._steps.context(lease, step), lease.facts.pending_attempt or ""
        return await self._steps.verb(lease, step, context, driver.recorded(handle_of(lease), attempt, context))

    async def _ask_record(self, lease: Lease) -> tuple[Answer, str]:
        status = await self._recorded(lease)
        return (Answer.UNKNOWN, "") if status is None else (Answer.KNOWN, f"it exited with {status}")

    async def _sync_back_again(self, lease: Lease) -> None:
        begun = [entry for entry in await self._life.journal(lease.id) if entry.event == LeaseEvent.SYNC_BACK]
        then = begun[-1].details
        await self._abandon(lease)
        if then.get("then") == LeaseEvent.FAIL:
            await self._life.fail(lease, Failure(ErrorCode(then["code"]), str(then["message"]), "run"))
        else:
            await self._life.release(lease)

    async def _abandon(self, lease: Lease) -> None:
        async with lease.lock:
            self._commits.abandon(lease)

    async def _go_on(self, lease: Lease, state: LeaseState) -> None:
        self._steps.driver_of(lease)
        lease.tree = Path(lease.terms.request.workspace)
        await self._life.go_on(lease, *_AFTER[state])
        lease.afresh = False
        await self._let_go(lease)

    async def _let_go(self, lease: Lease) -> None:
        """It lives on without an owner, until its run's platform attaches it."""
        if lease.facts.state is LeaseState.TARGETED:
            await self._life.detach(lease)
