"""Pods as far as no cluster is needed: names, marks, manifests, and what the API's words mean."""

import json
from dataclasses import replace
from typing import Any

import pytest
from leasehold.drivers.errors import Conflict, Damaged, DriverError, Gone, Refused, TimedOut, Unavailable
from leasehold.drivers.place import Tags
from leasehold.drivers.sandbox.kubernetes import KubernetesConfig, KubernetesDriver
from leasehold.drivers.sandbox.kubernetes.access import Identity
from leasehold.drivers.sandbox.kubernetes.meaning import meaning, unreached
from leasehold.drivers.sandbox.kubernetes.naming import label_value, labels_of, pod_name, selector, tags_in
from leasehold.drivers.sandbox.kubernetes.pod import Pod, manifest
from leasehold.drivers.sandbox.kubernetes.session import ended
from pydantic import ValidationError

TAGS = Tags("ledger1", "l0001", "ledger1-l0001-1", 3, 1_800_000_000_000_000)


def pod(status: dict[str, Any], **meta: Any) -> Pod:
    made = manifest(KubernetesConfig(image="i:1"), TAGS)
    return Pod({**made, "metadata": {**made["metadata"], "uid": "u", "resourceVersion": "1", **meta}, "status": status})


@pytest.mark.parametrize(
    "key", ["a-b-1", "UPPER-b-1", "with.dots_and-1", "k" * 80, "-edges-", "é", f"{'x' * 52}-{'y' * 52}"]
)
def test_a_key_names_one_pod(key: str) -> None:
    name = pod_name(key)
    assert len(name) <= 63
    assert name == name.lower()
    assert all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in name)
    assert not name.endswith("-")
    assert pod_name(key) == name
    assert pod_name(f"{key}x") != name
    assert pod_name(key.swapcase()) != name or key.swapcase() == key


def test_a_plain_key_is_read_in_the_name() -> None:
    assert pod_name("ledger1-l0001-1") == "leasehold-ledger1-l0001-1"


def test_what_is_no_labels_value_is_a_digest() -> None:
    assert label_value("l0001") == "l0001"
    assert len(label_value("x" * 64)) == 32
    assert label_value("a b") != label_value("a-b")
    long = replace(TAGS, key="k" * 100)
    assert all(len(value) <= 63 for value in labels_of(long).values())
    assert selector("ledger1").endswith("leasehold/ledger=ledger1")


def test_tags_come_back_whole_from_the_annotations() -> None:
    meta = manifest(KubernetesConfig(image="i:1"), TAGS)["metadata"]
    assert tags_in(meta["name"], meta["annotations"]) == TAGS
    with pytest.raises(Damaged, match="no annotation"):
        tags_in(meta["name"], {})
    with pytest.raises(Damaged, match="another"):
        tags_in("leasehold-other", meta["annotations"])


def test_a_pod_may_do_as_little_as_can_be() -> None:
    spec = manifest(KubernetesConfig(image="i:1"), TAGS)["spec"]
    [container] = spec["containers"]
    assert (spec["restartPolicy"], spec["automountServiceAccountToken"]) == ("Never", False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert not {"hostNetwork", "serviceAccountName", "activeDeadlineSeconds", "nodeSelector"} & set(spec)


def test_settings_reach_the_pod() -> None:
    config = KubernetesConfig.model_validate(
        {"image": "i:1", "memory": "256m", "cpus": 0.5, "max_ttl": 60, "workspace": "1g", "service_account": "builder"}
    )
    spec = manifest(config, TAGS)["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"memory": str(256 << 20), "cpu": "500m"}
    assert spec["volumes"][0]["emptyDir"] == {"sizeLimit": str(1 << 30)}
    assert (spec["activeDeadlineSeconds"], spec["serviceAccountName"]) == (60, "builder")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"image": "--privileged"},
        {"image": "i", "namespace": "Not_a_name"},
        {"image": "i", "root": "/"},
        {"image": "i", "root": "relative"},
        {"image": "i", "memory": "much"},
        {"image": "i", "max_ttl": 0},
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KubernetesConfig.model_validate(wrong)


def waiting(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "Back-off pulling image"}}
    return {"phase": "Pending", "containerStatuses": [{"name": "place", "state": state}]}


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (waiting("ImagePullBackOff"), Refused, "cannot start: Pending: ImagePullBackOff: Back-off pulling image"),
        (waiting("ContainerCreating"), None, ""),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, Gone, "Failed: Evicted: low on memory"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, Gone, "Failed: DeadlineExceeded"),
        (
            {
                "phase": "Failed",
                "containerStatuses": [{"name": "place", "state": {"terminated": {"reason": "OOMKilled"}}}],
            },
            Gone,
            "Failed: OOMKilled",
        ),
        ({}, None, ""),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], kind: type[DriverError] | None, said: str) -> None:
    trouble = pod(status).trouble()
    assert (None if trouble is None else type(trouble)) is kind
    assert said in str(trouble or "")
    assert trouble is None or trouble.hint
    assert not pod(status).running


def test_a_pod_that_no_node_takes_says_why() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    found = pod({"phase": "Pending", "conditions": [unscheduled]})
    assert found.trouble() is None
    assert found.state == "Pending: Unschedulable: 0/1 nodes"


def test_a_running_pod_that_is_being_removed_runs_no_more() -> None:
    running: dict[str, Any] = {"phase": "Running", "containerStatuses": [{"name": "place", "state": {"running": {}}}]}
    assert pod(running).running
    assert not pod(running, deletionTimestamp="2026-01-01T00:00:00Z").running


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Unauthorized", Refused),
        (403, 'pods is forbidden: User "x" cannot create resource', Refused),
        (403, 'pods "p" is forbidden: exceeded quota: q, requested: pods=1', Refused),
        (404, 'pods "p" not found', Gone),
        (404, 'namespaces "n" not found', Refused),
        (409, 'pods "p" already exists', Conflict),
        (422, "Pod is invalid", Refused),
        (429, "too many requests", Unavailable),
        (503, "not ready", Unavailable),
    ],
)
def test_what_an_answer_means(status: int, message: str, kind: type[DriverError]) -> None:
    error = meaning(status, json.dumps({"message": message}), doing="the pod p")
    assert type(error) is kind
    assert str(error) == f"the pod p: {message}"
    assert error.hint
    assert ("quota" in error.hint) == ("quota" in message)


def test_an_answer_that_is_no_json_is_told_as_it_is() -> None:
    assert "bad gateway" in str(meaning(502, b"<html>\nbad gateway", doing="it"))
    assert isinstance(unreached(TimeoutError(), "https://h"), TimedOut)
    assert isinstance(unreached(OSError("refused"), "https://h"), Unavailable)
    assert "authority" in unreached(OSError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "https://h").hint


def test_how_a_session_ends() -> None:
    left = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "42"}]}}
    assert ended(b'{"status":"Success"}') == (0, None)
    assert ended(json.dumps(left).encode()) == (42, None)
    code, trouble = ended(b'{"status":"Failure","code":500,"message":"no such container"}')
    assert (code, type(trouble)) == (None, Unavailable)
    assert "lost" in str(ended(b"")[1])


async def test_without_a_kubeconfig_a_probe_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Refused, match="no kubeconfig"):
        Identity.of(KubernetesConfig(image="i:1"))
    health = await KubernetesDriver().machine()
    assert not health.ok
    assert all(check.mend for check in health.checks if not check.ok)
