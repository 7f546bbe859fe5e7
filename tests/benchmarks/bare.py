"""The bare command lines that make the same places: one shell text for each provider, which ``xargs -P`` runs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cluster
import docker
import podman
from docker import Docker
from leasehold.drivers.sandbox.container import DockerDriver, PodmanDriver
from podman import Podman
from sshd import Sshd, program

_FOR_EVER = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
_LABELS = ("driver", "ledger", "lease", "key", "epoch", "expires-at")


@dataclass(frozen=True)
class Bare:
    """Places of one provider as the bare command line makes them.

    Attributes:
        script: makes place number ``$1``, with the tree in it.
        clear: removes them all.
        driver, config: what an environment of ours is told.
        variables: what the script is given besides.
        command: whether the script runs a first command in the place, as ours then has to.
    """

    script: str
    clear: Callable[[], None]
    driver: str
    config: dict[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    command: bool = False

    def make(self, places: int, at_a_time: int) -> float:
        """The seconds that so many take."""
        words = ["xargs", "-P", str(at_a_time), "-I{}", "sh", "-ec", self.script, "sh", "{}"]
        numbers = "\n".join(map(str, range(places))).encode()
        begun = time.monotonic()
        subprocess.run(
            words,
            input=numbers,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **self.variables},
            timeout=600,
        )
        return time.monotonic() - begun


@contextmanager
def bubblewrap(folder: Path, tree: Path) -> Generator[Bare | str]:
    """A folder with a copy of the tree, and a first command in namespaces that may write nothing else."""
    if shutil.which("bwrap") is None:
        yield "bwrap is not installed"
        return
    places = folder / "places"
    places.mkdir()
    spaces = "--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --die-with-parent"
    mounts = "--ro-bind / / --proc /proc --dev /dev --tmpfs /tmp"

    def clear() -> None:
        shutil.rmtree(places)
        places.mkdir()

    script = f"""
cp -a {shlex.quote(str(tree))} {shlex.quote(str(places))}/$1
cd {shlex.quote(str(places))}/$1
exec bwrap {spaces} {mounts} --bind "$PWD" "$PWD" --chdir "$PWD" true
"""
    yield Bare(script, clear, "sandbox", {"provider": "bubblewrap"}, command=True)


def docker_containers(folder: Path, tree: Path) -> AbstractContextManager[Bare | str]:
    """A container with what ours has."""
    engine = Docker(folder)
    return _started(docker.lacking(), engine, ["docker", "--host", engine.host], {}, tree)


def podman_containers(folder: Path, tree: Path) -> AbstractContextManager[Bare | str]:
    """The same by podman."""
    engine = Podman(folder)
    return _started(podman.lacking(), engine, ["podman"], engine.variables, tree)


@contextmanager
def _started(
    lacks: str | None, engine: Docker | Podman, words: Sequence[str], variables: Mapping[str, str], tree: Path
) -> Generator[Bare | str]:
    if lacks is not None:
        yield lacks
        return
    engine.start()
    os.environ.update(variables)
    try:
        yield _containers(engine, words, tree)
    finally:
        for name in variables:
            del os.environ[name]
        engine.stop()


def _containers(engine: Docker | Podman, words: Sequence[str], tree: Path) -> Bare:
    config = {"provider": engine.program, **engine.config()}
    kind = (DockerDriver if engine.program == "docker" else PodmanDriver).kind
    run = [*words, "run", "-d", "--network", "none", "--cap-drop", "ALL", "--volume", "/leasehold"]
    run += ["--init"] if kind.init() else []
    run += ["--security-opt", "no-new-privileges", "--pids-limit", "4096", "--pull", "never", "--entrypoint", "sh"]
    run += [word for name in _LABELS for word in ("--label", f"leasehold.{name}=bare")]
    run += [word for bind in config["read_only"] for word in ("--volume", f"{bind}:{bind}:ro")]
    script = f"""
{shlex.join(run)} --name bare-$1 {shlex.join([config["image"], "-c", _FOR_EVER])}
exec {shlex.join([*words, "cp", str(tree)])} bare-$1:/leasehold/
"""
    return Bare(script, engine.clear, "sandbox", config)


@contextmanager
def ssh(folder: Path, tree: Path) -> Generator[Bare | str]:
    """A folder on the host with the tree in it, over one shared connection, that stands before the clock runs."""
    if program() is None:
        yield "sshd is not installed"
        return
    server = Sshd(folder / "sshd")
    server.start()
    places, socket = folder / "places", folder / "control"
    words = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    words += ["-i", str(server.identity), "-p", str(server.port), "-S", str(socket), f"{server.user}@{server.host}"]
    master = subprocess.Popen([words[0], "-M", "-N", *words[1:]], stdin=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 15
        while not socket.exists():
            assert time.monotonic() < give_up, "no login"
            time.sleep(0.02)
        far = shlex.quote(f"mkdir -p {places}/") + "$1" + shlex.quote(" && tar -xf - -C ") + f"{places}/$1"
        script = f"tar -cf - -C {shlex.quote(str(tree))} . | {shlex.join(words)} {far}"
        yield Bare(script, lambda: shutil.rmtree(places), "ssh", {**server.config(), "root": str(folder / "ours")})
    finally:
        master.terminate()
        master.wait(10)
        server.stop()


@contextmanager
def pods(folder: Path, tree: Path) -> Generator[Bare | str]:
    """A pod that runs: made by curl, and looked at each second. There is no kubectl here, and the tree stays out."""
    found = cluster.cluster("bench")
    if found is None:
        yield f"{cluster.LACKING}; here: LEASEHOLD_TEST_KUBECONFIG names one"
        return
    server, token = re.findall(r'(?:server|token): "([^"]+)"', Path(found.kubeconfig).read_text())
    container = {
        "name": "place",
        "image": cluster.IMAGE,
        "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "places", "mountPath": "/leasehold"}],
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "places", "emptyDir": {}}],
        "hostNetwork": True,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
    }
    (folder / "pod").write_text(json.dumps({"metadata": {"name": "bare-NUMBER"}, "spec": spec}))
    script = """
sed "s/NUMBER/$1/" "$POD" | curl -fsk -o /dev/null -H "$TOKEN" -H 'Content-Type: application/json' -d @- "$PODS"
until curl -fsk -H "$TOKEN" "$PODS/bare-$1" | grep -q '"phase": "Running"'; do sleep 1; done
"""

    def clear() -> None:
        for name in found.pods():
            with suppress(OSError):
                found.remove(name)

    variables = {"TOKEN": f"Authorization: Bearer {token}", "PODS": f"{server}{found.path}/pods"}
    config = {**found.config(), "provider": "kubernetes"}
    yield Bare(script, clear, "sandbox", config, variables={**variables, "POD": str(folder / "pod")})


PROVIDERS = {
    "bubblewrap": bubblewrap,
    "docker": docker_containers,
    "podman": podman_containers,
    "ssh": ssh,
    "pods": pods,
}
