"""Where lives are lived in the crash tests: a driver, its config, and what its provider itself says stands there.

A driver that lands gets a row here; every path and every crash point then runs on it.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
from cluster import Cluster
from docker import Docker
from engine import Engine
from leasehold.drivers import Driver
from leasehold.drivers.local import LocalDriver
from leasehold.drivers.sandbox.bubblewrap import BubblewrapDriver
from leasehold.drivers.sandbox.container import DockerDriver, PodmanDriver
from leasehold.drivers.sandbox.kubernetes import KubernetesDriver
from leasehold.drivers.scripted import Provider, Reply, ScriptedDriver
from leasehold.drivers.scripted.shelf import FolderShelf
from leasehold.drivers.ssh import SshDriver
from podman import Podman

SERVER = "server.json"  # what a test says of the server that it started
FAILING = "echo no >&2; exit 3"  # a provision command that fails, wherever it runs


@dataclass(frozen=True)
class Scene:
    """One way to get places.

    ``config`` makes the environment's config out of the case's folder. ``standing`` lists the provider's ids
    of the places that are there, and ``beside`` whatever else would be left behind. ``executes``: commands run
    for real. ``needs`` is a program that must be there, ``engine`` the container engine in which places stand.
    """

    name: str
    driver: Callable[[], Driver]
    mode: str
    config: Callable[[Path], dict[str, Any]]
    standing: Callable[[Path], Sequence[str]]
    beside: Callable[[Path], Sequence[str]]
    git: bool = False
    executes: bool = True
    needs: str = ""
    engine: type[Engine] | None = None

    def enter(self, folder: Path) -> None:
        """Be a process that can reach the places of this folder."""
        if self.engine is not None:
            os.environ.update(_engine(self.engine, folder).variables)

    def workspace(self, folder: Path) -> Path:
        """The tree that the runs of this folder work on, made where it is not there."""
        tree = folder / "project"
        if not tree.exists():
            tree.mkdir(parents=True)
            (tree / "file.txt").write_text("one\n")
            if self.git:
                git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C", str(tree)]
                for step in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
                    subprocess.run([*git, *step], check=True, timeout=30)
        return tree

    def left(self, folder: Path) -> list[str]:
        """Everything that stands there, as the provider tells it."""
        return [*self.standing(folder), *self.beside(folder)]


def marker(folder: Path) -> str:
    """What the commands of this folder bear in their argument list: a number that no other has."""
    path = folder / "marker"
    if not path.exists():
        path.write_text(f"98{secrets.randbelow(10**9)}")
    return path.read_text()


def processes(folder: Path) -> list[str]:
    """Processes of the folder's commands that still run. Dead ones that nobody reaped yet do not count."""
    mark, found = marker(folder).encode(), list[str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark in line and state not in "ZX":
                found.append(f"process {entry.name}")
    return found


def _scripted(folder: Path) -> dict[str, Any]:
    replies = [Reply(match=FAILING, exit_code=3, stderr="no").model_dump(mode="json")]
    return {"root": str(folder / "provider"), "syncs_back": True, "results": replies}


def _scripted_standing(folder: Path) -> list[str]:
    return [standing.place for standing in Provider(FolderShelf(folder / "provider")).standing()]


def _local(folder: Path) -> dict[str, Any]:
    return {}


def _local_standing(folder: Path) -> list[str]:
    places = folder / "state" / "places"
    return sorted(path.name for path in places.glob("*") if not path.name.startswith(".")) if places.exists() else []


def _worktrees(folder: Path) -> list[str]:
    """Worktrees and lease branches that no place's folder accounts for."""

    def git(*arguments: str) -> list[str]:
        command = ["git", "-C", str(folder / "project"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()

    places = [str(folder / "state" / "places" / name) for name in _local_standing(folder)]
    trees = [line.split(" ", 1)[1] for line in git("worktree", "list", "--porcelain") if line.startswith("worktree ")]
    stray = [tree for tree in trees[1:] if not any(tree.startswith(place) for place in places)]
    branches = [line.strip(" +*") for line in git("branch", "--list", "leasehold/*")]
    return [*stray, *(branches if not places else ()), *processes(folder)]


def _below(folder: Path) -> list[str]:
    """What stands in the folder that the config names as the places' root."""
    places = folder / "places"
    return sorted(path.name for path in places.glob("*") if not path.name.startswith(".")) if places.exists() else []


def _bubblewrap(folder: Path) -> dict[str, Any]:
    return {"root": str(folder / "places")}


def _ssh(folder: Path) -> dict[str, Any]:
    """The server that the test started says how it is reached."""
    return {**json.loads((folder / SERVER).read_text()), "root": str(folder / "places")}


def _engine(kind: type[Engine], folder: Path) -> Engine:
    """The engine that the test started."""
    return kind(Path(json.loads((folder / SERVER).read_text())["folder"]))


def _containers(name: str, driver: Callable[[], Driver], kind: type[Engine]) -> Scene:
    """Containers of an engine: what stands is what the engine lists, volumes too."""

    def config(folder: Path) -> dict[str, Any]:
        return _engine(kind, folder).config()

    def standing(folder: Path) -> list[str]:
        return _engine(kind, folder).names()

    def beside(folder: Path) -> list[str]:
        return [*(f"volume {name}" for name in _engine(kind, folder).volumes()), *_mirrors(folder)]

    return Scene(name, driver, "copy", config, standing, beside, engine=kind)


def _cluster(folder: Path) -> Cluster:
    """The cluster that was started for all tests, with a namespace of the folder's own."""
    found = cluster.cluster(f"leasehold-{marker(folder)}")
    assert found is not None, cluster.LACKING
    return found


def _mirrors(folder: Path) -> list[str]:
    """What a remote place has on this side."""
    mirrors = folder / "state" / "mirrors"
    return [f"mirror {path.name}" for path in mirrors.glob("*") if not path.name.startswith(".")] + processes(folder)


SCENES = {
    scene.name: scene
    for scene in (
        Scene("scripted", ScriptedDriver, "copy", _scripted, _scripted_standing, lambda _: (), executes=False),
        Scene("local copy", LocalDriver, "copy", _local, _local_standing, processes),
        Scene("local worktree", LocalDriver, "git_worktree", _local, _local_standing, _worktrees, git=True),
        Scene("bubblewrap", BubblewrapDriver, "copy", _bubblewrap, _below, processes, needs="bwrap"),
        Scene("ssh", SshDriver, "copy", _ssh, _below, _mirrors, needs="sshd"),
        _containers("docker", DockerDriver, Docker),
        _containers("podman", PodmanDriver, Podman),
        Scene(
            "kubernetes",
            KubernetesDriver,
            "copy",
            lambda folder: _cluster(folder).config(),
            lambda folder: sorted(_cluster(folder).pods()),
            _mirrors,
        ),
    )
    if scene.name != "kubernetes" or cluster.STARTED
}


def clear(folder: Path) -> None:
    """End what a failed case left on this machine, so that the next begins clean."""
    for name in processes(folder):
        os.kill(int(name.split()[1]), 9)
    shutil.rmtree(folder, ignore_errors=True)
