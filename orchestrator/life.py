"""A lease's life: the operations that take it up, end it, and end its place.

Each operation runs to a recorded end, whoever cancels its caller.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from leasehold.drivers import DriverError, Mode, Transport, syncs_back
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.ending import Ending
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.errors import EnvironmentRunError, LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.request import SyncBack
from leasehold.orchestrator.step import CANCELLED, Failure, Interrupted, Step, StepFailed
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.terms import Terms
from leasehold.states import (
    CleanupEvent,
    CleanupState,
    Entry,
    ErrorCode,
    IllegalTransition,
    LeaseEvent,
    LeaseState,
    Note,
)

T = TypeVar("T")

_HELD = (LeaseEvent.RESOLVE, LeaseEvent.ACQUIRE)
_UP = (LeaseEvent.RESOLVE, LeaseEvent.ACQUIRE, LeaseEvent.REALIZE, LeaseEvent.PROVISION, LeaseEvent.TARGET)
_KEPT = (CleanupState.RETAINED, CleanupState.PARKED)


class _Outcome(asyncio.Future[T]):
    """What an operation came to. Who waits for it cannot cancel it, only have the lease's step end early."""

    def __init__(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._lease = lease

    def cancel(self, msg: Any = None) -> bool:
        """Says no, so that the caller's cancellation is kept until the outcome is there."""
        self._lease.interrupt(CANCELLED)
        return False

    def give_up(self) -> None:
        """The operation's own task was cancelled: the event loop ends."""
        super().cancel()


async def _into(outcome: _Outcome[T], operation: Coroutine[Any, Any, T]) -> None:
    try:
        outcome.set_result(await operation)
    except asyncio.CancelledError:
        outcome.give_up()
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits gets it
        outcome.set_exception(error)


class Life:
    """Operations on leases that this process owns."""

    def __init__(self, engine: Engine, commits: Commits, steps: Steps, redaction: Redaction) -> None:
        self._engine = engine
        self._commits = commits
        self._steps = steps
        self.watches = steps.watches
        self._redaction = redaction
        self._ending = Ending(engine, commits, steps, redaction)

    # --- what a lease's holder calls

    async def release(self, lease: Lease) -> None:
        """End a lease as wanted. Raises ``EnvironmentRunError`` where the sync-back failed."""
        await self._reported(lease, self._release(lease, sync=self._syncs(lease, success=True)))

    async def fail(self, lease: Lease, failure: Failure) -> None:
        """End a lease as failed. One that has ended stays as it is."""
        await self._reported(lease, self._fail(lease, failure))

    async def end(self, lease: Lease, ending: Callable[[], Awaitable[None]]) -> None:
        """End a lease that its holder lets go of. Where the store does not take it, it is tried again beside."""
        try:
            await ending()
        except StoreError:
            self._commits.owner.do(self.insist(lease, ending))
            raise

    async def insist(self, lease: Lease, ending: Callable[[], Awaitable[None]]) -> None:
        """Try an ending until the store takes it, while the lease is this process's."""
        while lease.facts.state.live and lease.lost is None:
            try:
                return await ending()
            except StoreError:
                await asyncio.sleep(self._commits.owner.patience)
            except (LeaseLost, IllegalTransition, EnvironmentRunError):
                return None  # another ended it first, or it has ended, and its row says how
        return None

    async def extend(self, lease: Lease, seconds: float) -> None:
        """Move a live lease's end to ``seconds`` from now."""
        async with lease.lock:
            if not lease.facts.state.live:
                raise IllegalTransition(lease.id, "extend", lease.facts.state, "the lease has ended")
            self.check(lease)
            expires_at = self._commits.store.clock.now() + int(seconds * 1e6)
            await self._commits.note(lease, Note.EXTEND, expires_at=expires_at)

    async def detach(self, lease: Lease) -> None:
        """Let go of a lease at ``targeted``; it lives on without an owner."""
        async with lease.lock:
            facts = lease.facts
            if facts.state is not LeaseState.TARGETED or facts.pending_event is not None:
                why = "only a targeted lease with no step under way lives on without an owner"
                raise IllegalTransition(lease.id, "detach", facts.state.value, why)
            self.check(lease)
            target, lease.target = lease.target, None
            if target is not None:
                await target.detach()
            try:
                await self._commits.note(lease, Note.DETACH)
            except StoreError:
                with suppress(DriverError):  # it is ours still, and to be used as before
                    await self.reach(lease)
                raise

    async def journal(self, lease_id: str) -> list[Entry]:
        """A lease's journal, oldest row first."""
        return await self._commits.journal(lease_id)

    def reaches(self, terms: Terms) -> bool:
        """Whether a place of these terms can be reached from this machine."""
        return self._steps.reaches(terms)

    def check(self, lease: Lease) -> None:
        """Raise ``LeaseLost`` where the lease may be another's by now."""
        self._commits.owner.check(lease)

    # --- what the orchestrator calls

    async def bring_up(self, lease: Lease, ready: Callable[[Lease], Awaitable[str]]) -> None:
        """Take a new lease to ``targeted``, or to ``leased`` where its tree is named later.

        ``ready`` is awaited before acquire: it waits for a slot, finds a place to take over, or says why
        there is none. Raises ``StepFailed`` once the failure is recorded.
        """
        await self._commits.owner.ensure()
        await self._through(lease, _HELD if lease.terms.request.late else _UP, ready)

    async def ready_again(self, lease: Lease) -> None:
        """Have a lease at ``resolved``, which was taken over, know what its acquire needs. Raises ``StepFailed``."""
        try:
            await self._steps.know(lease)
        except DriverError as error:
            raise await self.refuse(lease, error) from error

    async def go_on(self, lease: Lease, *events: LeaseEvent, papers: Mapping[str, str | None] | None = None) -> None:
        """Take a lease through further steps; ``papers`` are committed with the first of their outcomes.

        Raises ``StepFailed`` once the failure is recorded, and ``HoldConflict`` before anything began.
        """
        if papers:
            self._commits.draft(lease).papers.update(papers)
        await self._through(lease, events)

    async def _through(
        self,
        lease: Lease,
        events: Iterable[LeaseEvent],
        ready: Callable[[Lease], Awaitable[str]] | None = None,
    ) -> None:
        async with lease.lock:
            try:
                for event in events:
                    if lease.interruption is not None:
                        raise Interrupted
                    if event is LeaseEvent.RESOLVE and lease.facts.version:
                        continue  # it has waited for a slot, which another got
                    why = await self._ready(lease, ready) if ready and event is LeaseEvent.ACQUIRE else ""
                    await self._engine.attempt(lease, event, why)
                if lease.interruption is not None:
                    raise Interrupted
                await self._commits.flush(lease)
            except StepFailed as failed:
                await self._ending.failed(lease, failed.failure)
                raise
            except Interrupted as interrupted:
                failure = self._interruption(lease)
                await self._ending.failed(lease, failure)
                raise StepFailed(failure) from interrupted

    async def refuse(self, lease: Lease, error: Exception) -> StepFailed:
        """Record that acquire, or realize of a held lease, was refused before its claim held.

        Gives the failure to raise.
        """
        async with lease.lock:
            if lease.facts.version == 0:
                await self._engine.attempt(lease, LeaseEvent.RESOLVE)
            event = LeaseEvent.ACQUIRE if lease.ahead.state is LeaseState.RESOLVED else LeaseEvent.REALIZE
            failed = self._engine.failed(lease, event, error)
            failed.__cause__ = error
            await self._ending.failed(lease, failed.failure)
            return failed

    async def end_failed(self, lease: Lease, event: LeaseEvent, error: Exception) -> StepFailed:
        """Record that the step which an earlier owner began has failed. Gives the failure to raise."""
        async with lease.lock:
            failed = self._engine.failed(lease, event, error)
            await self._ending.failed(lease, failed.failure)
            return failed

    async def settle(self, lease: Lease, failure: Failure) -> None:
        """End a lease that was taken over: its open step is abandoned, then it fails, and its place is ended."""
        async with lease.lock:
            await self._ending.settle(lease, failure)

    async def clean_up(self, lease: Lease) -> None:
        """Try now to end the place of a lease that has ended, also one that was kept."""
        async with lease.lock:
            self._commits.abandon(lease)
            if lease.ahead.cleanup in _KEPT:
                await self._engine.fire(lease, CleanupEvent.RECLAIM)
            await self._ending.place(lease, CleanupEvent.CLEAN)

    async def forget(self, lease: Lease, who: str, reason: str) -> None:
        """Take the place out of our care, by name and with a reason."""
        async with lease.lock:
            self._commits.abandon(lease)
            step = Step(CleanupEvent.FORGET.value, details={"by": who, "reason": self._redaction.clean(reason)})
            await self._engine.fire(lease, CleanupEvent.FORGET, step)
            await self._commits.flush(lease)

    async def reach(self, lease: Lease) -> None:
        """Make a lease at ``targeted`` that was taken usable: its target, from what is recorded."""
        self._steps.driver_of(lease)
        await self._steps.resolve_target(lease, Step(LeaseEvent.TARGET.value))

    async def part(self, leases: Iterable[Lease]) -> None:
        """This process ends while it holds leases: what it runs there ends, and others may take them over."""
        held = tuple(leases)
        for lease in held:
            lease.lose("its orchestrator was closed")
        await asyncio.gather(*(self._ending.let_go(lease) for lease in held))

    async def settled(self, lease: Lease, operation: Coroutine[Any, Any, T]) -> T:
        """Run an operation. A cancelled caller waits until its step is settled, and then is cancelled."""
        loop = asyncio.get_running_loop()
        outcome: _Outcome[T] = _Outcome(lease, loop)
        task = loop.create_task(_into(outcome, operation))
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled():
                outcome.exception()  # it is recorded on the lease; its caller gets the cancellation
            raise
        finally:
            del task  # the loop itself holds tasks weakly: until here it was kept

    def reported(self, lease: Lease, failed: StepFailed) -> EnvironmentRunError:
        """A recorded failure as callers catch it."""
        terms, failure = lease.terms, failed.failure
        return EnvironmentRunError(
            failure.code,
            failure.message,
            environment_id=terms.environment_id,
            driver=terms.driver,
            provider=terms.provider,
            lease_id=lease.id,
            hint=failed.hint,
        )

    # --- beneath them

    async def _ready(self, lease: Lease, ready: Callable[[Lease], Awaitable[str]]) -> str:
        try:
            return await ready(lease)
        except DriverError as error:
            raise self._engine.failed(lease, LeaseEvent.ACQUIRE, error) from error

    async def _reported(self, lease: Lease, operation: Coroutine[Any, Any, None]) -> None:
        try:
            await self.settled(lease, operation)
        except StepFailed as failed:
            raise self.reported(lease, failed) from failed.__cause__

    async def _release(self, lease: Lease, *, sync: bool) -> None:
        async with lease.lock:
            if not lease.facts.state.live:
                return
            self.check(lease)
            self._ending.reopen(lease)
            if sync:
                lease.named = {"then": LeaseEvent.RELEASE.value}
                await self._sync_back(lease)
            await self._ending.released(lease)

    async def _fail(self, lease: Lease, failure: Failure) -> None:
        async with lease.lock:
            if not lease.facts.state.live:
                return
            self.check(lease)
            self._ending.reopen(lease)
            if self._syncs(lease, success=False) and lease.interruption is None:
                lease.named = {"then": LeaseEvent.FAIL.value, "code": failure.code.value, "message": failure.message}
                try:
                    await self._engine.attempt(lease, LeaseEvent.SYNC_BACK)
                except (StepFailed, Interrupted):
                    # what the run changed is only there; its own failure is the first and stands
                    await self._ending.failed(lease, failure, CleanupEvent.KEEP)
                    return
            await self._ending.failed(lease, failure)

    async def _sync_back(self, lease: Lease) -> None:
        try:
            await self._engine.attempt(lease, LeaseEvent.SYNC_BACK)
        except StepFailed as failed:
            await self._ending.failed(lease, failed.failure)
            raise
        except Interrupted as interrupted:
            failure = self._interruption(lease)
            await self._ending.failed(lease, failure, CleanupEvent.KEEP)  # a part may be there, and a part here
            raise StepFailed(failure) from interrupted

    def _syncs(self, lease: Lease, *, success: bool) -> bool:
        """Whether changes are to be brought back now."""
        if lease.facts.state is not LeaseState.TARGETED or lease.terms.mode is Mode.IN_PLACE:
            return False
        wanted = lease.terms.request.sync_back
        try:
            driver = self._steps.driver_of(lease)
        except DriverError:
            # it is gone, or no longer takes its config: only what was asked for by name is known to be wanted
            return wanted is SyncBack.ALWAYS or (wanted is SyncBack.ON_SUCCESS and success)
        offer = driver.capabilities(lease.config)
        if wanted is None:
            wanted = SyncBack.NEVER if offer.transport is Transport.LOCAL else SyncBack.ON_SUCCESS
        asked = wanted is SyncBack.ALWAYS or (wanted is SyncBack.ON_SUCCESS and success)
        return asked and bool(offer.syncs_back) and syncs_back(driver)

    def _interruption(self, lease: Lease) -> Failure:
        if lease.lost is not None:
            raise LeaseLost(lease.id, lease.lost)
        return lease.interruption or Failure(ErrorCode.LEASE_CANCELLED, "it was stopped", "caller")
