"""A lease's life: the operations that take it up, end it, and end its place.

Each operation runs to a recorded end, whoever cancels its caller.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from leasehold.drivers import DriverError, Mode, Transport, syncs_back
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.errors import EnvironmentRunError, LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.request import SyncBack
from leasehold.orchestrator.step import Failure, Interrupted, ProvenAbsent, Step, StepFailed, StillUnknown
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.errors import StaleWrite, StoreError
from leasehold.orchestrator.watch import Watch
from leasehold.states import (
    CleanupEvent,
    CleanupState,
    Entry,
    ErrorCode,
    IllegalTransition,
    Kind,
    LeaseEvent,
    LeaseState,
    Note,
    Outcome,
    cleanup_event,
    cleanup_transition,
)

T = TypeVar("T")

_HELD = (LeaseEvent.RESOLVE, LeaseEvent.ACQUIRE)
_UP = (LeaseEvent.RESOLVE, LeaseEvent.ACQUIRE, LeaseEvent.REALIZE, LeaseEvent.PROVISION, LeaseEvent.TARGET)
_DUE = (CleanupState.PENDING, CleanupState.FAILED)
_KEPT = (CleanupState.RETAINED, CleanupState.PARKED)
_LONGEST_PAUSE = 1800.0
_CLOSE_SECONDS = 30.0


class _Outcome(asyncio.Future[T]):
    """What an operation came to. Who waits for it cannot cancel it, only have the lease's step end early."""

    def __init__(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._lease = lease

    def cancel(self, msg: Any = None) -> bool:
        """Says no, so that the caller's cancellation is kept until the outcome is there."""
        self._lease.interrupt(Failure(ErrorCode.LEASE_CANCELLED, "its caller was cancelled", "caller"))
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

    # --- what a lease's holder calls

    async def release(self, lease: Lease) -> None:
        """End a lease as wanted. Raises ``EnvironmentRunError`` where the sync-back failed."""
        await self._reported(lease, self._release(lease, sync=self._syncs(lease, success=True)))

    async def fail(self, lease: Lease, failure: Failure) -> None:
        """End a lease as failed. One that has ended stays as it is."""
        await self._reported(lease, self._fail(lease, failure))

    async def extend(self, lease: Lease, seconds: float) -> None:
        """Move a live lease's end to ``seconds`` from now."""
        async with lease.lock:
            if not lease.facts.state.live:
                raise IllegalTransition(lease.id, "extend", lease.facts.state, "the lease has ended")
            expires_at = self._commits.store.clock.now() + int(seconds * 1e6)
            await self._commits.note(lease, Note.EXTEND, expires_at=expires_at)

    async def detach(self, lease: Lease) -> None:
        """Let go of a lease at ``targeted``; it lives on without an owner."""
        async with lease.lock:
            facts = lease.facts
            if facts.state is not LeaseState.TARGETED or facts.pending_event is not None:
                why = "only a targeted lease with no step under way lives on without an owner"
                raise IllegalTransition(lease.id, "detach", facts.state.value, why)
            target, lease.target = lease.target, None
            if target is not None:
                await target.detach()
            await self._commits.note(lease, Note.DETACH)

    async def journal(self, lease_id: str) -> list[Entry]:
        """A lease's journal, oldest row first."""
        return await self._commits.journal(lease_id)

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
                await self._end_failed(lease, failed.failure)
                raise
            except Interrupted as interrupted:
                failure = self._interruption(lease)
                await self._end_failed(lease, failure)
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
            await self._end_failed(lease, failed.failure)
            return failed

    async def settle(self, lease: Lease, failure: Failure) -> None:
        """End a lease that was taken over: its open step is abandoned, then it fails and is cleaned up."""
        async with lease.lock:
            self._commits.abandon(lease)
            if lease.facts.state.live:
                await self._end_failed(lease, failure)
            else:
                await self._clean_up(lease)

    async def clean_up(self, lease: Lease) -> None:
        """Try now to end the place of a lease that has ended, also one that was kept."""
        async with lease.lock:
            self._commits.abandon(lease)
            if lease.ahead.cleanup in _KEPT:
                await self._engine.fire(lease, CleanupEvent.RECLAIM)
                await self._clean_up(lease, CleanupEvent.CLEAN)
            else:
                await self._clean_up(lease)

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
            if sync:
                await self._sync_back(lease)
            await self._engine.fire(lease, LeaseEvent.RELEASE)
            await self._clean_up(lease)

    async def _fail(self, lease: Lease, failure: Failure) -> None:
        async with lease.lock:
            if not lease.facts.state.live:
                return
            if self._syncs(lease, success=False) and lease.interruption is None:
                try:
                    await self._engine.attempt(lease, LeaseEvent.SYNC_BACK)
                except StepFailed as failed:
                    # what the run changed is only there; its own failure is the first and stands
                    await self._end_failed(lease, failure, sync_failure=failed.failure)
                    return
            await self._end_failed(lease, failure)

    async def _sync_back(self, lease: Lease) -> None:
        try:
            await self._engine.attempt(lease, LeaseEvent.SYNC_BACK)
        except StepFailed as failed:
            await self._end_failed(lease, failed.failure)
            raise
        except Interrupted as interrupted:
            failure = self._interruption(lease)
            await self._end_failed(lease, failure)
            raise StepFailed(failure) from interrupted

    async def _end_failed(self, lease: Lease, failure: Failure, sync_failure: Failure | None = None) -> None:
        if failure.event is None or failure.event.value != lease.ahead.pending_event:
            self._commits.abandon(lease)
        await self._engine.fire(lease, LeaseEvent.FAIL, Step(LeaseEvent.FAIL.value, failure=failure))
        event = None if sync_failure is None else cleanup_event(lease.terms.policy, Outcome.SYNC_FAILED)
        await self._clean_up(lease, event)

    async def _clean_up(self, lease: Lease, event: CleanupEvent | None = None) -> None:
        """End the place as the policy says. What goes wrong is recorded, never raised over a first error."""
        await self._let_go(lease)
        if lease.ahead.cleanup in _DUE:
            event = event or self._ending(lease)
            step = Step(str(event))
            try:
                await self._engine.fire(lease, event, step)
            except (StoreError, LeaseLost, IllegalTransition, StaleWrite):
                raise
            except ProvenAbsent:
                self._close_try(lease, step, Kind.ABANDONED)
                await self._engine.fire(lease, CleanupEvent.ABSOLVE)
            except StillUnknown as unknown:
                self._close_try(lease, step, Kind.ABANDONED, why=str(unknown), next_try_at=self._next_try(lease))
            except Exception as error:  # noqa: BLE001 - whatever a driver raises, the cleanup stays owed
                self._cleanup_failed(lease, step, error)
        await self._commits.flush(lease)

    def _ending(self, lease: Lease) -> CleanupEvent:
        facts = lease.ahead
        if facts.cleanup is CleanupState.FAILED or facts.handle is None:
            return CleanupEvent.CLEAN
        if facts.error_code == ErrorCode.WORKSPACE_SYNC_FAILED.value:
            outcome = Outcome.SYNC_FAILED
        elif facts.state is LeaseState.FAILED:
            outcome = Outcome.FAILURE
        else:
            outcome = Outcome.SUCCESS if facts.owners <= 1 else Outcome.SUCCESS_TAKEN_OVER
        return cleanup_event(lease.terms.policy, outcome)

    def _cleanup_failed(self, lease: Lease, step: Step, error: Exception) -> None:
        first = lease.ahead.cleanup_tries == 0
        code = ErrorCode.LEASE_RELEASE_FAILED if first else ErrorCode.LEASE_CLEANUP_FAILED
        message = self._redaction.clean(str(error) or error.__class__.__name__)
        next_try_at = self._next_try(lease)
        self._close_try(lease, step, Kind.FAILED, code, message=message, next_try_at=next_try_at)
        self._engine.tell(lease, step.event, "failed", message)

    def _close_try(self, lease: Lease, step: Step, kind: Kind, code: ErrorCode | None = None, **details: Any) -> None:
        row = cleanup_transition(CleanupEvent(step.event))
        draft = self._commits.draft(lease)
        self._commits.add(
            lease,
            draft,
            step.event,
            kind,
            dest=row.failure.value if kind is Kind.FAILED and row.failure else None,
            attempt=step.attempt,
            error_code=None if code is None else code.value,
            duration_ms=step.duration_ms,
            details=details,
        )
        self._commits.log(lease, draft)

    def _next_try(self, lease: Lease) -> int:
        pause = min(_LONGEST_PAUSE, 2.0 ** min(lease.ahead.cleanup_tries + 1, 11))
        return self._commits.store.clock.now() + int(pause * 1e6)

    async def _let_go(self, lease: Lease) -> None:
        """End the commands that run through this process before their place goes."""
        target, lease.target = lease.target, None
        if target is not None:
            try:
                watch = Watch(time.monotonic() + _CLOSE_SECONDS)
                await self.watches.over(watch, target.close())
            except Exception as error:  # noqa: BLE001 - the cleanup ends what is left, and says so if it cannot
                self._engine.tell(lease, CleanupEvent.CLEAN.value, "progress", self._redaction.clean(str(error)))

    def _syncs(self, lease: Lease, *, success: bool) -> bool:
        """Whether changes are to be brought back now."""
        if lease.facts.state is not LeaseState.TARGETED or lease.terms.mode is Mode.IN_PLACE:
            return False
        driver = self._steps.driver_of(lease)
        offer = driver.capabilities(lease.config)
        wanted = lease.terms.request.sync_back
        if wanted is None:
            wanted = SyncBack.NEVER if offer.transport is Transport.LOCAL else SyncBack.ON_SUCCESS
        asked = wanted is SyncBack.ALWAYS or (wanted is SyncBack.ON_SUCCESS and success)
        return asked and bool(offer.syncs_back) and syncs_back(driver)

    def _interruption(self, lease: Lease) -> Failure:
        if lease.lost is not None:
            raise LeaseLost(lease.id, lease.lost)
        return lease.interruption or Failure(ErrorCode.LEASE_CANCELLED, "it was stopped", "caller")
