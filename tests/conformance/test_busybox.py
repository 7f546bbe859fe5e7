"""What is the same for all remote places passes the suite where there is nothing but busybox."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.conformance.ending import Ending
from leasehold.drivers.conformance.execution import Execution
from leasehold.drivers.conformance.faults import Faults
from leasehold.drivers.conformance.files import Files
from leasehold.drivers.conformance.lifecycle import Lifecycle
from leasehold.drivers.conformance.probing import Probing
from leasehold.drivers.conformance.suite import Suite


@pytest.fixture(autouse=True)
def parts(require: Callable[[str], str]) -> None:
    require("bwrap")
    require("busybox")


class _Busybox(Suite):
    driver = "busybox:BusyboxDriver"

    def config(self, folder: Path) -> dict[str, Any]:
        return {"host": str(folder), "root": str(folder / "places")}

    def sick_config(self, folder: Path) -> dict[str, Any]:
        (folder / "no-folder").write_bytes(b"")
        return {"host": str(folder), "root": str(folder / "no-folder" / "places")}

    def left(self, folder: Path) -> set[str]:
        found = [path for path in (folder / "places").glob("*") if path.name != ".fences"]
        found += [path for path in (folder / "state" / "mirrors").glob("*") if path.name != ".fences"]
        return {path.relative_to(folder).as_posix() for path in found}


class TestBusybox(_Busybox, Execution, Ending, Files):
    """No Python, no git, no bash, no flock."""


@pytest.mark.long
class TestAllElse(_Busybox, Probing, Lifecycle, Faults):
    """The rest of the rules."""
