"""Containers from outside: ``leasehold`` on a real docker engine and on podman."""

from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine
from engine import Engine
from stores import on_sqlite

pytestmark = [pytest.mark.timeout(240), on_sqlite]  # an engine knows no store


def test_a_life_in_a_container(cli: CommandLine, repository: Path, engine: Engine, box: Callable[..., None]) -> None:
    box("box", memory="256m", cpus="1")
    assert cli("env", "probe", "box", "--json", code=0).json["ok"] is True
    ran = cli(
        "run", "box", "--provision", "echo ready > /tmp/x", "--", "sh", "-c", "cat /tmp/x; pwd; echo b > a.txt; exit 0"
    )
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("ready\n/leasehold/")
    assert (repository / "a.txt").read_text() == "b\n"
    [lease] = cli("ls", "--json", code=0).json
    record = cli("show", lease["id"], "--json", code=0).json
    assert (record["environment"]["driver"], record["provider"]) == ("sandbox", engine.program)
    assert cli("run", "box", "--", "sh", "-c", "echo c > a.txt; exit 9").code == 9
    assert (repository / "a.txt").read_text() == "b\n"
    assert engine.containers() == set()


@pytest.mark.long
def test_what_a_container_may_do(cli: CommandLine, repository: Path, box: Callable[..., None]) -> None:
    box("box", pids="100")
    script = "grep -E 'CapEff|NoNewPrivs' /proc/1/status; ls /sys/class/net; ulimit -n >/dev/null"
    said = cli("run", "box", "--", "sh", "-c", script, code=0).stdout.split()
    assert said == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1", "lo"]
    box("user", user="1000:1000")
    assert cli("run", "user", "--", "sh", "-c", "id -u; echo mine > mine", code=0).stdout == "1000\n"
    assert (repository / "mine").read_text() == "mine\n"


def test_each_trouble_of_an_engine_is_one_clear_line(
    cli: CommandLine, repository: Path, engine: Engine, box: Callable[..., None]
) -> None:
    box("nowhere", host="unix:///tmp/leasehold-no-engine")
    down = cli("run", "nowhere", "--", "true", code=125).error
    assert down.startswith("error: lease_acquire_failed: ")
    assert cli("env", "probe", "nowhere", code=1).stdout
    box("imageless", image="localhost:9/no-such-image:1")
    absent = cli("run", "imageless", "--", "true", code=125).error
    assert absent.startswith("error: lease_acquire_failed: ")
    assert "image" in absent or "localhost:9" in absent
    assert engine.containers() == set()


def test_a_container_that_was_paused_or_stopped_says_so_and_is_cleaned_up(
    cli: CommandLine, repository: Path, engine: Engine, box: Callable[..., None]
) -> None:
    box("box")
    for harm in ("pause", "kill"):
        lease = cli("acquire", "box", code=0).stdout.strip()
        [name] = [name for name in engine.containers() if name.startswith("leasehold-")]
        engine.ask(harm, name)
        ran = cli("exec", lease, "--", "true", code=125)
        assert "running" in ran.error or "paused" in ran.error or "state improper" in ran.error, ran.error
        released = cli("release", lease)
        assert engine.containers() == set(), (harm, ran.stderr, released.stderr)
