"""The scripted driver passes the suite, as far as it has places that execute."""

from pathlib import Path
from typing import Any, ClassVar

from leasehold.drivers import Fencing
from leasehold.drivers.conformance import DriverConformance

_EXECUTES_NOTHING = "the scripted driver executes nothing: its commands answer on script"


class _Scripted(DriverConformance):
    driver = "scripted"
    opts_out: ClassVar = {
        "execution": _EXECUTES_NOTHING,
        "ending": _EXECUTES_NOTHING,
        "files": _EXECUTES_NOTHING,
        "a_missing_workspace_is_a_problem": "the scripted driver never looks at the workspace",
    }

    def config(self, folder: Path) -> dict[str, Any]:
        return {"root": str(folder / "provider")}

    def sick_config(self, folder: Path) -> dict[str, Any]:
        return {"script": [{"verb": "probe", "what": "lie", "answer": "sick"}]}

    def left(self, folder: Path) -> set[str]:
        return {path.name for path in (folder / "provider" / "places").glob("place-*")}


class TestFencedAndKeyed(_Scripted):
    """A provider that refuses a second place under a key, and older epochs."""


class TestNeitherFencedNorKeyed(_Scripted):
    """A provider that lists late and refuses nothing: absence is believed after a delay."""

    def config(self, folder: Path) -> dict[str, Any]:
        return {
            **super().config(folder),
            "keyed": False,
            "fencing": Fencing.ADVISORY.value,
            "visibility_delay": 0.1,
        }


class TestExclusive(_Scripted):
    """A provider whose places stand where the workspace is."""

    def config(self, folder: Path) -> dict[str, Any]:
        return {**super().config(folder), "modes": ["in_place"], "keeps": False, "parks": False}


class TestWithoutTags(_Scripted):
    """A provider that cannot tag: it is never swept, and its keys find everything."""

    def config(self, folder: Path) -> dict[str, Any]:
        return {**super().config(folder), "tagged": False}
