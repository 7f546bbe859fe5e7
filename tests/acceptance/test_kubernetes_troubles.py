"""Pods that are refused, never start, or end under their lease: each in its code, one clear line, nothing left."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import Cluster
from commandline import CommandLine, Ran
from stores import on_sqlite

pytestmark = [on_sqlite, pytest.mark.timeout(300)]


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
    pod_box: Callable[..., None],
    settings: dict[str, str],
    said: str,
) -> None:
    pod_box("pod", **settings)
    error = cli("run", "pod", "--", "true", code=125).error
    assert error.startswith("error: lease_acquire_failed: ")
    assert said in error
    assert pods.pods() == {}


def test_a_used_up_quota_is_refused(
    cli: CommandLine,
    repository: Path,
    pods: Cluster,
    pod_box: Callable[..., None],
    until: Callable[[Callable[[], bool]], None],
) -> None:
    hard = {"pods": "0"}
    quota = {"metadata": {"name": "none"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": hard}}
    pods.make(f"{pods.path}/resourcequotas", quota)
    pods.ask("PUT", f"{pods.path}/resourcequotas/none/status", quota)  # no controller runs here that would
    try:
        until(pods.full)
        pod_box("pod")
        assert "exceeded quota" in cli("run", "pod", "--", "true", code=125).error
    finally:
        pods.ask("DELETE", f"{pods.path}/resourcequotas/none", {})
        until(lambda: not pods.full())


def test_who_may_make_no_pods_is_told(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod", kubeconfig=pods.kubeconfig_of("nobody", cli.home / "nobody.config"))
    rights = cli("env", "probe", "pod", "--json", code=1).json["checks"][-1]
    assert (rights["name"], rights["ok"]) == ("rights", False)
    assert "we may not create pods" in rights["detail"]
    error = cli("run", "pod", "--", "true", code=125).error
    assert "forbidden" in error


@pytest.mark.parametrize(
    ("settings", "script", "why"),
    [
        ({"max_ttl": "20"}, "sleep 50", "DeadlineExceeded"),
        # the pod's first process is what is killed, as no other has half of the memory
        (
            {"memory": "64m", "cpus": "1"},
            "echo 1000 > /proc/1/oom_score_adj; tail /dev/zero & tail /dev/zero & tail /dev/zero & sleep 50",
            "OOMKilled",
        ),
        ({"workspace": "4m"}, "head -c 20000000 /dev/zero > big; sleep 100", "Evicted"),
    ],
)
def test_a_pod_that_ends_under_its_lease_is_told(
    cli: CommandLine,
    repository: Path,
    pods: Cluster,
    pod_box: Callable[..., None],
    settings: dict[str, str],
    script: str,
    why: str,
) -> None:
    pod_box("pod", **settings)
    ran = cli("run", "pod", "--", "sh", "-c", script, code=125)
    _lost(cli, pods, ran, why)


def test_a_pod_that_is_evicted_by_the_api_is_told(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod")
    running = cli.start("run", "pod", "--", "sh", "-c", "echo up; sleep 100")
    cli.until_said(running, "up")
    [name] = pods.pods()
    pods.evict(name)
    ran = cli.finish(running)
    assert ran.code == 125
    _lost(cli, pods, ran, "being removed")


def test_a_command_that_is_killed_for_its_memory_has_a_code_of_its_own(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod", memory="64m")
    ran = cli("run", "pod", "--", "tail", "/dev/zero", code=128 + signal.SIGKILL)
    assert ran.stdout == ""
    [lease] = cli("ls", "--json", code=0).json
    assert (lease["error_code"], lease["cleanup"]) == ("run_failed", "succeeded")
    assert "signal 9" in lease["error_message"]
    assert pods.pods() == {}


def test_a_pod_that_is_removed_by_another_is_gone(
    cli: CommandLine, repository: Path, pods: Cluster, pod_box: Callable[..., None]
) -> None:
    pod_box("pod")
    lease = cli("acquire", "pod", code=0).stdout.strip()
    [name] = pods.pods()
    pods.remove(name)
    assert "is gone" in cli("exec", lease, "--", "true", code=125).error
    cli("fail", lease, "--reason", "its pod is gone", code=0)
    assert cli("show", lease, "--json", code=0).json["cleanup"] == "succeeded"


def _lost(cli: CommandLine, pods: Cluster, ran: Ran, why: str) -> None:
    """The run says in one line that its place was lost, and why; nothing is left of it."""
    assert ran.error.startswith("error: run_failed: the place was lost")
    assert why in ran.error
    [lease] = cli("ls", "--json", code=0).json
    assert (lease["state"], lease["error_code"], lease["cleanup"]) == ("failed", "run_failed", "succeeded")
    assert pods.pods() == {}
    cli("verify", code=0)
