"""What each mode of a workspace does with a place."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Problem
from leasehold.drivers.local.place import Place
from leasehold.drivers.place import Handle, Kept
from leasehold.drivers.workspace import Realization, SyncReport, Workspace


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a tree's changes and of what stood outside the place's folder.

    ``stays``: the lease's branch holds what was brought back as commits, and stays.
    """

    kept: tuple[Kept, ...] = ()
    notes: tuple[str, ...] = ()
    stays: bool = False

    def also(self, more: "Ended") -> "Ended":
        """Both, of which the other came later."""
        return replace(self, kept=self.kept + more.kept, notes=self.notes + more.notes)

    def noting(self, notes: tuple[str, ...]) -> "Ended":
        return replace(self, notes=self.notes + notes)

    def lines(self) -> list[str]:
        """For a summary, where an earlier tree was ended to make room."""
        return [f"earlier changes are kept in {kept.where}" for kept in self.kept]

    @classmethod
    def once(cls, place: Place, facts: Mapping[str, Any], keep: "Callable[[], Ended]") -> "Ended":
        """``keep``, remembered in ``realized.json``: an end that was begun keeps nothing a second time.

        From here on the tree is taken apart: what is missing then is no change of the run's.
        """
        value = facts.get("ended")
        if value:
            kept = tuple(Kept(**kept) for kept in value["kept"])
            return cls(kept, tuple(value["notes"]), value.get("stays", False))
        ended = keep()
        place.write_realized({**facts, "ended": asdict(ended)})
        return ended


class Tree(Protocol):
    """One mode. All verbs block, are called under the place's fence and call ``context.check`` as they go."""

    mode: Mode

    def problems(self, workspace: Workspace) -> list[Problem]:
        """Why this workspace, a folder that can be read, cannot be used so."""
        ...

    def subjects(self, workspace: Workspace, machine: str) -> tuple[str, ...]:
        """What it would hold for one lease alone, on this machine."""
        ...

    def make(self, place: Place, workspace: Workspace, context: Context) -> Realization:
        """Realize; what an earlier call left is made anew."""
        ...

    def missing(self, place: Place) -> str | None:
        """What of a realized tree is gone, as a sentence; else none."""
        ...

    def opened_at(self, place: Place, handle: Handle) -> Path:
        """Where a person looks at a kept place."""
        ...

    def baseline(self, place: Place, context: Context) -> None:
        """Remember how the tree stands now."""
        ...

    def sync_back(self, place: Place, context: Context) -> SyncReport:
        """Bring the changes since the baseline back."""
        ...

    def end(self, place: Place, handle: Handle, context: Context) -> Ended:
        """Keep changes that were not brought back, then end what stands outside the place's folder."""
        ...
