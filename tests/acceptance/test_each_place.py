"""What holds wherever a run works: over ssh, in a sandbox, in a container of either engine, in a pod."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
import pytest
from cluster import Cluster
from commandline import CommandLine
from engine import Engine
from scenes import marker, processes
from sshd import Sshd
from stores import on_sqlite

pytestmark = [pytest.mark.timeout(240), on_sqlite]

Until = Callable[[Callable[[], bool]], None]
CLAIM = {"LEASEHOLD_CLAIM_SECONDS": "4"}  # of less, a busy machine may rob an owner that lives
KINDS = ["ssh", "bubblewrap", "docker", pytest.param("podman", marks=pytest.mark.long)]


@dataclass
class Place:
    """The environment ``there`` of one driver. ``standing`` lists what stands at its provider."""

    name: str
    standing: Callable[[], Sequence[str]]
    cli: CommandLine
    folder: Path

    def left(self) -> list[str]:
        """That, and all else that a life might leave: the copies on this side, and processes."""
        return [*self.standing(), *_below(self.cli.state_folder / "mirrors"), *processes(self.folder)]

    def nothing_left(self) -> None:
        assert self.left() == []
        assert self.cli("ls", "--stuck", "--json", code=0).json == []
        assert self.cli("sweep", "--apply", "--grace", "0", "--json", code=0).json == []
        self.cli("verify", code=0)


@pytest.fixture(params=[*KINDS, *(["kubernetes"] if cluster.STARTED else [])])
def place(
    request: pytest.FixtureRequest, cli: CommandLine, require: Callable[[str], str], tmp_path: Path
) -> Iterator[Place]:
    """A place of each kind, where this Python and its packages are seen."""
    kind, seen = request.param, [sys.prefix, sys.base_prefix]
    if kind == "ssh":
        server: Sshd = request.getfixturevalue("ssh_server")
        _add(cli, "ssh", {**server.config(), "root": str(tmp_path / "places")})
        yield Place(kind, lambda: _below(tmp_path / "places"), cli, tmp_path)
    elif kind == "bubblewrap":
        require("bwrap")
        _add(cli, "sandbox", {"read_only": seen})
        yield Place(kind, lambda: _below(cli.state_folder / "places"), cli, tmp_path)
    elif kind == "kubernetes":
        pods: Cluster = request.getfixturevalue("pods")
        _add(cli, "sandbox", {**pods.config(), "provider": kind})
        yield Place(kind, lambda: sorted(pods.pods()), cli, tmp_path)
    else:
        engine: Engine = request.getfixturevalue(f"{kind}_engine")
        cli.variables.update(engine.variables)
        config = engine.config()
        config["read_only"] = [*config["read_only"], *(path for path in seen if not path.startswith("/usr"))]
        _add(cli, "sandbox", {**config, "provider": kind})
        yield Place(kind, lambda: sorted(engine.containers()), cli, tmp_path)
        engine.clear()


@pytest.mark.long
@pytest.mark.parametrize("place", KINDS, indirect=True)  # a pod sees no pytest of this machine: test_kubernetes.py
def test_a_published_project_runs_its_own_tests_there(
    cli: CommandLine, place: Place, published: Callable[[str], Path], tmp_path: Path
) -> None:
    release = "more_itertools-10.8.0" if place.name == "bubblewrap" else "six-1.17.0"
    project = shutil.copytree(published(release), tmp_path / "project")
    run = ("run", "there", "--workspace", str(project), "--provision", "python3 --version > .provisioned")
    tests = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    ran = cli(*run, "--", "sh", "-c", f"{tests} && echo passed > result.txt")
    assert ran.code == 0, (ran.stdout[-2000:], ran.stderr)
    assert " passed" in ran.stdout
    assert (project / "result.txt").read_text() == "passed\n"
    ran = cli(*run, "--", "sh", "-c", f"echo 'def test(): assert 0' > test_mine.py; {tests} test_mine.py")
    assert ran.code == 1
    assert "1 failed" in ran.stdout
    assert not (project / "test_mine.py").exists()
    assert not (project / ".provisioned").exists()
    place.nothing_left()


def test_a_file_changed_on_both_sides_is_named_and_neither_version_is_lost(
    cli: CommandLine, place: Place, repository: Path
) -> None:
    script = "echo there > a.txt; echo up; read gate; true"
    running = cli.start("run", "there", "--mode", "copy", "--", "sh", "-c", script, stdin=subprocess.PIPE)
    cli.until_said(running, "up")
    (repository / "a.txt").write_text("here\n")
    ran = cli.finish(running)  # its input ends
    assert ran.code == 125
    assert ran.error.startswith("error: workspace_sync_failed: ")
    assert "a.txt" in ran.error
    assert (repository / "a.txt").read_text() == "here\n"
    lease = cli.lease()["id"]
    cli("release", lease, code=0)
    kept = subprocess.run(
        ["git", "show", f"refs/leasehold/{lease}:a.txt"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert kept.stdout == "there\n"
    assert (repository / "a.txt").read_text() == "here\n"
    place.nothing_left()


def test_a_caller_killed_while_a_command_runs_leaves_nothing(
    cli: CommandLine, place: Place, repository: Path, tmp_path: Path, until: Until
) -> None:
    sleep = f"sleep {marker(tmp_path)}"
    script = f"setsid {sleep} & env -i setsid {sleep} & echo up; exec {sleep}"
    running = cli.start("run", "there", "--", "sh", "-c", script, variables=CLAIM)
    cli.until_said(running, "up")
    until(lambda: len(processes(tmp_path)) >= 3)
    running.kill()
    running.wait(30)
    until(lambda: processes(tmp_path) == [])
    lease = cli.lease()["id"]
    until(lambda: cli("show", lease, "--json", variables=CLAIM).json["stuck"] is not None)
    [swept] = cli("sweep", "--apply", "--grace", "0", "--json", code=0, variables=CLAIM).json
    assert swept["decision"] == "belongs"
    assert place.standing() != []
    [replayed] = cli("replay", "--stuck", "--json", code=0, variables=CLAIM).json
    assert replayed["lease_id"] == lease
    place.nothing_left()


def _add(cli: CommandLine, driver: str, settings: dict[str, Any]) -> None:
    words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
    cli("env", "add", "there", "--driver", driver, *(word for pair in words for word in ("--set", pair)), code=0)


def _below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.name != ".fences")
