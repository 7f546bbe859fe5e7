"""What befalls a container engine under a lease: no memory, no disk, a restart, a container that is past starting.

Each ends in its code, one clear line and its cleanup, and leaves nothing.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import CommandLine
from docker import Docker
from engine import Engine
from podman import Podman
from stores import on_sqlite

pytestmark = [pytest.mark.timeout(240), pytest.mark.long, on_sqlite]

Box = Callable[..., None]
PROGRAM = "import time; x = bytearray({} << 20); time.sleep({})"


def _hog(megabytes: int, seconds: int) -> str:
    return f"python3 -c '{PROGRAM.format(megabytes, seconds)}'"


def _settled(cli: CommandLine, engine: Engine) -> None:
    assert engine.containers() == set()
    assert cli("ls", "--stuck", "--json", code=0).json == []
    cli("verify", code=0)


def _shown(repository: Path, lease: str) -> str:
    shown = ["git", "show", f"refs/leasehold/{lease}:a.txt"]
    return subprocess.run(shown, cwd=repository, capture_output=True, text=True, check=True, timeout=30).stdout


def _of_archive(path: Path) -> str:
    with tarfile.open(path) as tar:
        there = tar.extractfile("changed/a.txt")
        assert there is not None
        return there.read().decode()


def test_a_command_that_uses_up_the_memory_is_ended_and_not_what_watches_over_it(
    cli: CommandLine, repository: Path, engine: Engine, box: Box
) -> None:
    box("box", memory="64m")
    ran = cli("run", "box", "--", "sh", "-c", f"echo there > a.txt; exec {_hog(200, 9)}", code=137)
    assert "the command was ended by signal 9" in ran.stderr
    assert _shown(repository, cli.lease()["id"]) == "there\n"
    # of many that are each no larger than the agent, some are ended
    crowd = f"for i in 1 2 3 4 5 6; do {_hog(12, 2)} & done; wait; echo more >> a.txt; echo up"
    assert cli("run", "box", "--", "sh", "-c", crowd, code=0).stdout == "up\n"
    assert (repository / "a.txt").read_text() == "a\nmore\n"
    _settled(cli, engine)


@pytest.mark.parametrize("tree", ["there", "gone"])
def test_what_a_container_that_does_not_start_again_holds_is_kept(
    cli: CommandLine, repository: Path, engine: Engine, box: Box, tmp_path: Path, tree: str
) -> None:
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    if engine.program == "docker":
        engine.ask("network", "create", "doomed")
        box("box", network="doomed")
    else:
        box("box", writable=f'["{doomed}"]')
    lease = cli("acquire", "box", code=0).stdout.strip()
    cli("exec", lease, "--", "sh", "-c", "echo there > a.txt", code=0)
    [name] = engine.names()
    if tree == "gone":
        engine.ask("exec", name, "sh", "-c", "rm -rf /leasehold/*/tree")
    engine.ask("kill", name)
    doomed.rmdir()
    if engine.program == "docker":
        engine.ask("network", "rm", "doomed")
    assert engine.ask("start", name, check=False).returncode != 0
    cli("fail", lease, "--reason", "test", code=0)
    kept = [
        kept
        for row in cli("show", lease, "--journal", "--json", code=0).json["journal"]
        for kept in row["details"].get("kept", ())
    ]
    if tree == "there":
        assert _of_archive(Path(kept.pop()["where"])) == "there\n"
    assert kept == []
    _settled(cli, engine)


def test_what_a_container_that_was_stopped_holds_comes_back(
    cli: CommandLine, repository: Path, engine: Engine, box: Box
) -> None:
    box("box")
    lease = cli("acquire", "box", code=0).stdout.strip()
    cli("exec", lease, "--", "sh", "-c", "echo there > a.txt", code=0)
    engine.ask("stop", "-t", "1", *engine.names())
    cli("release", lease, code=0)
    assert (repository / "a.txt").read_text() == "there\n"
    _settled(cli, engine)


class TestRestarted:
    """An engine that goes down and comes back; podman has none that could."""

    @pytest.fixture
    def engine(self, docker_engine: Docker) -> Iterator[Docker]:
        with tempfile.TemporaryDirectory(prefix="lh-own-", ignore_cleanup_errors=True) as folder:
            engine = Docker(Path(folder))
            engine.start()
            yield engine
            engine.stop()

    def test_under_a_command(self, cli: CommandLine, repository: Path, engine: Docker, box: Box) -> None:
        box("box")
        running = cli.start("run", "box", "--", "sh", "-c", "echo there > a.txt; echo up; sleep 300")
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        engine.stop()
        ran = cli.finish(running)
        assert ran.code == 125
        assert ran.error.startswith("error: run_failed: the place was lost while the command ran: docker ")
        lease = cli.lease()["id"]
        [warning] = [line for line in ran.stderr.splitlines() if line.startswith("warning: ")]
        assert "Cannot connect to the Docker daemon" in warning
        assert f"leasehold release {lease}" in warning
        engine.start()
        assert len(engine.names()) == 1
        cli("replay", "--stuck", code=0)
        assert _shown(repository, lease) == "there\n"
        _settled(cli, engine)

    def test_under_a_lease_that_is_held(self, cli: CommandLine, repository: Path, engine: Docker, box: Box) -> None:
        box("box")
        lease = cli("acquire", "box", code=0).stdout.strip()
        cli("exec", lease, "--", "sh", "-c", "echo there > a.txt", code=0)
        engine.stop()
        assert "start the engine" in cli("exec", lease, "--", "true", code=125).error
        engine.start()
        assert "is not running" in cli("exec", lease, "--", "true", code=125).error
        cli("release", lease, code=0)
        assert (repository / "a.txt").read_text() == "there\n"
        _settled(cli, engine)


class TestFull:
    """An engine whose disk is small."""

    @pytest.fixture(params=[Docker, Podman])
    def engine(self, request: pytest.FixtureRequest, require: Callable[[str], str]) -> Iterator[Engine]:
        require("mount")
        request.getfixturevalue(f"{request.param.program}_engine")  # skips where it cannot be
        folder = Path(tempfile.mkdtemp(prefix="lh-own-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", folder], check=True, timeout=30)
        engine: Engine = request.param(folder)
        engine.start()
        yield engine
        engine.stop()
        subprocess.run(["umount", "-l", folder], check=True, timeout=30)
        folder.rmdir()

    def test_by_the_command(self, cli: CommandLine, repository: Path, engine: Engine, box: Box) -> None:
        box("box")
        ran = cli("run", "box", "--", "sh", "-c", "echo there > a.txt; dd if=/dev/zero of=big bs=1M count=100; exit 7")
        assert ran.code == 7, ran.stderr
        assert "No space left on device" in ran.stderr
        if "warning: the place is not cleaned up: " in ran.stderr:
            # whether a container of a full disk can be entered, or read at least, is a matter of a few bytes
            assert "no space left on device; try again" in ran.stderr
            subprocess.run(["mount", "-o", "remount,size=40m", engine.folder], check=True, timeout=30)
            cli("replay", "--stuck", code=0)
        lease = cli.lease()["id"]
        archive = cli.state_folder / "kept" / f"{lease}.tar.gz"
        assert (_of_archive(archive) if archive.exists() else _shown(repository, lease)) == "there\n"
        _settled(cli, engine)

    def test_by_the_workspace(self, cli: CommandLine, repository: Path, engine: Engine, box: Box) -> None:
        box("box")
        (repository / "big").write_bytes(os.urandom(60_000_000))
        ran = cli("run", "box", "--", "true", code=125)
        assert ran.error.startswith("error: workspace_realization_failed: ")
        assert "make room" in ran.error
        _settled(cli, engine)

    def test_before_there_is_a_place(self, cli: CommandLine, repository: Path, engine: Engine, box: Box) -> None:
        box("box")
        with (engine.folder / "filler").open("wb") as file:
            file.write(bytes(shutil.disk_usage(engine.folder).free))
        ran = cli("run", "box", "--", "true", code=125)
        assert ran.error.startswith("error: lease_acquire_failed: ")
        assert "no space left on device; make room for the engine" in ran.error
        (engine.folder / "filler").unlink()
        _settled(cli, engine)
