"""The only place that knows both states and drivers: the store, the engine, the command line.

Names are imported when they are first used, so that ``leasehold --help`` pays for none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leasehold.orchestrator.adapters import Adapter, Adapters
    from leasehold.orchestrator.duties import Deed
    from leasehold.orchestrator.environments import Environment, EnvironmentStatus
    from leasehold.orchestrator.errors import (
        EnvironmentRunError,
        IllegalTransition,
        LeaseholdError,
        LeaseLost,
        NoSuch,
        NotStuck,
        StillHeld,
        StoreAbsent,
        StoreBehind,
        StoreError,
        StoreTooNew,
        WrongUsage,
    )
    from leasehold.orchestrator.execution_workspaces import (
        ExecutionWorkspace,
        ExecutionWorkspaceConfig,
        RealizedWorkspace,
        SourceKind,
        Strategy,
        WorkspaceMode,
        Workspaces,
    )
    from leasehold.orchestrator.lease import Lease
    from leasehold.orchestrator.orchestrator import Orchestrator
    from leasehold.orchestrator.replay import Replay
    from leasehold.orchestrator.request import OwnerLost, SweepBy, SyncBack
    from leasehold.orchestrator.restoration import Restoration
    from leasehold.orchestrator.results import (
        AcquisitionResult,
        Executed,
        LeaseContext,
        LeaseRecord,
        RealizationResult,
        ReleaseFailure,
        ReleaseResult,
        WorkspaceRealized,
    )
    from leasehold.orchestrator.run_ending import RunEnding
    from leasehold.orchestrator.runtime import Runtime
    from leasehold.orchestrator.selection import SILENT, Layer, Selection, select_environment
    from leasehold.orchestrator.settings import Settings
    from leasehold.orchestrator.step import News
    from leasehold.orchestrator.sweep import Decision, Verdict
    from leasehold.orchestrator.worker import Worker

__all__ = [
    "SILENT",
    "AcquisitionResult",
    "Adapter",
    "Adapters",
    "Decision",
    "Deed",
    "Environment",
    "EnvironmentRunError",
    "EnvironmentStatus",
    "Executed",
    "ExecutionWorkspace",
    "ExecutionWorkspaceConfig",
    "IllegalTransition",
    "Layer",
    "Lease",
    "LeaseContext",
    "LeaseLost",
    "LeaseRecord",
    "LeaseholdError",
    "News",
    "NoSuch",
    "NotStuck",
    "Orchestrator",
    "OwnerLost",
    "RealizationResult",
    "RealizedWorkspace",
    "ReleaseFailure",
    "ReleaseResult",
    "Replay",
    "Restoration",
    "RunEnding",
    "Runtime",
    "Selection",
    "Settings",
    "SourceKind",
    "StillHeld",
    "StoreAbsent",
    "StoreBehind",
    "StoreError",
    "StoreTooNew",
    "Strategy",
    "SweepBy",
    "SyncBack",
    "Verdict",
    "Worker",
    "WorkspaceMode",
    "WorkspaceRealized",
    "Workspaces",
    "WrongUsage",
    "select_environment",
]

_HOMES = {
    "adapters": ("Adapter", "Adapters"),
    "duties": ("Deed",),
    "environments": ("Environment", "EnvironmentStatus"),
    "errors": (
        "EnvironmentRunError",
        "IllegalTransition",
        "LeaseLost",
        "LeaseholdError",
        "NoSuch",
        "NotStuck",
        "StillHeld",
        "StoreAbsent",
        "StoreBehind",
        "StoreError",
        "StoreTooNew",
        "WrongUsage",
    ),
    "execution_workspaces": (
        "ExecutionWorkspace",
        "ExecutionWorkspaceConfig",
        "RealizedWorkspace",
        "SourceKind",
        "Strategy",
        "WorkspaceMode",
        "Workspaces",
    ),
    "lease": ("Lease",),
    "orchestrator": ("Orchestrator",),
    "replay": ("Replay",),
    "request": ("OwnerLost", "SweepBy", "SyncBack"),
    "restoration": ("Restoration",),
    "results": (
        "AcquisitionResult",
        "Executed",
        "LeaseContext",
        "LeaseRecord",
        "RealizationResult",
        "ReleaseFailure",
        "ReleaseResult",
        "WorkspaceRealized",
    ),
    "run_ending": ("RunEnding",),
    "runtime": ("Runtime",),
    "selection": ("SILENT", "Layer", "Selection", "select_environment"),
    "settings": ("Settings",),
    "step": ("News",),
    "sweep": ("Decision", "Verdict"),
    "worker": ("Worker",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
