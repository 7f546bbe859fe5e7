"""Pods from outside: ``leasehold`` on a real cluster, which ``make test-kubernetes`` starts."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster
import pytest
from cluster import BUSYBOX, Cluster
from commandline import CommandLine

CLUSTER = cluster.cluster()
CLAIM = {"LEASEHOLD_CLAIM_SECONDS": "1"}

pytestmark = [pytest.mark.skipif(CLUSTER is None, reason=cluster.LACKING), pytest.mark.timeout(300)]


@pytest.fixture
def pods() -> Iterator[Cluster]:
    assert CLUSTER is not None
    yield CLUSTER
    for name in CLUSTER.pods():
        CLUSTER.ask("DELETE", f"{CLUSTER.path}/pods/{name}", {"gracePeriodSeconds": 0})


@pytest.fixture
def box(cli: CommandLine, pods: Cluster) -> Callable[..., None]:
    """Makes an environment of pods: its name, and what is set besides."""

    def add(name: str, **settings: object) -> None:
        config = {**pods.config(), **settings}
        words = [word for key, value in config.items() for word in ("--set", f"{key}={_plain(value)}")]
        cli("env", "add", name, "--driver", "sandbox", "--set", "provider=kubernetes", *words, code=0)

    return add


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_a_life_in_a_pod(cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]) -> None:
    box("pod", memory="256m", cpus="0.5", max_ttl="3600")
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
    cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]
) -> None:
    box("pod", memory="256m", cpus="0.5", max_ttl="3600")
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
    cli: CommandLine, repository: Path, box: Callable[..., None], image: str
) -> None:
    box("pod", image=image)
    (repository / "big").write_bytes(os.urandom(50_000_000))
    (repository / "odd").write_bytes(bytes(range(256)) * 999)
    script = "cat odd odd > both && cat big big > twice && rm big && echo done"
    assert cli("run", "pod", "--untracked", "--", "sh", "-c", script, code=0).stdout == "done\n"
    assert (repository / "both").read_bytes() == bytes(range(256)) * 999 * 2
    assert (repository / "twice").stat().st_size == 100_000_000


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image": "localhost:9/no-such:1", "start_timeout": "60"}, "no-such"),
        ({"node_selector": '{"no":"node"}', "start_timeout": "3"}, "Unschedulable"),
        ({"memory": "9000g", "start_timeout": "3"}, "Insufficient memory"),
        ({"namespace": "nowhere"}, 'namespaces "nowhere" not found'),
        ({"kubeconfig": "/nowhere/config"}, "there is no kubeconfig /nowhere/config"),
        ({"context": "other"}, "other"),
    ],
)
def test_each_trouble_is_one_clear_line(
    cli: CommandLine,
    repository: Path,
    pods: Cluster,
    box: Callable[..., None],
    settings: dict[str, str],
    said: str,
) -> None:
    box("pod", **settings)
    error = cli("run", "pod", "--", "true", code=125).error
    assert error.startswith("error: lease_acquire_failed: ")
    assert said in error
    assert pods.pods() == {}


def test_a_used_up_quota_is_refused(
    cli: CommandLine,
    repository: Path,
    pods: Cluster,
    box: Callable[..., None],
    until: Callable[[Callable[[], bool]], None],
) -> None:
    hard = {"pods": "0"}
    quota = {"metadata": {"name": "none"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": hard}}
    pods.make(f"{pods.path}/resourcequotas", quota)
    pods.ask("PUT", f"{pods.path}/resourcequotas/none/status", quota)  # no controller runs here that would
    try:
        until(pods.full)
        box("pod")
        assert "exceeded quota" in cli("run", "pod", "--", "true", code=125).error
    finally:
        pods.ask("DELETE", f"{pods.path}/resourcequotas/none", {})
        until(lambda: not pods.full())


def test_who_may_make_no_pods_is_told(
    cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]
) -> None:
    box("pod", kubeconfig=pods.kubeconfig_of("nobody", cli.home / "nobody.config"))
    rights = cli("env", "probe", "pod", "--json", code=1).json["checks"][-1]
    assert (rights["name"], rights["ok"]) == ("rights", False)
    assert "we may not create pods" in rights["detail"]
    error = cli("run", "pod", "--", "true", code=125).error
    assert "forbidden" in error


def test_a_pod_that_ends_under_its_lease_is_told(
    cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]
) -> None:
    box("pod", max_ttl="8")
    ran = cli("run", "pod", "--", "sh", "-c", "sleep 50", code=125)
    assert "the place was lost" in ran.error
    [lease] = cli("ls", "--json", code=0).json
    assert "DeadlineExceeded" in cli("journal", lease["id"], "--json", code=0).stdout
    assert pods.pods() == {}


def test_a_pod_that_is_removed_by_another_is_gone(
    cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]
) -> None:
    box("pod")
    lease = cli("acquire", "pod", code=0).stdout.strip()
    [name] = pods.pods()
    pods.ask("DELETE", f"{pods.path}/pods/{name}", {"gracePeriodSeconds": 0})
    assert "is gone" in cli("exec", lease, "--", "true", code=125).error
    cli("fail", lease, "--reason", "its pod is gone", code=0)
    assert cli("show", lease, "--json", code=0).json["cleanup"] == "succeeded"


def test_a_killed_caller_leaves_nothing_that_cleanup_does_not_end(
    cli: CommandLine,
    repository: Path,
    pods: Cluster,
    box: Callable[..., None],
    until: Callable[[Callable[[], bool]], None],
) -> None:
    box("pod")
    process = cli.start(
        "run", "pod", "--", "sh", "-c", "env -i setsid sleep 611 & echo up; exec sleep 611", variables=CLAIM
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    assert _sleepers() >= 2
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    until(lambda: _sleepers() == 0)
    [lease] = cli("ls", "--json", code=0).json
    until(lambda: cli("show", lease["id"], "--json", code=0).json["stuck"] is not None)
    cli("replay", "--stuck", code=0)
    assert cli("show", lease["id"], "--json", code=0).json["cleanup"] == "succeeded"
    assert pods.pods() == {}
    assert cli("sweep", code=0).stdout == "no place bears our tags\n"


def test_what_belongs_to_no_lease_is_swept(
    cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]
) -> None:
    box("pod")
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


def test_ten_places_at_once(cli: CommandLine, repository: Path, pods: Cluster, box: Callable[..., None]) -> None:
    box("pod", image=BUSYBOX)
    begun = time.monotonic()
    running = [cli.start("run", "pod", "--sync-back", "never", "--", "echo", str(number)) for number in range(10)]
    ended = [cli.finish(process) for process in running]
    assert [ran.stdout.strip() for ran in ended] == [str(number) for number in range(10)], [r.stderr for r in ended]
    assert time.monotonic() - begun < 200
    assert pods.pods() == {}


def _sleepers() -> int:
    """How many of the test's commands run, on the node that is this machine."""
    return sum(
        path.read_bytes().startswith(b"sleep\x00611")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _readable(path)
    )


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
