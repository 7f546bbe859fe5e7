"""The mode ``in_place``: the workspace itself is used, and nothing of it is ours."""

import os
from pathlib import Path

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Problem
from leasehold.drivers.errors import Unusable
from leasehold.drivers.local.place import DRIVER, Place
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import Handle
from leasehold.drivers.shown import shown
from leasehold.drivers.workspace import Realization, SyncReport, Workspace


class InPlace:
    """Commands run in the workspace; its end leaves it as it is."""

    mode = Mode.IN_PLACE

    def problems(self, workspace: Workspace) -> list[Problem]:
        if os.access(workspace.path, os.W_OK):
            return []
        message = f"the workspace {shown(workspace.path)} cannot be written: change its owner or permissions"
        return [Problem("workspace", message)]

    def subjects(self, workspace: Workspace, machine: str) -> tuple[str, ...]:
        return (f"dir:{machine}:{shown(workspace.path.resolve())}",)

    def make(self, place: Place, workspace: Workspace, context: Context) -> Realization:
        if not workspace.path.is_dir():
            raise Unusable(f"the workspace {shown(workspace.path)} is not a folder", hint="name another one")
        path = str(workspace.path.resolve())
        place.write_realized({"mode": self.mode, "made": True, "cwd": path})
        return Realization(
            self.mode,
            authoritative_root=path,
            cwd=path,
            transport="local",
            provider=DRIVER,
            summary=f"{shown(path)} is used in place",
            local={"path": path},
            sync={"strategy": "none", "prepare": "none", "sync_back": "none"},
        )

    def missing(self, place: Place) -> str | None:
        facts = place.realized()
        if facts is None or Path(facts["cwd"]).is_dir():
            return None
        return f"the workspace {shown(facts['cwd'])} is gone"

    def opened_at(self, place: Place, handle: Handle) -> Path:
        return Path((place.realized() or {}).get("cwd", handle.data["workspace"]))

    def baseline(self, place: Place, context: Context) -> None:
        return

    def sync_back(self, place: Place, context: Context) -> SyncReport:
        return SyncReport(summary="the workspace was used in place: nothing to bring back")

    def end(self, place: Place, handle: Handle, context: Context) -> Ended:
        return Ended()
