"""The library's front door."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from leasehold.drivers import Driver, Mode, Registry, Target
from leasehold.orchestrator.adapters import Adapter, Adapters
from leasehold.orchestrator.arguments import LeaseArguments, absolute, check_ids, member
from leasehold.orchestrator.capacity import SLOT, Capacity
from leasehold.orchestrator.commits import Commits
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.engine import Engine
from leasehold.orchestrator.entry_points import EntryPoints
from leasehold.orchestrator.environments import Environment, Environments
from leasehold.orchestrator.error_table import Held
from leasehold.orchestrator.errors import LeaseLost, StillHeld
from leasehold.orchestrator.execution_workspaces import ExecutionWorkspaces, Workspaces
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row, new_run_id
from leasehold.orchestrator.life import Life
from leasehold.orchestrator.owner import Owner
from leasehold.orchestrator.redaction import Redaction
from leasehold.orchestrator.request import NOTHING, OwnerLost, Request, SyncBack
from leasehold.orchestrator.retention import Retention
from leasehold.orchestrator.reuse import Reuse
from leasehold.orchestrator.run_leases import RunLeases
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import Failure, Listener, StepFailed
from leasehold.orchestrator.steps import Steps
from leasehold.orchestrator.store.errors import EnvironmentChanged, HoldConflict, PlaceTaken, StoreError
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.terms import Terms
from leasehold.states import CleanupState, Entry, ErrorCode, Facts, IllegalTransition, LeaseState, Note, Policy
from sqlalchemy import Engine as SqlEngine

_TRIES = 5
_SUPERSEDED = Failure(ErrorCode.LEASE_CANCELLED, "its run has a lease there already", "caller")


class Orchestrator(EntryPoints):
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
        self._life = Life(Engine(self._commits, steps, self.redaction), self._commits, steps, self.redaction)
        self._others = Takeover(self._life, self._commits, self.ledger)
        self._reuse = Reuse(self.ledger, self._others)
        self._retention = Retention(store)
        self._capacity = Capacity(self._commits, self.environments, self.ledger, self._others)
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
    ) -> "AsyncGenerator[Orchestrator]":
        """Open the store, creating or migrating it, and become ready to lease.

        ``store_url`` is a SQLAlchemy URL (none: the settings'); ``engine`` is a host's own SQLAlchemy
        engine in its place; ``drivers`` are given beside the installed ones; ``workspaces`` are the
        host's own execution workspaces. Raises ``StoreError``.
        """
        settings = settings or Settings()
        url, patience = store_url or settings.store_url(), settings.store_patience_seconds
        store = await Store.open(url, engine=engine, patience=patience)
        orchestrator = cls(store, Registry(drivers or ()), Adapters(adapters), settings, workspaces)
        try:
            yield orchestrator
        finally:
            await orchestrator._owner.close()
            await store.close()

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
            await self._life.fail(lease, Failure(ErrorCode.LEASE_CANCELLED, "its caller was cancelled", "caller"))
            raise
        except LeaseLost:
            raise
        except BaseException as error:
            reason = self.redaction.clean(f"{error.__class__.__name__}: {error}")
            await self._life.fail(lease, Failure(ErrorCode.RUN_FAILED, reason, "run"))
            raise
        else:
            await lease.release()

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

    async def attach(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease:
        """Take a lease that nobody holds, to use or end it.

        Raises ``NoSuch``, ``StillHeld`` where a living owner has it and ``force`` is not given,
        ``IllegalTransition`` where it has ended, ``LeaseLost`` where another took it first.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            raise IllegalTransition(row.terms.id, "attach", row.facts.state.value, "the lease has ended")
        lease = await self._others.take(row, force=force)
        if lease.facts.state is LeaseState.TARGETED and lease.facts.pending_event is None:
            try:
                await self._life.reach(lease)
            except BaseException:
                await self._life.detach(lease)  # it is as usable, or unusable, as it was
                raise
        return lease

    async def visit(self, lease_id: str, *, company_id: str | None = None) -> Target:
        """The target of a place that was kept, to look around in. The lease stays as it is.

        Raises ``NoSuch``, ``IllegalTransition`` where no place is kept, ``DriverError`` where it is gone.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if row.facts.cleanup is not CleanupState.RETAINED or row.papers["realization"] is None:
            raise IllegalTransition(row.terms.id, "visit", row.facts.cleanup.value, "no place is kept")
        lease = self._others.lease_of(row)
        await self._life.reach(lease)
        assert lease.target is not None
        return lease.target

    async def journal(self, lease_id: str, *, company_id: str | None = None) -> list[Entry]:
        """A lease's journal, oldest row first. Raises ``NoSuch``."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        return await self._life.journal(row.terms.id)

    async def release(self, lease_id: str, *, company_id: str | None = None, force: bool = False) -> Lease | None:
        """End a lease as wanted, or the keeping of its place; from any process.

        A lease whose living owner is elsewhere is asked to end it, and ``None`` is answered.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            return await self._others.clean_up(row, force=force)
        if row.alive and not force:
            await self._others.ask(row, {"end": "release"}, self._asked)
            return None
        lease = await self._others.take(row, force=force)
        if lease.facts.state is LeaseState.TARGETED and lease.facts.pending_event is None:
            await self._life.release(lease)
        else:
            why = f"its owner was lost at {lease.facts.pending_event or lease.facts.state}, and it was released"
            await self._life.settle(lease, Failure(ErrorCode.LEASE_OWNER_LOST, why, "owner"))
        return lease

    async def fail(
        self,
        lease_id: str,
        reason: str,
        *,
        company_id: str | None = None,
        code: ErrorCode | None = None,
        force: bool = False,
    ) -> Lease | None:
        """End a lease as failed, from any process, with everything that its crash left behind.

        The code is by default ``run_failed``, or ``lease_owner_lost`` where its owner is. A lease
        whose living owner is elsewhere is asked, and ``None`` is answered.
        """
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        reason = self.redaction.clean(reason)
        if not row.facts.state.live:
            return await self._others.clean_up(row, force=force)
        if row.alive and not force:
            await self._others.ask(row, {"end": "fail", "reason": reason, "code": code}, self._asked)
            return None
        lost = row.facts.owner is not None and not row.alive
        lease = await self._others.take(row, force=force)
        chosen = code or (ErrorCode.LEASE_OWNER_LOST if lost else ErrorCode.RUN_FAILED)
        await self._life.settle(lease, Failure(chosen, reason, "owner" if lost else "run"))
        return lease

    async def extend(self, lease_id: str, ttl: float | str, *, company_id: str | None = None) -> Row:
        """Move a live lease's end to ``ttl`` from now; a living owner elsewhere is asked to."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if not row.facts.state.live:
            raise IllegalTransition(row.terms.id, "extend", row.facts.state.value, "the lease has ended")
        if row.alive:
            await self._others.ask(row, {"end": "extend", "seconds": seconds(ttl)}, self._asked)
        else:
            held = row.facts.state is LeaseState.TARGETED and row.facts.pending_event is None
            if not held or row.facts.owner is not None:
                raise StillHeld(
                    f"lease {row.terms.id} lost its owner at {row.facts.pending_event or row.facts.state}",
                    hint="end it with leasehold fail",
                )
            lease = await self._others.take(row, force=False)
            await self._life.extend(lease, seconds(ttl))
            await self._life.detach(lease)
        return await self.ledger.find(row.terms.request.company_id, row.terms.id)

    async def forget(self, lease_id: str, reason: str, *, who: str, company_id: str | None = None) -> Lease:
        """Take an ended lease's place out of our care, with who and why."""
        row = await self.ledger.find(company_id or self.settings.company, lease_id)
        if row.facts.state.live:
            raise IllegalTransition(row.terms.id, "forget", row.facts.state.value, "end the lease first")
        if not row.facts.cleanup.open:
            raise IllegalTransition(row.terms.id, "forget", row.facts.cleanup.value, "no place is owed")
        if row.alive and row.facts.pending_event is not None:
            raise self._others.held(row)
        lease = self._others.lease_of(row)
        await self._commits.take(lease, Note.TAKE_OVER, why="forget")
        await self._life.forget(lease, who, reason)
        return lease

    async def archive(self, environment: str, *, company_id: str | None = None) -> Environment:
        """Stop new leases of an environment, and end the places that are parked there. Raises ``NoSuch``."""
        company = company_id or self.settings.company
        archived = await self.environments.archive(company, environment)
        for row in await self.ledger.parked_in(company, archived.id):
            await self._others.clean_up(row, force=False)
        return archived

    async def prune(self, older_than: float | str, *, company_id: str | None = None) -> int:
        """Delete the company's leases that ended longer ago than this, with their journals; how many."""
        return await self._retention.prune(company_id or self.settings.company, seconds(older_than))

    async def drop_company(self, company_id: str) -> int:
        """Delete everything of a company that holds nothing any more; how many leases that were.

        Raises ``StillHeld`` where one of its leases is live, or a place of one is not ended.
        """
        dropped = await self._retention.drop_company(company_id)
        self.environments.forget(company_id)
        return dropped

    # --- beneath them

    async def _acquire(self, request: Request, listener: Listener | None) -> Lease:
        policy = Policy(request.policy) if request.policy else Policy.EPHEMERAL
        lease = Lease(
            self._life, Terms(self.store.ids.sortable(self.store.clock.now()), request, policy), Facts(), listener
        )
        ready = partial(self._ready, until=time.monotonic() + request.wait)
        tries = 0
        try:
            while tries < _TRIES:
                tries += 1
                try:
                    await self._life.settled(lease, self._life.bring_up(lease, ready))
                except (EnvironmentChanged, PlaceTaken):
                    self.environments.forget(request.company_id)
                    lease.draft = None
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
        except StepFailed as failed:
            raise self._life.reported(lease, failed) from failed.__cause__
        except asyncio.CancelledError:
            if lease.facts.state.live and lease.lost is None:  # it came up just then, and nobody gets it
                await self._life.fail(lease, Failure(ErrorCode.LEASE_CANCELLED, "its caller was cancelled", "caller"))
            raise

    async def _ready(self, lease: Lease, until: float) -> str:
        """What acquire needs first: a place to take over, where the policy reuses places, and a slot."""
        why = await self._reuse.find(lease) if lease.terms.policy.reuses else ""
        await self._capacity.take(lease, until)
        return why

    async def _asked(self, lease: Lease, request: dict[str, Any]) -> None:
        """An operator elsewhere asked this owner to end or extend a lease."""
        try:
            match request["end"]:
                case "extend":
                    await self._life.extend(lease, request["seconds"])
                case "release":
                    lease.interrupt(Failure(ErrorCode.LEASE_CANCELLED, "an operator released it", "operator"))
                    await self._life.release(lease)
                case _:
                    code = ErrorCode(request.get("code") or ErrorCode.RUN_FAILED)
                    failure = Failure(code, str(request.get("reason", "")), "operator")
                    lease.interrupt(failure)
                    await self._life.fail(lease, failure)
        except (LeaseLost, IllegalTransition, StoreError):
            return  # it has ended or moved on meanwhile: there is nothing left to do

    async def _expired(self, lease: Lease) -> None:
        """The living owner ends its own expired lease."""
        failure = Failure(ErrorCode.LEASE_EXPIRED, "the lease reached its end", "expiry")
        lease.interrupt(failure)
        try:
            await self._life.fail(lease, failure)
        except (LeaseLost, IllegalTransition, StoreError):
            return  # another ended it first

    async def _ttl(self, company_id: str, environment: str | None) -> float:
        found = await self.environments.find(company_id, environment)
        return (found.ttl if found is not None else None) or self.settings.ttl_seconds
