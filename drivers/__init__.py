"""How a place is obtained and used. Knows machines, processes and files; no lease row, store or state."""

from leasehold.drivers.capabilities import Capabilities, Fencing, Mode, Transport
from leasehold.drivers.command import Command, Outcome, Output, Result, Streams
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Check, Driver, Exclusive, Health, Problem, Records, SyncsBack
from leasehold.drivers.errors import (
    Conflict,
    Damaged,
    DriverError,
    Gone,
    Refused,
    Stale,
    Stopped,
    SyncConflict,
    TimedOut,
    Unavailable,
    Unusable,
)
from leasehold.drivers.place import (
    Absent,
    Condition,
    Found,
    Handle,
    Kept,
    Observed,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.registry import Listed, NotInstalled, Registry
from leasehold.drivers.secret import Secret, SecretRef
from leasehold.drivers.target import Target
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

__all__ = [
    "Absent",
    "Capabilities",
    "Check",
    "Command",
    "Condition",
    "Conflict",
    "Context",
    "Damaged",
    "Driver",
    "DriverError",
    "Exclusive",
    "Fencing",
    "Found",
    "Gone",
    "Handle",
    "Health",
    "Kept",
    "Listed",
    "Mode",
    "NotInstalled",
    "Observed",
    "Outcome",
    "Output",
    "PlaceRequest",
    "Problem",
    "Realization",
    "Records",
    "Refused",
    "Registry",
    "ReleaseMode",
    "Released",
    "Resource",
    "Result",
    "Secret",
    "SecretRef",
    "Stale",
    "Stopped",
    "Streams",
    "SyncConflict",
    "SyncReport",
    "SyncsBack",
    "Tags",
    "Target",
    "TimedOut",
    "Transport",
    "Unavailable",
    "Unknown",
    "Unusable",
    "Workspace",
]
