"""What a driver offers, as data: requests are checked against it, and the docs are made from it."""

from dataclasses import dataclass
from enum import StrEnum


class Fencing(StrEnum):
    """Whether the place itself refuses a verb of an older epoch."""

    ENFORCED = "enforced"
    ADVISORY = "advisory"


class Limiting(StrEnum):
    """Whether the limits on memory, processes and processors that a config names hold."""

    NONE = "none"
    ENFORCED = "enforced"
    ADVISORY = "advisory"


class Mode(StrEnum):
    """How a workspace's tree is used."""

    IN_PLACE = "in_place"
    COPY = "copy"
    GIT_WORKTREE = "git_worktree"


class Transport(StrEnum):
    """How a target is reached; adapters declare those that they work over."""

    LOCAL = "local"
    SSH = "ssh"
    SANDBOX = "sandbox"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one driver can do with one config.

    Attributes:
        transport: how its targets are reached.
        modes: the workspace modes that it realizes; the first is its default.
        exclusive_modes: those of them that hold something for one lease alone.
        fencing: whether an older epoch is refused at the place.
        keyed: the provider refuses a second place under the same key.
        tagged: places bear our tags, so a sweep can find them.
        machine_bound: places are on the machine of the process that makes them, and reached from there alone.
        visibility_delay: seconds after which a place that was made is surely listed.
        keeps: a place can be kept for a person (``release(KEEP)``).
        parks: a place can be kept for the next run (``release(PARK)``).
        syncs_back: changes can be brought back into the workspace.
        provisions_in_place: whether a provision command is run where the mode is ``in_place``.
        limits: whether the limits that the config names hold at the place; none: it names none, or cannot.
        blocking_validate: ``validate`` may wait for the disk or a process, so it leaves the event loop.
        summary: one line for a person.
    """

    transport: Transport
    modes: tuple[Mode, ...]
    exclusive_modes: tuple[Mode, ...] = ()
    fencing: Fencing = Fencing.ADVISORY
    keyed: bool = False
    tagged: bool = False
    machine_bound: bool = False
    visibility_delay: float = 0.0
    keeps: bool = False
    parks: bool = False
    syncs_back: bool = False
    provisions_in_place: bool = True
    limits: Limiting = Limiting.NONE
    blocking_validate: bool = True
    summary: str = ""
