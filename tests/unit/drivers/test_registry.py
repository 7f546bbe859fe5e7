"""Drivers are found by name; a broken one is listed with its reason and harms nobody."""

import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from leasehold.drivers import KeepsFiles, NotInstalled, Registry
from leasehold.drivers.registry import GROUP
from leasehold.drivers.scripted import ScriptedDriver

_PLUGIN = """
from leasehold.drivers.scripted import ScriptedDriver

class Plugin(ScriptedDriver):
    name = "plugin"

ready_made = Plugin()
no_driver = object
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with entry points, installed in a folder of its own."""
    (tmp_path / "some_plugin.py").write_text(_PLUGIN)
    information = tmp_path / "some_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[{GROUP}]\n"
        "plugin = some_plugin:Plugin\n"
        "ready = some_plugin:ready_made\n"
        "not-one = some_plugin:no_driver\n"
        "broken = some_plugin_that_is_not_there:Driver\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("some_plugin", None)


def _no_plugins() -> Mapping[str, metadata.EntryPoint]:
    return {}


def test_our_own_drivers_are_there_without_being_loaded() -> None:
    registry = Registry(entry_points=_no_plugins)
    assert registry.names() == ("local", "ssh", "bubblewrap", "docker", "podman", "kubernetes", "scripted")


def test_a_driver_is_made_once_and_then_kept() -> None:
    registry = Registry()
    driver = registry.get("scripted")
    assert isinstance(driver, ScriptedDriver)
    assert registry.get("scripted") is driver
    assert Registry().get("scripted") is not driver


def test_a_given_driver_is_used_and_goes_before_ours() -> None:
    mine = ScriptedDriver()
    registry = Registry([mine], entry_points=_no_plugins)
    assert registry.get("scripted") is mine
    assert registry.names() == ("local", "ssh", "bubblewrap", "docker", "podman", "kubernetes", "scripted")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["plugin", "ready"])
def test_an_entry_point_is_found_as_a_class_or_as_an_object(name: str) -> None:
    driver = Registry().get(name)
    assert driver.name == "plugin"


@pytest.mark.usefixtures("installed")
def test_a_broken_one_is_listed_with_its_reason_and_the_others_work() -> None:
    registry = Registry()
    rows = {row.name: row for row in registry.listing()}
    assert list(rows)[:7] == ["local", "ssh", "bubblewrap", "docker", "podman", "kubernetes", "scripted"]
    assert rows["scripted"].source == "built in"
    assert rows["scripted"].problem is None
    assert rows["plugin"].source == "some_plugin:Plugin"
    assert rows["plugin"].problem is None
    assert "some_plugin_that_is_not_there" in (rows["broken"].problem or "")
    assert "it lacks name, version, Config, acquire" in (rows["not-one"].problem or "")
    assert isinstance(registry.get("scripted"), ScriptedDriver)


@pytest.mark.usefixtures("installed")
def test_a_broken_one_cannot_be_had_and_says_what_to_do() -> None:
    with pytest.raises(NotInstalled, match="driver broken cannot be loaded: ModuleNotFoundError") as raised:
        Registry().get("broken")
    assert raised.value.hint == "mend or remove its package"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotInstalled, match="driver nosuch is not installed") as raised:
        Registry(entry_points=_no_plugins).get("nosuch")
    assert "local, ssh, bubblewrap, docker, podman, kubernetes, scripted" in raised.value.hint


def test_a_given_driver_is_listed_as_given() -> None:
    class Given(ScriptedDriver):
        name = "given"

    rows = {row.name: row.source for row in Registry([Given()], entry_points=_no_plugins).listing()}
    assert rows["given"] == "given"


def test_who_asks_for_the_state_folder_is_told_it(tmp_path: Path) -> None:
    class Asks(ScriptedDriver):
        name = "asks"
        told: Path | None = None

        def keep_in(self, state_folder: Path) -> None:
            self.told = state_folder

    given = Asks()
    registry = Registry([given, ScriptedDriver()], state_folder=tmp_path, entry_points=_no_plugins)
    assert given.told == tmp_path
    assert isinstance(registry.get("local"), KeepsFiles)
    assert not isinstance(registry.get("scripted"), KeepsFiles)
