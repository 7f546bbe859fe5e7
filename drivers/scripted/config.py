"""The script: what goes wrong, at which call, and what commands answer."""

from pathlib import Path
from typing import Literal, TypeAlias

from leasehold.drivers import errors
from leasehold.drivers.capabilities import Fencing, Mode, Transport
from leasehold.drivers.command import Outcome
from leasehold.drivers.errors import DriverError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Verb: TypeAlias = Literal[
    "probe",
    "acquire",
    "recover",
    "inspect",
    "realize",
    "target",
    "execute",
    "release",
    "destroy",
    "owned",
    "baseline",
    "sync_back",
    "recorded",
    "remote_spec",
]
When: TypeAlias = Literal["before", "after"]
Lie: TypeAlias = Literal["absent", "unknown", "gone", "sick", "nothing"]
LIES: dict[Verb, tuple[Lie, ...]] = {
    "probe": ("sick",),
    "recover": ("absent", "unknown"),
    "inspect": ("gone", "unknown"),
    "release": ("gone",),
    "owned": ("nothing",),
}
LATE: tuple[Verb, ...] = ("acquire", "release", "destroy")


def error_class(name: str) -> type[DriverError]:
    """The ``DriverError`` of that name. Raises ``ValueError``."""
    found = getattr(errors, name, None)
    if not (isinstance(found, type) and issubclass(found, DriverError)):
        raise ValueError(f"{name} is no DriverError")
    return found


class Fault(BaseModel):
    """One thing that goes wrong.

    Attributes:
        verb: where.
        call: at which call of the verb, counted by the provider from 1; none: at every one.
        when: ``before`` the verb takes effect, or ``after``.
        what: ``raise`` an ``error``; ``hang`` until stopped or past the deadline; be ``late`` (the effect
            shows after ``looks`` looks; with an ``error``, the call raises it); ``lie`` (``answer`` in the
            place of the effect); ``crash`` (an exception that is no ``DriverError``); answer ``none``.
        error: the name of a ``DriverError``; for ``raise`` it is ``Unavailable`` where none is given.
        message: what the error says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Verb
    what: Literal["raise", "hang", "late", "lie", "crash", "none"] = "raise"
    when: When = "before"
    call: int | None = Field(default=None, ge=1)
    error: str | None = None
    message: str = "scripted"
    looks: int = Field(default=1, ge=1)
    answer: Lie | None = None

    @field_validator("error")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None:
            error_class(name)
        return name

    @model_validator(mode="after")
    def _fits(self) -> "Fault":
        if self.what == "late" and self.verb not in LATE:
            raise ValueError(f"{self.verb} cannot be late: only {', '.join(LATE)} can")
        if self.what == "lie" and self.answer not in LIES.get(self.verb, ()):
            raise ValueError(f"{self.verb} cannot lie with {self.answer}: {LIES.get(self.verb, ())}")
        return self

    def strikes(self, verb: Verb, call: int) -> bool:
        """Whether it is meant for this call."""
        return self.verb == verb and self.call in (None, call)


class Reply(BaseModel):
    """What a command answers: the first reply whose ``match`` stands in its joined argv is taken.

    Attributes:
        flood: bytes that are written to stdout after ``stdout``.
        hang: the command runs until it is stopped, times out or its caller is cancelled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: str = ""
    exit_code: int = 0
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    flood: int = 0
    hang: bool = False
    outcome: Outcome = Outcome.EXITED


class ScriptedConfig(BaseModel):
    """The config of a scripted environment. With no script, everything works.

    Attributes:
        root: a folder that holds the places, so that other processes see them; none: in memory.
        script: what goes wrong.
        results: what commands answer; without one that fits, a command exits with 0.
        visibility_delay: seconds before an absence is believed where the place is not both fenced and keyed.

        probe: look at the place before each lease.

    The rest is what ``capabilities`` then says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path | None = None
    script: tuple[Fault, ...] = ()
    results: tuple[Reply, ...] = ()
    transport: Transport = Transport.SANDBOX
    modes: tuple[Mode, ...] = (Mode.COPY, Mode.GIT_WORKTREE, Mode.IN_PLACE)
    exclusive_modes: tuple[Mode, ...] = (Mode.IN_PLACE,)
    fencing: Fencing = Fencing.ENFORCED
    keyed: bool = True
    tagged: bool = True
    machine_bound: bool = False
    visibility_delay: float = 0.0
    probe: bool = False
    keeps: bool = True
    parks: bool = True
    syncs_back: bool = False
    provisions_in_place: bool = True
