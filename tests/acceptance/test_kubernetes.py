"""Pods from outside: ``leasehold`` on a real cluster, which ``make test-kubernetes`` starts."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cluster
import pytest
import yaml
from cluster import BUSYBOX, Cluster
from commandline import LEASEHOLD, CommandLine
from pages import blocks, commands, fits
from stores import on_sqlite

# without pip, which a small image has not: an environment in the tree, in which the tree itself is importable
PROVISION = "python3 -m venv --without-pip .v && pwd > $(echo .v/lib/python3*/site-packages)/tree.pth"
ITS_TESTS = (".v/bin/python", "-m", "unittest", "-q")

pytestmark = [on_sqlite, pytest.mark.timeout(300)]


def test_a_life_in_a_pod(cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]) -> None:
    pod_box("pod", memory="256m", cpus="0.5", max_ttl="3600")
    assert cli("env", "probe", "pod", "--json", code=0).json["ok"] is True
    script = "cat /tmp/x; pwd; echo b > a.txt; grep -E 'CapEff|NoNewPrivs' /proc/1/status"
    ran = cli("run", "pod", "--provision", "echo ready > /tmp/x", "--", "sh", "-c", script, code=0)
    assert ran.stdout.startswith("ready\n/leasehold/")
    assert ran.stdout.split()[-4:] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]
    assert (repository / "a.txt").read_text() == "b\n"
    [lease] = cli("ls", "--json", code=0).json
    record = cli("show", lease["id"], "--json", code=0).json
    assert (record["environment"]["driver"], record["provider"]) == ("sandbox", "kubernetes")
    assert cli("run", "pod", "--", "sh", "-c", "echo c > a.txt; exit 9").code == 9
    assert (repository / "a.txt").read_text() == "b\n"
    assert pods.pods() == {}


def test_a_pod_bears_its_marks_and_limits(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod", memory="256m", cpus="0.5", max_ttl="3600")
    lease = cli("acquire", "pod", code=0).stdout.strip()
    [pod] = pods.pods().values()
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "leasehold"
    assert lease in pod["metadata"]["annotations"]["leasehold/tags"]
    assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 3600)
    [container] = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "268435456"}
    cli("release", lease, code=0)
    assert pods.pods() == {}


@pytest.mark.parametrize("image", [cluster.IMAGE, BUSYBOX])
def test_bytes_that_are_no_text_and_fifty_megabytes(
    cli: CommandLine, repository: Path, pod_box: Callable[..., None], image: str
) -> None:
    pod_box("pod", image=image)
    (repository / "big").write_bytes(os.urandom(50_000_000))
    (repository / "odd").write_bytes(bytes(range(256)) * 999)
    script = "cat odd odd > both && cat big big > twice && rm big && echo done"
    assert cli("run", "pod", "--untracked", "--", "sh", "-c", script, code=0).stdout == "done\n"
    assert (repository / "both").read_bytes() == bytes(range(256)) * 999 * 2
    assert (repository / "twice").stat().st_size == 100_000_000


def test_a_published_project_has_its_own_exit_code(
    cli: CommandLine,
    pods: Cluster,
    pod_box: Callable[..., None],
    published: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    pod_box("pod")
    idna = shutil.copytree(published("idna-3.10"), tmp_path / "idna")
    run = ("run", "pod", "--workspace", str(idna), "--provision", PROVISION, "--")
    ran = cli(*run, *ITS_TESTS, code=0)
    assert "OK" in ran.stderr
    assert not (idna / ".v").exists()
    broken = f"sed -i 's/return True/return None/' idna/core.py; {' '.join(ITS_TESTS)} 2>&1"
    ran = cli(*run, "sh", "-c", broken, code=1)
    assert "FAILED (failures=" in ran.stdout
    assert "return None" not in (idna / "idna" / "core.py").read_text()
    changed = f"{' '.join(ITS_TESTS)} && echo checked > checked.txt"
    cli(*run, "sh", "-c", changed, code=0)
    assert (idna / "checked.txt").read_text() == "checked\n"
    assert pods.pods() == {}
    cli("verify", code=0)


def test_what_belongs_to_no_lease_is_swept(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod")
    lease = cli("acquire", "pod", code=0).stdout.strip()
    [(name, pod)] = pods.pods().items()
    stray = "l0000000000000000000"
    meta = {part: pod["metadata"][part] for part in ("name", "labels", "annotations")}
    planted = {"metadata": json.loads(json.dumps(meta).replace(lease, stray)), "spec": pod["spec"]}
    pods.make(f"{pods.path}/pods", planted)
    assert f"unknown: this ledger knows no lease {stray}" in cli("sweep", code=0).stdout
    cli("sweep", "--unknown", "--apply", "--grace", "0", code=0)
    assert list(pods.pods()) == [name]
    cli("release", lease, code=0)
    assert pods.pods() == {}


def test_the_page_does_what_it_says_with_the_role_that_it_names(
    cli: CommandLine, repository: Path, pods: Cluster
) -> None:
    runs = cluster.cluster("runs")
    assert runs is not None
    [role] = blocks("docs/how-to/kubernetes.md", "yaml")
    account = runs.kubeconfig_of("leasehold", cli.home / "config")
    runs.grant("leasehold", yaml.safe_load(role))
    variables = {"PATH": f"{LEASEHOLD.parent}:{os.environ['PATH']}", "KUBECONFIG": account}
    for command, wanted in commands("docs/how-to/kubernetes.md"):
        ours = command.replace("image=python:3.12", f"image={cluster.IMAGE} --set host_network=true")
        done = subprocess.run(
            ["bash", "-c", ours],
            cwd=repository,
            env={**cli.environment(), **variables},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert fits(done.stdout.splitlines(), wanted), f"$ {command}\n{done.stdout}{done.stderr}"
    assert runs.pods() == {}


def test_ten_places_at_once(cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]) -> None:
    pod_box("pod", image=BUSYBOX)
    begun = time.monotonic()
    running = [cli.start("run", "pod", "--sync-back", "never", "--", "echo", str(number)) for number in range(10)]
    ended = [cli.finish(process) for process in running]
    assert [ran.stdout.strip() for ran in ended] == [str(number) for number in range(10)], [r.stderr for r in ended]
    assert time.monotonic() - begun < 200
    assert pods.pods() == {}
