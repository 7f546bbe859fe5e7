"""The protocol of a driver, and the small ones of what it may offer besides.

Rules that every driver keeps (the conformance suite checks them):

1. The same key gives the same place, however often ``acquire`` is called with it.
2. ``release`` and ``destroy`` of what is gone already succeed.
3. A sick place is an answer of ``probe``, not an exception.
4. Every verb ends by its deadline, and early when ``context.stop`` is set.
5. Nothing is deleted that ``acquire`` or ``realize`` did not make.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from leasehold.drivers.capabilities import Capabilities
from leasehold.drivers.context import Context
from leasehold.drivers.place import (
    Absent,
    Found,
    Handle,
    Observed,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.target import Target
from leasehold.drivers.workspace import Realization, SyncReport, Workspace
from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request cannot be served. ``about`` is ``config``, ``workspace`` or ``request``."""

    about: str
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a probe looked at. ``mend`` says what to do where it is not ``ok``.

    ``optional``: nobody needs it here, so that nothing is sick for want of it.
    """

    name: str
    ok: bool
    detail: str = ""
    mend: str = ""
    duration: float = 0.0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe found; healthy when every check is that somebody needs."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok or check.optional for check in self.checks)

    @property
    def detail(self) -> str:
        return "; ".join(f"{check.name}: {check.detail}" for check in self.checks if not (check.ok or check.optional))


class Driver(Protocol):
    """Obtains, uses and ends places of one kind."""

    name: str
    version: str

    @property
    def Config(self) -> type[BaseModel]:
        """Its config, with ``extra="forbid"``; a class attribute will do."""
        ...

    def capabilities(self, config: Any) -> Capabilities:
        """What it can do with this config."""
        ...

    def validate(self, request: PlaceRequest, config: Any) -> list[Problem]:
        """Why this request cannot be served, without side effects. May block."""
        ...

    async def probe(self, config: Any) -> Health:
        """How well the place would work now; never raises for a sick one, and leaves nothing."""
        ...

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        """The place of this key, made now or found."""
        ...

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        """Whether a place stands under this key; under a newer epoch it shuts older ones out."""
        ...

    async def inspect(self, handle: Handle, context: Context) -> Observed:
        """One look at the place."""
        ...

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        """Put the workspace there. May be run again: what an earlier call left is made anew."""
        ...

    async def target(self, handle: Handle, realization: Realization, context: Context) -> Target:
        """Something to execute in. No effect that outlives the process."""
        ...

    async def release(self, handle: Handle, mode: ReleaseMode, context: Context) -> Released:
        """End what runs there; then destroy, keep or park the place. Gone already is success."""
        ...

    def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        """All that bears our tag, of one ledger or of any."""
        ...

    async def destroy(self, resource: Resource, context: Context) -> None:
        """End one resource that ``owned`` listed; the tags are checked again first."""
        ...


@runtime_checkable
class Exclusive(Protocol):
    """A driver some of whose places are for one lease alone."""

    def subjects(self, request: PlaceRequest, config: Any) -> tuple[str, ...]:
        """What the request would hold for itself: the same string is the same thing."""
        ...


@runtime_checkable
class SyncsBack(Protocol):
    """A driver that can bring changes back into the workspace."""

    async def baseline(self, handle: Handle, realization: Realization, context: Context) -> None:
        """Remember how the tree stands after provisioning: later differences are the run's.

        Where nothing was executed since ``realize``, that is as it was realized.
        """
        ...

    async def sync_back(self, handle: Handle, realization: Realization, context: Context) -> SyncReport:
        """Bring the run's changes back, three-way. Raises ``SyncConflict``; may be run again."""
        ...


@runtime_checkable
class SpecifiesRemote(Protocol):
    """A driver over whose transport adapters connect by themselves."""

    async def remote_spec(self, config: Any, lease_metadata: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an adapter connects by, known before anything is realized; no side effects, no secrets.

        Over ssh: ``host``, ``port``, ``username``, ``remote_workspace_path``, ``private_key`` (a secret
        reference), ``known_hosts``, ``strict_host_key_checking``, ``remote_cwd``. None where there is none.
        """
        ...


@runtime_checkable
class KnowsMachine(Protocol):
    """A driver that needs settings, and can tell without them what this machine lacks for it."""

    async def machine(self) -> Health:
        """As ``probe``, as far as it holds whatever the settings are."""
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A driver that asks for the state folder also where no context names it: in ``probe``, say."""

    def keep_in(self, state_folder: Path) -> None:
        """Called once, before the driver is used."""
        ...


def specifies_remote(driver: Driver) -> TypeGuard[SpecifiesRemote]:
    """Whether a driver is one that ``SpecifiesRemote``."""
    return hasattr(driver, "remote_spec")


def holds_subjects(driver: Driver) -> TypeGuard[Exclusive]:
    """Whether a driver is ``Exclusive``."""
    return hasattr(driver, "subjects")


def syncs_back(driver: Driver) -> TypeGuard[SyncsBack]:
    """Whether a driver is one that ``SyncsBack``."""
    return hasattr(driver, "sync_back")


def keeps_records(driver: Driver) -> "TypeGuard[Records]":
    """Whether a driver is one that ``Records``."""
    return hasattr(driver, "recorded")


@runtime_checkable
class Records(Protocol):
    """A driver whose places keep the exit status of commands that were given a ``record`` name."""

    async def recorded(self, handle: Handle, record: str, context: Context) -> int | None:
        """The exit status of that command, or ``None`` where it never ended."""
        ...
