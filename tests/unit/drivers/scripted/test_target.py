"""Commands of a scripted place answer on script, and its files are kept with it."""

import asyncio
import os
from pathlib import Path

import pytest
from leasehold.drivers import (
    Command,
    Gone,
    Outcome,
    ReleaseMode,
    Streams,
)
from leasehold.drivers.scripted import (
    Fault,
    Reply,
    ScriptedConfig,
    ScriptedDriver,
)
from scripted_life import KEY, REQUEST, WORKSPACE, context, realized, scripted, tags, target


async def test_commands_get_the_first_reply_that_fits() -> None:
    config = ScriptedConfig(
        results=(
            Reply(match="pip install", exit_code=1, stderr="no network\n"),
            Reply(match="kill", signal=9),
            Reply(match="lost", outcome=Outcome.TARGET_LOST),
        )
    )
    here = await target(ScriptedDriver(), config)
    failed = await here.execute(Command(("bash", "-lc", "pip install -e .")))
    assert (failed.exit_code, failed.stderr.text) == (1, "no network\n")
    killed = await here.execute(Command(("kill",)))
    assert (killed.exit_code, killed.signal) == (None, 9)
    lost = await here.execute(Command(("lost",)))
    assert (lost.exit_code, lost.survivors, lost.outcome) == (None, None, Outcome.TARGET_LOST)


async def test_a_flood_is_cut_at_the_limit_and_counted() -> None:
    heard: list[tuple[str, int]] = []
    here = await target(ScriptedDriver(), ScriptedConfig(results=(Reply(stdout="ab", flood=1000),)))
    command = Command(("yes",), limit=10, on_output=lambda stream, data: heard.append((stream, len(data))))
    result = await here.execute(command)
    assert (len(result.stdout.data), result.dropped) == (10, 992)
    assert heard == [("stdout", 1002)]


async def test_streams_get_the_output_instead() -> None:
    here = await target(ScriptedDriver(), ScriptedConfig(results=(Reply(stdout="hello"),)))
    reader, writer = os.pipe()
    try:
        result = await here.execute(Command(("echo",), streams=Streams(0, writer, writer)))
        assert os.read(reader, 100) == b"hello"
        assert result.stdout.data == b""
    finally:
        os.close(reader)
        os.close(writer)


async def test_a_hanging_command_ends_by_its_timeout_a_stop_or_a_close() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(results=(Reply(hang=True),))
    handle, realization = await realized(driver, config)
    here = context(config, seconds=60)
    place = await driver.target(handle, realization, here)
    timed_out = await place.execute(Command(("sleep",), timeout=0.05))
    assert (timed_out.outcome, timed_out.exit_code) == (Outcome.TIMED_OUT, None)
    begun = asyncio.Event()
    driver.at("execute", "after", lambda _: begun.set())
    running = asyncio.create_task(place.execute(Command(("sleep",))))
    await begun.wait()
    here.stop.set()
    assert (await running).outcome is Outcome.CANCELLED
    other = await driver.target(handle, realization, context(config, seconds=60))
    running = asyncio.create_task(other.execute(Command(("sleep",))))
    await other.detach()
    await other.close()
    assert (await running).outcome is Outcome.CANCELLED


async def test_a_place_can_fail_while_a_command_runs() -> None:
    here = await target(ScriptedDriver(), scripted(Fault(verb="execute", error="Gone", message="away")))
    with pytest.raises(Gone, match="away"):
        await here.execute(Command(("true",)))


async def test_an_exit_code_is_recorded_at_the_place_until_it_is_realized_again() -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(results=(Reply(match="make", exit_code=3),))
    handle, realization = await realized(driver, config)
    here = await driver.target(handle, realization, context(config))
    await here.execute(Command(("make",), record="provision"))
    assert await driver.recorded(handle, "provision", context(config)) == 3
    assert await driver.recorded(handle, "other", context(config)) is None
    await driver.realize(handle, WORKSPACE, context(config))
    assert await driver.recorded(handle, "provision", context(config)) is None


@pytest.mark.parametrize("on_disk", [False, True])
async def test_files_are_kept_with_the_place(on_disk: bool, tmp_path: Path) -> None:
    driver, config = ScriptedDriver(), ScriptedConfig(root=tmp_path / "root" if on_disk else None)
    here = await target(driver, config)
    await here.write("a/b.txt", b"hello")
    assert await here.read("./a/b.txt", limit=2) == b"he"
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "x").write_bytes(b"\xff\x00")
    await here.put(tmp_path / "tree", "sent")
    await here.get("sent", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "x").read_bytes() == b"\xff\x00"
    await here.get("a/b.txt", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b"hello"
    await here.put(tmp_path / "b.txt", "../../../outside")
    assert await here.read("/outside") == b"hello"
    with pytest.raises(Gone, match="no such file"):
        await here.read("nothing")
    handle = await driver.acquire(KEY, REQUEST, tags(), context(config))
    await driver.release(handle, ReleaseMode.DESTROY, context(config))
    with pytest.raises(Gone):
        await here.read("a/b.txt")
    assert driver.at_provider(config).shelf.names("files/") == []


async def test_the_target_says_where_it_is() -> None:
    remote = (await target(ScriptedDriver(), ScriptedConfig())).describe()
    assert (remote["kind"], remote["transport"]) == ("remote", "sandbox")
