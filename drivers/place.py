"""A place: what is asked for, how it is tagged, how it is found again, and what was seen of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from leasehold.drivers.errors import Conflict
from leasehold.drivers.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """What a lease asks of a driver. Ids are carried through, never interpreted.

    ``late`` says that the tree is named only when it is realized: the workspace has its mode (never
    ``git_worktree``) and an empty path. ``validate`` and ``subjects`` are asked again then.
    """

    company_id: str
    lease_id: str
    run_id: str
    workspace: Workspace
    share: bool = False
    late: bool = False
    adapter_type: str | None = None
    agent_id: str | None = None
    issue_id: str | None = None


KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What a resource key is made of: good as a folder's name."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What every place bears, so that a sweep finds it and knows whose it is.

    ``expires_at`` is microseconds since 1970 UTC, in the store's time.
    """

    ledger: str
    lease_id: str
    key: str
    epoch: int
    expires_at: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tags":
        return cls(**{name: value[name] for name in cls.__slots__})  # a newer version may write more

    def demand(self, what: str, ledger: str, listed: "Tags | None" = None) -> None:
        """Raise ``Conflict`` where ``what`` bears these and is another ledger's, or no longer what was listed."""
        if self.ledger != ledger:
            raise Conflict(f"{what} belongs to another ledger, {self.ledger}")
        if listed is not None and self != listed:
            message = f"{what} bears other tags than when it was listed: it is left alone"
            raise Conflict(message, hint="sweep again")


@dataclass(frozen=True, slots=True)
class Handle:
    """What a driver needs to find a place again: plain, versioned JSON, no secrets.

    ``place`` is the provider's own id of it, unique among places that stand.
    """

    driver: str
    place: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"driver": self.driver, "place": self.place, "data": dict(self.data), "version": self.version}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Handle":
        return cls(value["driver"], value["place"], value["data"], value["version"])


@dataclass(frozen=True, slots=True)
class Found:
    """A place stands under the key."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class Absent:
    """No place stands under the key, and none will: the provider refuses the key from now on, or two
    looks one ``visibility_delay`` apart, both after the last call's deadline, saw nothing."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet."""

    why: str


class Condition(StrEnum):
    """What ``inspect`` sees."""

    READY = "ready"
    STOPPED = "stopped"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at a place."""

    condition: Condition
    detail: str = ""


class ReleaseMode(StrEnum):
    """What becomes of the place."""

    DESTROY = "destroy"
    KEEP = "keep"
    PARK = "park"


@dataclass(frozen=True, slots=True)
class Kept:
    """Changes that were not brought back, kept before the place was destroyed.

    ``where`` is a git ref or a file; ``until`` seconds since 1970 UTC; ``how`` the command that shows them.
    """

    where: str
    how: str
    until: float


@dataclass(frozen=True, slots=True)
class Released:
    """How a release ended. ``was_there`` is false where the place was gone already.

    ``open_with`` is the command that opens a kept place; ``notes`` are lines for the journal.
    """

    was_there: bool = True
    kept: tuple[Kept, ...] = ()
    open_with: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing at a provider that bears our tag."""

    driver: str
    place: str
    tags: Tags
    handle: Handle
    detail: str = ""
