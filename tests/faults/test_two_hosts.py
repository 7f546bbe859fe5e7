"""Two hosts, each a network namespace, on one PostgreSQL: they wait for one place, and one is cut off."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgres import PostgresServer

LEASEHOLD = Path(sys.executable).with_name("leasehold")
CLAIM_SECONDS = 3.0

pytestmark = pytest.mark.timeout(120)


@dataclass
class Host:
    """A network namespace with one link to the server. ``url`` is the store as seen from there."""

    name: str
    link: str
    url: str
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        variables = {
            "LEASEHOLD_STORE": self.url,
            "LEASEHOLD_STATE_FOLDER": str(self.folder / "state"),
            "LEASEHOLD_CLAIM_SECONDS": str(CLAIM_SECONDS),
            "LEASEHOLD_STORE_PATIENCE_SECONDS": "5",
        }
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", LEASEHOLD, *arguments],
            cwd=self.folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Run to a good end; gives what it printed."""
        out, err = self.start(*arguments).communicate(timeout=60)
        assert "error" not in err, err
        return out

    def cut(self, off: bool) -> None:
        ip("link", "set", self.link, "down" if off else "up")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


@pytest.fixture
def hosts(postgres: PostgresServer, tmp_path: Path, require: Callable[[str], str]) -> Iterator[list[Host]]:
    """Two of them, on a server of their own that listens to both."""
    require("ip")
    require("nsenter")
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    net = f"10.{100 + os.getpid() % 100}"  # of this process alone: others run the same tests beside it
    with tempfile.TemporaryDirectory(prefix="leasehold-postgres-", ignore_cleanup_errors=True) as folder:
        server = postgres.another(Path(folder), ("fsync=off", "listen_addresses=*"))
        with (Path(server.data) / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")
        server.ask("SELECT pg_reload_conf()")
        made: list[Host] = []
        try:
            for number in (1, 2):
                name, near = f"leasehold{os.getpid()}x{number}", f"lh{os.getpid()}x{number}"
                ip("netns", "add", name)
                place = tmp_path / f"host{number}"
                place.mkdir()
                url = f"postgresql://postgres@{net}.{number}.1:{server.port}/postgres"
                made.append(Host(name, near, url, place))
                ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("addr", "add", f"{net}.{number}.1/24", "dev", near)
                ip("link", "set", near, "up")
                ip("-n", name, "addr", "add", f"{net}.{number}.2/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
                ip("-n", name, "link", "set", "lo", "up")
            yield made
        finally:
            for host in made:
                ip("netns", "del", host.name)
            server.stop()


def until_it_waits(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "waits for a place" in line:
            return
    raise AssertionError("it never waited")


def waiting(host: Host, order: Path, word: str) -> subprocess.Popen[str]:
    """A run that stands in line, and will write a word when it has its place."""
    command = f"echo {word} >> {order}"
    process = host.start("run", "lab", "--mode", "copy", "--wait", "60", "--", "sh", "-c", command)
    until_it_waits(process)
    return process


def holding(host: Host, gate: Path) -> subprocess.Popen[str]:
    """A run that has the place, and keeps it until the gate is opened."""
    os.mkfifo(gate)
    process = host.start("run", "lab", "--mode", "copy", "--", "sh", "-c", f"echo here; cat {gate}")
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def test_two_hosts_are_served_in_order(hosts: list[Host], tmp_path: Path) -> None:
    one, two = hosts
    one.run("env", "add", "lab", "--driver", "local", "--max-leases", "1")
    gate, order = tmp_path / "gate", tmp_path / "order"
    first = holding(one, gate)
    line = [waiting(two, order, "second"), waiting(one, order, "third"), waiting(two, order, "fourth")]
    gate.write_text("open\n")
    assert first.communicate(timeout=60)[0] == "open\n"
    for process in line:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert order.read_text().split() == ["second", "third", "fourth"]
    assert "nothing is wrong" in one.run("verify")


@pytest.mark.long
def test_the_first_is_cut_off_while_it_holds_the_place(hosts: list[Host], tmp_path: Path) -> None:
    one, two = hosts
    one.run("env", "add", "lab", "--driver", "local", "--max-leases", "1")
    gate, order = tmp_path / "gate", tmp_path / "order"
    first = holding(one, gate)
    line = [waiting(two, order, "second"), waiting(two, order, "third")]
    one.cut(off=True)
    for process in line:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert order.read_text().split() == ["second", "third"]
    # it fenced itself: its command has ended, though nobody could tell it to
    _, told = first.communicate(timeout=60)
    assert first.returncode == 125, told
    one.cut(off=False)
    assert "nothing is wrong" in one.run("verify")
    assert one.run("ls", "--stuck", "--json") == "[]\n"


@pytest.mark.long
def test_cut_off_it_ends_its_command_and_back_again_changes_nothing(hosts: list[Host], tmp_path: Path) -> None:
    """The first is cut off while its run works; the second's worker takes over; the first, back, only says why."""
    one, two = hosts
    one.run("env", "add", "lab", "--driver", "local")
    beat, beating = tmp_path / "beat", "echo here; while :; do date +%s.%N > {}; sleep 0.05; done"
    first = one.start("run", "lab", "--mode", "copy", "--", "sh", "-c", beating.format(beat))
    assert first.stdout is not None
    assert first.stdout.readline() == "here\n"
    [lease] = json.loads(two.run("ls", "--json"))
    place = one.folder / "state" / "places" / lease["provider_lease_id"]
    assert place.exists()

    one.cut(off=True)
    cut_at = time.time()
    second = two.start("worker")
    try:
        _, told = first.communicate(timeout=60)
        assert first.returncode == 125
        assert "could not renew itself" in told, told
        worked = float(beat.read_text()) - cut_at
        assert worked < CLAIM_SECONDS + 1.5, f"its command worked on for {worked:.1f} s"
        end = time.monotonic() + 30
        while json.loads(two.run("ls", "--stuck", "--json")) or json.loads(
            two.run("ls", "--status", "active", "--json")
        ):
            assert time.monotonic() < end, "nobody took it over"
    finally:
        second.terminate()
        _, deeds = second.communicate(timeout=60)
    assert "owner_lost" in deeds, deeds
    shown = two.run("show", lease["id"], "--journal", "--json")
    record = json.loads(shown)
    assert (record["state"], record["error_code"], record["cleanup"]) == ("failed", "lease_owner_lost", "succeeded")
    assert record["owner"] != lease["owner"]
    assert not place.exists()

    one.cut(off=False)
    refused = one.start("release", lease["id"])
    refused.communicate(timeout=60)
    assert two.run("show", lease["id"], "--journal", "--json") == shown
    assert not place.exists()
    assert "nothing is wrong" in one.run("verify")
