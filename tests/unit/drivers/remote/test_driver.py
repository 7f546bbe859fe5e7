"""The verbs that all drivers over a link have from one place."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bench import kept_file, sh
from leasehold.drivers.capabilities import Mode
from leasehold.drivers.command import Command, Outcome, Streams
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Conflict, Gone, Unavailable
from leasehold.drivers.place import Condition, Handle, PlaceRequest, Released, ReleaseMode, Tags
from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.remote.shell_execution import ShellExecution
from leasehold.drivers.ssh import SshConfig
from leasehold.drivers.workspace import Realization, Workspace
from shell import ShellDriver

KEY = f"ledger-lease-{os.getpid()}"
TAGS = Tags("ledger", "lease", KEY, 1, 0)


class Bench:
    """A place of a driver over a link, with a tree."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "places"
        self.source = folder / "source"
        self.source.mkdir()
        (self.source / "a").write_text("a\n")
        self.driver = ShellDriver()
        self.learned: list[str] = []
        variables = {"TOKEN": f"file:{folder / 'token'}"}
        (folder / "token").write_text("s3cret\n")
        config = {"host": "here", "root": str(self.root), "variables": variables, "pass_variables": ["PASSED"]}
        self.context = Context(
            SshConfig.model_validate(config),
            time.monotonic() + 60,
            1,
            "ledger",
            "lease",
            folder / "state",
            learn=self.learned.append,
        )

    async def make(self) -> tuple[Handle, Realization]:
        workspace = Workspace(self.source, Mode.COPY)
        request = PlaceRequest("company", "lease", "run", workspace)
        handle = await self.driver.acquire(KEY, request, TAGS, self.context)
        return handle, await self.driver.realize(handle, workspace, self.context)


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def words(pid: int) -> bytes:
    """A process's argument list."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_commands_get_what_the_config_names_and_secrets_are_learned(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED", "by name")
    handle, realization = await bench.make()
    target = await bench.driver.target(handle, realization, bench.context)
    result = await target.execute(Command(('echo "$PASSED $TOKEN $LEASEHOLD_LEASE"',), shell=True, timeout=30))
    await target.close()
    assert result.stdout.text == "by name s3cret lease\n"
    assert bench.learned == ["s3cret"]
    assert await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context) == Released()


async def test_a_file_of_the_longest_name_is_written_and_nothing_stays_beside(bench: Bench) -> None:
    handle, realization = await bench.make()
    target = await bench.driver.target(handle, realization, bench.context)
    await target.write(f"box/{'n' * 255}", b"data")
    await target.close()
    [file] = (bench.root / KEY / "tree" / "box").iterdir()
    assert (file.name, file.read_bytes()) == ("n" * 255, b"data")


async def test_another_ledgers_place_stays(bench: Bench) -> None:
    handle, _ = await bench.make()
    with pytest.raises(Conflict, match="another ledger, ledger"):
        await bench.driver.release(handle, ReleaseMode.DESTROY, replace(bench.context, ledger="other"))
    assert (await bench.driver.inspect(handle, bench.context)).condition is Condition.READY


async def test_a_look_says_what_of_a_place_is_gone(bench: Bench) -> None:
    handle, _ = await bench.make()
    (bench.root / KEY / "tree").rename(bench.root / "elsewhere")
    seen = await bench.driver.inspect(handle, bench.context)
    assert (seen.condition, seen.detail) == (Condition.GONE, f"the tree {bench.root / KEY}/tree is gone from here")
    (bench.root / KEY).rename(bench.root / "gone")
    seen = await bench.driver.inspect(handle, bench.context)
    assert (seen.condition, seen.detail) == (Condition.GONE, f"{bench.root / KEY} is gone from here")


@pytest.mark.parametrize("harm", ["rm -rf .git", "rm -rf .git; git init -q", "rm .git/HEAD", "echo junk > .git/HEAD"])
async def test_a_repository_that_a_run_broke_is_kept_whole_and_the_place_ends(bench: Bench, harm: str) -> None:
    sh(bench.source, "git init -q; git add -A; git commit -qm one")
    handle, realization = await bench.make()
    await bench.driver.baseline(handle, realization, bench.context)
    sh(bench.root / KEY / "tree", f"echo work > a; {harm}")
    released = await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context)
    assert not (bench.root / KEY).exists()
    assert "work" in [kept_file(bench.source, kept, "a") for kept in released.kept]


async def test_a_removal_that_was_torn_is_finished(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sh(bench.source, "git init -q; git add -A; git commit -qm one")
    handle, _ = await bench.make()
    tree = bench.root / KEY / "tree"
    (tree / "a").write_text("work\n")

    async def torn(*_: object) -> None:
        shutil.rmtree(tree / ".git")
        raise Unavailable("cut")

    with monkeypatch.context() as patched:
        patched.setattr(RemotePlace, "remove", torn)
        with pytest.raises(Unavailable, match="cut"):
            await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context)
    [kept] = (await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context)).kept
    assert sh(bench.source, f"git show {kept.where}:a") == "work"
    assert not (bench.root / KEY).exists()


class NoTerminal(ShellDriver):
    """Whose way to a terminal fails."""

    def _connection(self, config: SshConfig, learn: Callable[[str], None] | None = None) -> Link:
        return ProcessLink("here", [], terminal=["/nonexistent/program"])


async def test_variables_for_a_terminal_that_never_came_do_not_stay(bench: Bench) -> None:
    bench.driver = NoTerminal()
    handle, realization = await bench.make()
    ours, theirs = os.openpty()
    target = await bench.driver.target(handle, realization, bench.context)
    try:
        with pytest.raises(Unavailable, match="cannot be started"):
            await target.execute(Command(("sh",), streams=Streams(theirs, theirs, theirs), terminal=True))
    finally:
        os.close(ours)
        os.close(theirs)
    await target.close()
    assert [path.name for path in (bench.root / KEY / "run").iterdir() if path.name.startswith("terminal")] == []


async def test_a_place_that_is_gone_leaves_nothing_under_way(bench: Bench) -> None:
    handle, _ = await bench.make()
    shutil.rmtree(bench.root / KEY)
    with pytest.raises(Gone):
        await bench.driver.realize(handle, Workspace(bench.source, Mode.COPY), bench.context)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (await bench.driver.inspect(handle, bench.context)).condition is Condition.GONE


async def test_folders_nested_deeper_than_a_path_is_long_end_too(bench: Bench) -> None:
    handle, realization = await bench.make()
    await bench.driver.baseline(handle, realization, bench.context)
    tree = bench.root / KEY / "tree"
    (tree / "a").write_text("work\n")
    sh(tree, "n=$(printf %99s '' | tr ' ' d); for i in {1..60}; do mkdir $n; cd $n; done")
    [kept] = (await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context)).kept
    assert kept_file(bench.source, kept, "a") == "work"
    assert not (bench.root / KEY).exists()


@pytest.mark.long
async def test_a_stopped_agent_takes_no_input_and_holds_no_command_past_its_time(bench: Bench) -> None:
    handle, realization = await bench.make()
    target = await bench.driver.target(handle, realization, bench.context)
    await target.execute(Command(("true",), timeout=30))
    [agent] = [pid for pid in processes() if b"agent.py" in words(pid) and os.fsencode(bench.root) in words(pid)]
    os.kill(agent, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        result = await target.execute(Command(("cat",), stdin=bytes(32 << 20), timeout=1))
        assert result.outcome is Outcome.TARGET_LOST
        assert time.monotonic() - begun < 30
    finally:
        os.kill(agent, signal.SIGCONT)
    await target.close()


async def test_without_python_nothing_sleeps_on_once_its_command_has_ended(bench: Bench) -> None:
    handle, realization = await bench.make()
    execution = ShellExecution(bench.driver.reached(handle, bench.context), bench.context)
    command = Command(("true",), timeout=86311.0)
    result = await execution.execute(command, cwd=realization.cwd, env={}, context=bench.context)
    assert result.exit_code == 0
    give_up = time.monotonic() + 10
    while left := [pid for pid in processes() if b"sleep\x0086311" in words(pid)]:
        assert time.monotonic() < give_up, left
        await asyncio.sleep(0)
