"""Validate, probe and capabilities: questions, without side effects."""

from dataclasses import replace
from typing import cast

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.conformance.tree import seen_in
from leasehold.drivers.driver import Exclusive, SyncsBack
from pydantic import ValidationError


class Probing(Suite):
    """Questions."""

    @rule
    async def test_config_refuses_what_it_does_not_know(self, scene: Scene) -> None:
        """A misspelt setting is an error, not a silence."""
        try:
            scene.driver.Config.model_validate({**scene.plain, "no_such_setting": 1})
        except ValidationError:
            return
        raise AssertionError("Config accepts a setting that it does not know")

    @rule
    async def test_config_round_trips(self, scene: Scene) -> None:
        """A config is plain values: it is pinned on the lease as JSON and read back the same."""
        plain = scene.config.model_dump(mode="json")
        assert scene.driver.Config.model_validate(plain) == scene.config

    @rule
    async def test_capabilities_are_data(self, scene: Scene) -> None:
        """Capabilities follow from the config alone, and what they promise is implemented."""
        assert scene.driver.capabilities(scene.config) == scene.can
        assert scene.can.modes
        assert set(scene.can.exclusive_modes) <= set(scene.can.modes)
        assert not scene.can.exclusive_modes or isinstance(scene.driver, Exclusive)
        assert not scene.can.syncs_back or isinstance(scene.driver, SyncsBack)
        assert scene.can.visibility_delay >= 0

    @rule
    async def test_a_good_request_has_no_problem(self, scene: Scene) -> None:
        """A request that can be served is told so, and nothing is made or changed by asking."""
        workspace = scene.workspace()
        before = seen_in(workspace.path), seen_in(scene.folder / "state")
        assert scene.driver.validate(scene.request(workspace), scene.config) == []
        assert (seen_in(workspace.path), seen_in(scene.folder / "state")) == before
        assert await scene.owned() == []

    @rule
    async def test_a_mode_that_is_not_offered_is_a_problem(self, scene: Scene) -> None:
        """A workspace mode outside the capabilities is refused before anything is written."""
        others = [mode for mode in Mode if mode not in scene.can.modes]
        scene.require(bool(others), "fewer than all modes")
        workspace = replace(scene.workspace(), mode=others[0])
        assert scene.driver.validate(scene.request(workspace), scene.config)

    @rule
    async def test_a_missing_workspace_is_a_problem(self, scene: Scene) -> None:
        """A workspace that is not there is seen before a place is paid for."""
        workspace = replace(scene.workspace(), path=scene.folder / "nowhere")
        problems = scene.driver.validate(scene.request(workspace), scene.config)
        assert [problem.about for problem in problems] == ["workspace"]
        assert "nowhere" in problems[0].message

    @rule
    async def test_a_probe_says_what_it_looked_at_and_leaves_nothing(self, scene: Scene) -> None:
        """A healthy place is told by checks that have names, and looking leaves no trace."""
        before = seen_in(scene.folder / "state")
        health = await scene.driver.probe(scene.config)
        assert health.ok, health.detail
        assert all(check.name for check in health.checks)
        assert health.checks
        assert seen_in(scene.folder / "state") == before
        assert not scene.left()

    @rule
    async def test_a_sick_place_is_an_answer(self, scene: Scene) -> None:
        """A place that does not work is told by a check that says how to mend it, never by an exception."""
        sick = self.sick_config(scene.folder)
        scene.require(sick is not None, "a config that is sick")
        health = await scene.driver.probe(scene.driver.Config.model_validate(sick))
        bad = [check for check in health.checks if not check.ok]
        assert bad
        assert not health.ok
        assert all(check.detail and check.mend for check in bad)

    @rule
    async def test_an_exclusive_subject_is_the_same_for_the_same_tree(self, scene: Scene) -> None:
        """The same tree is the same subject and another tree another one, so two runs meet there."""
        scene.require(scene.mode in scene.can.exclusive_modes, f"an exclusive {scene.mode}")
        driver = cast(Exclusive, scene.driver)
        first, other = scene.workspace("first"), scene.workspace("other")
        subjects = driver.subjects(scene.request(first), scene.config)
        assert subjects
        assert driver.subjects(scene.request(first), scene.config) == subjects
        assert not set(driver.subjects(scene.request(other), scene.config)) & set(subjects)

    @rule
    async def test_a_mode_that_is_not_exclusive_holds_nothing(self, scene: Scene) -> None:
        """Places that do not disturb each other never exclude each other."""
        exclusive = scene.mode in scene.can.exclusive_modes
        scene.require(isinstance(scene.driver, Exclusive) and not exclusive, "both kinds of modes")
        driver = cast(Exclusive, scene.driver)
        assert driver.subjects(scene.request(scene.workspace()), scene.config) == ()
