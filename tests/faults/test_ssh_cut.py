"""The network to a host is cut while a command runs there: its deadline holds, and nothing is left."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import CommandLine, gone
from sshd import Sshd, program

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


class Cable:
    """A link to a network namespace of its own."""

    def __init__(self) -> None:
        self.name = f"lease{os.getpid()}ssh"
        self.near = f"ls{os.getpid()}"
        net = f"10.{200 + os.getpid() % 50}.9"
        self.host = f"{net}.2"
        ip("netns", "add", self.name)
        ip("link", "add", self.near, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("addr", "add", f"{net}.1/24", "dev", self.near)
        ip("link", "set", self.near, "up")
        ip("-n", self.name, "addr", "add", f"{self.host}/24", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def cut(self, off: bool) -> None:
        ip("link", "set", self.near, "down" if off else "up")

    def remove(self) -> None:
        ip("netns", "del", self.name)


@pytest.fixture
def cable(require: Callable[[str], str]) -> Iterator[Cable]:
    require("ip")
    require("nsenter")
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    cable = Cable()
    yield cable
    cable.remove()


@pytest.fixture
def server(cable: Cable, tmp_path: Path, require: Callable[[str], str]) -> Iterator[Sshd]:
    if program() is None:
        require("sshd")
    server = Sshd(tmp_path / "sshd", host=cable.host, within=("nsenter", f"--net=/run/netns/{cable.name}"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cli(tmp_path: Path, store_path: Path, state_folder: Path) -> Iterator[CommandLine]:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    cli = CommandLine(tmp_path / "home", tmp_path / "work", state_folder, f"sqlite:///{store_path}")
    yield cli
    for process in cli.started:
        process.kill()
        process.communicate(timeout=30)


def until(happened: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)


def test_the_deadline_holds_there_and_a_later_cleanup_leaves_nothing(
    cli: CommandLine, server: Sshd, cable: Cable, tmp_path: Path
) -> None:
    root = tmp_path / "places"
    settings = {**server.config(), "root": root, "alive_interval": 1, "connect_timeout": 3}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    cli("env", "add", "far", "--driver", "ssh", *words, code=0)
    (cli.work / "a.txt").write_text("a\n")
    script = "trap '' TERM; setsid sleep 300 & env -i sleep 300 & echo $$ $!; wait; wait"
    running = cli.start("run", "far", "--timeout", "4", "--", "sh", "-c", script)
    assert running.stdout is not None
    pids = [int(word) for word in running.stdout.readline().split()]
    cut_at = time.monotonic()
    cable.cut(off=True)
    # nobody can tell it to: the place itself ends the command at its deadline
    until(lambda: all(gone(pid) for pid in pids))
    assert time.monotonic() - cut_at < 20
    ran = cli.finish(running)
    assert ran.code == 125, (ran.code, ran.stderr)
    lease = cli.lease()["id"]
    cable.cut(off=False)
    cli("release", lease)
    until(lambda: cli("ls", "--stuck", "--json", code=0).json == [])
    assert [entry.name for entry in root.iterdir() if entry.name != ".fences"] == []
    cli("verify", code=0)


def test_a_command_without_a_deadline_ends_with_the_release(
    cli: CommandLine, server: Sshd, cable: Cable, tmp_path: Path
) -> None:
    root = tmp_path / "places"
    settings = {**server.config(), "root": root, "alive_interval": 1, "connect_timeout": 3}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    cli("env", "add", "far", "--driver", "ssh", *words, code=0)
    running = cli.start("run", "far", "--", "sh", "-c", "setsid sleep 300 & echo $$ $!; wait")
    assert running.stdout is not None
    pids = [int(word) for word in running.stdout.readline().split()]
    cable.cut(off=True)
    ran = cli.finish(running)
    assert ran.code == 125, (ran.code, ran.stderr)
    assert not any(gone(pid) for pid in pids)
    cable.cut(off=False)
    cli("release", cli.lease()["id"])
    until(lambda: all(gone(pid) for pid in pids))
    until(lambda: cli("ls", "--stuck", "--json", code=0).json == [])
    assert [entry.name for entry in root.iterdir() if entry.name != ".fences"] == []
