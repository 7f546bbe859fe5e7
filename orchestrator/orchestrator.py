"""The library's front door."""

import asyncio
import time
from collections.abc import AsyncGenerator, Container, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Unpack

from leasehold.drivers import Driver, Mode, Registry
from leasehold.orchestrator.adapters import Adapter, Adapters
from leasehold.orchestrator.arguments import LeaseArguments, absolute, check_ids, member
from leasehold.orchestrator.capacity import Capacity
from leasehold.orchestrator.closing import to_its_end
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.duties import Duties
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.entry_points import EntryPoints
from leasehold.orchestrator.environments import Environments
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.execution_workspaces import ExecutionWorkspaces, Workspaces
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, new_run_id
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.operations import Operations
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.recovery import Recovery
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.replay import Replays
from leasehold.orchestrator.request import NOTHING, OwnerLost, Request, SyncBack
from leasehold.orchestrator.restoration import Restorations
from leasehold.orchestrator.retention import Retention
from leasehold.orchestrator.reuse import Reuse
from leasehold.orchestrator.run_leases import RunLeases, failure_by
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import CANCELLED, Failure, Listener, StepFailed
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.errors import EnvironmentChanged, HoldConflict, PlaceTaken
from leasehold.orchestrator.store.hints import SLOT
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.sweep import Sweep
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.terms import Terms
from leasehold.states import ErrorCode, Facts, Policy
from sqlalchemy import Engine as SqlEngine

_TRIES = 5
_SUPERSEDED = Failure(ErrorCode.LEASE_CANCELLED, "its run has a lease there already", "caller")


