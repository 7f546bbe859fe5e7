"""The folder of a scripted provider, which many processes share."""

import fcntl
from pathlib import Path

import pytest
from leasehold.drivers import TimedOut
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.drivers.scripted.shelf import FolderShelf
from scripted_life import KEY, REQUEST, context, scripted, tags


async def test_who_froze_with_its_lock_stops_a_verb_at_its_deadline_and_not_the_event_loop(tmp_path: Path) -> None:
    driver, config = ScriptedDriver(), scripted(root=tmp_path)
    with (tmp_path / ".lock").open("a") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        with pytest.raises(TimedOut):
            await driver.acquire(KEY, REQUEST, tags(), context(config, seconds=0.05))
    await driver.acquire(KEY, REQUEST, tags(), context(config))
    assert [standing.tags for standing in Provider(FolderShelf(tmp_path)).standing()] == [tags()]


def test_names_are_those_below_their_folder(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    for name in ("places/one", "places/two/three", "fences/one", "places/.two.new"):
        shelf.put(name, b"")
    assert shelf.names("places/") == ["places/one", "places/two/three"]
    assert shelf.names("files/") == []
