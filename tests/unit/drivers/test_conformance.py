"""The conformance suite finds what it is there to find: drivers that break a rule fail it."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from leasehold.drivers import DriverError
from leasehold.drivers.conformance import DriverConformance, Scene, rule, verdicts
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.scripted import Fault


class _Broken(DriverConformance):
    driver = "scripted"
    opts_out: ClassVar = {"files": "the scripted driver moves no files of the workspace"}

    def __init__(self, *faults: Fault, **fields: Any) -> None:
        self._fields = {"script": [fault.model_dump() for fault in faults], **fields}

    def config(self, folder: Path) -> dict[str, Any]:
        return {"root": str(folder / "provider"), **self._fields}

    def left(self, folder: Path) -> set[str]:
        return {path.name for path in (folder / "provider" / "places").glob("place-*")}


@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("a_released_place_is_gone", _Broken(Fault(verb="release", what="lie", answer="gone", call=1))),
        ("a_released_place_is_gone", _Broken(Fault(verb="release", what="late", looks=9, call=1))),
        ("releasing_what_is_gone_succeeds", _Broken(Fault(verb="release", call=2, error="Gone"))),
        ("recover_finds_a_place_by_its_key_alone", _Broken(Fault(verb="recover", what="lie", answer="absent"))),
        ("killed_around_acquire", _Broken(Fault(verb="recover", what="lie", answer="absent"))),
        ("killed_around_release", _Broken(Fault(verb="owned", call=1))),
        ("what_is_made_is_listed_with_its_tags", _Broken(Fault(verb="owned", what="lie", answer="nothing"))),
        ("a_probe_says_what_it_looked_at_and_leaves_nothing", _Broken(Fault(verb="probe"))),
        ("realizing_twice_gives_the_same", _Broken(Fault(verb="realize", call=2, what="crash"))),
        ("the_exit_code_comes_back", _Broken()),
        ("a_timeout_ends_the_whole_tree", _Broken()),
    ],
)
def test_a_driver_that_breaks_a_rule_fails_it(name: str, suite: DriverConformance) -> None:
    with pytest.raises((AssertionError, DriverError, RuntimeError)):
        getattr(suite, f"test_{name}")()


class Small(Suite):
    """Three rules."""

    driver = "scripted"
    opts_out: ClassVar = {"a_third": "it does not apply"}

    @rule
    async def test_a_first(self, scene: Scene) -> None:
        """A place can be had."""
        await scene.realized()

    @rule
    async def test_a_second(self, scene: Scene) -> None:
        """What is not so fails."""
        assert scene.can.modes == (), "it has modes"

    @rule
    async def test_a_third(self, scene: Scene) -> None:
        """Not for this one."""

    @rule
    async def test_a_fourth(self, scene: Scene) -> None:
        """Not offered."""
        scene.require(False, "flying")


def test_without_pytest_each_rule_gives_a_verdict() -> None:
    found = list(verdicts(Small()))
    assert [(each.name, each.outcome) for each in found] == [
        ("a first", "passed"),
        ("a second", "failed"),
        ("a third", "skipped"),
        ("a fourth", "skipped"),
    ]
    assert {each.group for each in found} == {"small"}
    assert found[0].rule == "A place can be had."
    assert found[1].detail.startswith("AssertionError: it has modes")
    assert found[2].detail == "it does not apply"
    assert found[3].detail == "scripted does not offer flying"


def test_a_rule_that_leaves_a_place_behind_fails() -> None:
    class Leaking(_Broken):
        def left(self, folder: Path) -> set[str]:
            return super().left(folder) | {"a stray"} if (folder / "provider").exists() else set()

    with pytest.raises(AssertionError, match="a stray"):
        Leaking().test_the_same_key_gives_the_same_place()


def test_every_rule_says_in_one_sentence_what_it_is() -> None:
    rules = [getattr(DriverConformance, name) for name in dir(DriverConformance) if name.startswith("test_")]
    assert len(rules) > 50
    for each in rules:
        text = " ".join((each.__doc__ or "").split())
        assert text.endswith("."), each.__name__
        assert len(text) > 20, each.__name__