class Orchestrator(Operations, EntryPoints):
    """Leases environments of one store. Made by ``Orchestrator.open``; serves one event loop."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        adapters: Adapters,
        settings: Settings,
        workspaces: Workspaces | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.registry = registry
        self.adapters = adapters
        self.environments = Environments(store)
        self.ledger = Ledger(store, settings.claim_seconds)
        self.redaction = Redaction()
        self._owner = Owner(store, settings.claim_seconds, asked=self._asked, expired=self._expired)
        self._commits = Commits(store, self._owner)
        steps = Steps(store, self.environments, registry, adapters, settings, self.redaction)
        engine = Engine(self._commits, steps, self.redaction)
        self._life = Life(engine, self._commits, steps, self.redaction)
        self._others = Takeover(self._life, self._commits, self.ledger)
        self._reuse = Reuse(self.ledger, self._others)
        patience = settings.cleanup_seconds
        self._capacity = Capacity(self._commits, self.environments, self.ledger, self._others, patience)
        recovery = Recovery(self._life, engine, self._commits, steps, self._come_up_again)
        self._replays = Replays(self.ledger, self._others, self._life, recovery)
        self._retention = Retention(store)
        self._duties = Duties(self.ledger, self._others, self._replays)
        self._sweep = Sweep(store, self.environments, registry, settings, self.redaction)
        self._restorations = Restorations(store, self.ledger, self._replays, self._sweep)
        runs = RunLeases(
            store, self.environments, self.ledger, self._life, steps, self._owner, self._others,
            acquire=self._acquire, release=self.release, fail=self.fail,
        )  # fmt: skip
        super().__init__(runs, ExecutionWorkspaces(store), workspaces)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        store_url: str | None = None,
        *,
        engine: SqlEngine | None = None,
        drivers: Iterable[Driver] | None = None,
        adapters: Iterable[Adapter] = (),
        settings: Settings | None = None,
        workspaces: Workspaces | None = None,
        make: bool = True,
    ) -> "AsyncGenerator[Orchestrator]":
        """Open the store, creating or migrating it, and become ready to lease.

        ``store_url`` is a SQLAlchemy URL (none: the settings'); ``engine`` is a host's own SQLAlchemy
        engine in its place; ``drivers`` are given beside the installed ones; ``workspaces`` are the
        host's own execution workspaces; with ``make=False`` a store that is not there is not created.
        Raises ``StoreError``.
        """
        settings = settings or Settings()
        url, patience = store_url or settings.store_url(), settings.store_patience_seconds
        store = await Store.open(url, engine=engine, patience=patience, prefix=settings.table_prefix, make=make)
        orchestrator = cls(
            store, Registry(drivers or (), state_folder=settings.state_folder), Adapters(adapters), settings, workspaces
        )
        try:
            yield orchestrator
        finally:
            await to_its_end(orchestrator._close())

    async def _close(self) -> None:
        """From what uses the store to the store itself; one that fails leaves none of the others open."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.store.close)
            closing.push_async_callback(self._owner.close)
            closing.push_async_callback(self._life.part, self._owner.leases.values())
            closing.push_async_callback(self._others.close)

    # --- leases

    @asynccontextmanager
    async def lease(self, **request: Unpack[LeaseArguments]) -> AsyncGenerator[Lease]:
        """A lease for the length of a block; the arguments are those of ``acquire``.

        At the block's end it is released; after an exception it fails with ``run_failed``, after a
        cancellation with ``lease_cancelled``.
        """
        lease = await self.acquire(**request)
        try:
            yield lease
        except asyncio.CancelledError:
            await self._runs.end_unused(lease, CANCELLED)
            raise
        except BaseException as error:
            reason = f"{error.__class__.__name__}: {error}"
            await self._runs.end_unused(lease, Failure(ErrorCode.RUN_FAILED, reason, "run"))
            raise
        else:
            await self._life.end(lease, partial(self._life.release, lease))

    async def acquire(
        self,
        *,
        environment: str | None = None,
        workspace: str | Path = ".",
        mode: str | Mode | None = None,
        branch: str | None = None,
        untracked: bool = False,
        excludes: Iterable[str] = (),
        provision: str | None = None,
        provision_timeout: float | str = 300.0,
        policy: str | Policy | None = None,
        keep_for: float | str = 86400.0,
        ttl: float | str | None = None,
        wait: float | str | None = None,
        share: bool = False,
        sync_back: str | SyncBack | None = None,
        owner_lost: str | OwnerLost = OwnerLost.FAIL,
        run_id: str | None = None,
        issue_id: str | None = None,
        agent_id: str | None = None,
        adapter_type: str | None = None,
        company_id: str | None = None,
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> Lease:
        """A lease at ``targeted``. Durations are seconds, or as ``5m``.

        Raises:
            EnvironmentRunError: it failed; the failed lease is recorded, and its place owed or gone.
            WrongUsage: an argument that cannot be meant; nothing is written.
            StoreError: the store did not take it.
        """
        end = seconds(ttl) if ttl is not None else None
        request = Request(
            company_id=company_id or self.settings.company,
            run_id=run_id or new_run_id(),
            workspace=absolute(workspace),
            environment=environment,
            mode=member(Mode, mode, "mode"),
            branch=branch,
            untracked=untracked,
            excludes=tuple(excludes),
            provision=provision,
            provision_timeout=seconds(provision_timeout),
            policy=None if policy is None else member(Policy, policy, "policy"),
            keep_for=seconds(keep_for),
            ttl=end or await self._ttl(company_id or self.settings.company, environment),
            wait=0.0 if wait is None else seconds(wait),
            share=share,
            sync_back=member(SyncBack, sync_back, "sync_back"),
            owner_lost=member(OwnerLost, owner_lost, "owner_lost") or OwnerLost.FAIL,
            issue_id=issue_id,
            agent_id=agent_id,
            adapter_type=adapter_type,
            variables=dict(env) if env else NOTHING,
        )
        check_ids(request)
        return await self._acquire(request, listener)

    # --- beneath them

    async def _acquire(self, request: Request, listener: Listener | None) -> Lease:
        policy = Policy(request.policy) if request.policy else Policy.EPHEMERAL
        lease = Lease(
            self._life, Terms(self.store.ids.sortable(self.store.clock.now()), request, policy), Facts(), listener
        )
        try:
            return await self._come_up(lease)
        except StepFailed as failed:
            raise self._life.reported(lease, failed) from failed.__cause__
        except (asyncio.CancelledError, Exception) as error:  # it may have come up just then, and nobody gets it
            await self._runs.end_unused(lease, failure_by(error))
            raise

    async def _come_up(self, lease: Lease) -> Lease:
        """Bring a lease up, or give the one that its run has there already. Raises ``StepFailed``."""
        request, now = lease.terms.request, self.store.clock.now()
        waited = (now - (lease.facts.created_at or now)) / 1e6  # by another process, which it was taken over from
        passed: set[str] = set()
        ready = partial(self._ready, until=time.monotonic() + request.wait - waited, passed=passed)
        tries = 0
        while tries < _TRIES:
            tries += 1
            try:
                await self._life.settled(lease, self._life.bring_up(lease, ready))
            except EnvironmentChanged:
                self.environments.forget(request.company_id)
                lease.draft = None
            except PlaceTaken as taken:
                passed.add(taken.lease_id)
                lease.draft = None
                tries -= 1  # another took that place: there is one less to lose
            except HoldConflict as conflict:
                lease.draft = None
                if conflict.subject.startswith(SLOT):
                    tries -= 1  # another took the slot: look again, until the wait is over
                    continue
                own = await self._others.resolve_conflict(lease, conflict)
                if own is not None:
                    await self._life.fail(lease, _SUPERSEDED)
                    return own
            else:
                return lease
        raise await self._life.refuse(lease, Held("its environment or holder keeps changing; try again"))

    async def _come_up_again(self, lease: Lease) -> None:
        """Bring up a lease that was taken over where it stood at ``resolved``."""
        await self._life.ready_again(lease)
        await self._come_up(lease)

    async def _ready(self, lease: Lease, until: float, passed: Container[str]) -> str:
        """What acquire needs first: a place to take over, where the policy reuses places, and a slot."""
        why = await self._reuse.find(lease, passed) if lease.terms.policy.reuses else ""
        await self._capacity.take(lease, until)
        return why

    async def _expired(self, lease: Lease) -> None:
        """The living owner ends its own expired lease; a store that fails is asked again, while the claim holds."""
        failure = Failure(ErrorCode.LEASE_EXPIRED, "the lease reached its end", "expiry")
        lease.interrupt(failure)
        await self._life.insist(lease, partial(self._life.fail, lease, failure))

    async def _ttl(self, company_id: str, environment: str | None) -> float:
        found = await self.environments.find(company_id, environment)
        return (found.ttl if found is not None else None) or self.settings.ttl_seconds
