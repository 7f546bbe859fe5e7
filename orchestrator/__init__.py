"""The only place that knows both states and drivers: the store, the engine, the command line."""

from leasehold.orchestrator.adapters import Adapter, Adapters
from leasehold.orchestrator.environments import Environment, EnvironmentStatus
from leasehold.orchestrator.errors import (
    EnvironmentRunError,
    IllegalTransition,
    LeaseholdError,
    LeaseLost,
    NoSuch,
    StillHeld,
    StoreError,
    StoreTooNew,
    WrongUsage,
)
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.request import OwnerLost, SyncBack
from leasehold.orchestrator.selection import SILENT, Layer, Selection, select_environment
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.step import News

__all__ = [
    "SILENT",
    "Adapter",
    "Adapters",
    "Environment",
    "EnvironmentRunError",
    "EnvironmentStatus",
    "IllegalTransition",
    "Layer",
    "Lease",
    "LeaseLost",
    "LeaseholdError",
    "News",
    "NoSuch",
    "Orchestrator",
    "OwnerLost",
    "Selection",
    "Settings",
    "StillHeld",
    "StoreError",
    "StoreTooNew",
    "SyncBack",
    "WrongUsage",
    "select_environment",
]
