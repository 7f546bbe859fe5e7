"""What the original's entry points answer. ``L`` is the lease, asynchronous or not."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from leasehold.orchestrator.environments import Environment

L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class LeaseContext:
    """The execution workspace that a lease is for, as its platform named it."""

    execution_workspace_id: str | None = None
    execution_workspace_mode: str | None = None


@dataclass(frozen=True, slots=True)
class LeaseRecord(Generic[L]):
    """One lease of a run."""

    environment: Environment
    lease: L
    lease_context: LeaseContext


@dataclass(frozen=True, slots=True)
class AcquisitionResult(Generic[L]):
    """A lease at ``leased``. ``execution_transport`` is ssh's remote spec, else none."""

    environment: Environment
    lease: L
    lease_context: LeaseContext
    execution_transport: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RealizationResult(Generic[L]):
    """A lease at ``targeted``.

    ``workspace_realization`` is the record, version 1 (empty where the driver said nothing);
    ``execution_target`` is local, or remote over ssh or a sandbox, else none; ``remote_execution`` is
    ssh's spec, else none; ``persisted_execution_workspace`` is as it was updated, else the caller's own.
    """

    lease: L
    workspace_realization: dict[str, Any]
    execution_target: dict[str, Any] | None
    remote_execution: dict[str, Any] | None
    persisted_execution_workspace: Any


@dataclass(frozen=True, slots=True)
class ReleaseFailure:
    """Why one lease did not end whole. ``lease_id`` is ``*`` where the leases could not be listed."""

    lease_id: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ReleaseResult(Generic[L]):
    """The leases of a run that ended now, and those that did not end whole."""

    released: list[LeaseRecord[L]] = field(default_factory=list[LeaseRecord[L]])
    errors: list[ReleaseFailure] = field(default_factory=list[ReleaseFailure])


@dataclass(frozen=True, slots=True)
class WorkspaceRealized:
    """What ``runtime.realize_workspace`` answers: where commands run, and ``workspace_realization``."""

    cwd: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command ended, in the original's words; ``signal`` is a name as ``SIGKILL``."""

    exit_code: int | None
    signal: str | None
    timed_out: bool
    stdout: str
    stderr: str
