"""A pod: what is asked of the cluster, and what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leasehold.drivers.errors import DriverError, Gone, Refused
from leasehold.drivers.place import Tags
from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig
from leasehold.drivers.sandbox.kubernetes.naming import (
    EPOCH,
    FAILING,
    annotations_of,
    labels_of,
    number_in,
    pod_name,
    tags_in,
)

CONTAINER = "place"
_VOLUME = "places"
_FOR_EVER = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
_HOPELESS = {
    "ImagePullBackOff": "look at the setting image, and at the secrets that pull it",
    "InvalidImageName": "look at the setting image",
    "ErrImageNeverPull": "look at the setting image",
    "RegistryUnavailable": "look at the setting image",
    "CreateContainerConfigError": "look at the settings of the environment",
    "CreateContainerError": "the image has to have sh; look at the settings of the environment",
    "RunContainerError": "the image has to have sh; look at the settings of the environment",
    "ContainerCannotRun": "the image has to have sh; look at the settings of the environment",
    "StartError": "the image has to have sh; look at the settings of the environment",
}


def manifest(config: KubernetesConfig, tags: Tags) -> dict[str, Any]:
    """The pod of a lease: one container that only sleeps, with a volume of its own for the place."""
    limits = {
        **({"memory": str(config.memory)} if config.memory else {}),
        **({"cpu": f"{round(config.cpus * 1000)}m"} if config.cpus else {}),
    }
    security = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
        **({} if config.user is None else {"runAsUser": config.user, "runAsGroup": config.user}),
    }
    container = {
        "name": CONTAINER,
        "image": config.image,
        "command": ["sh", "-c", _FOR_EVER],
        "resources": {"limits": limits, "requests": limits},
        "securityContext": security,
        "volumeMounts": [{"name": _VOLUME, "mountPath": config.root}],
    }
    optional = {
        "serviceAccountName": config.service_account,
        "activeDeadlineSeconds": config.max_ttl,
        "nodeSelector": config.node_selector,
        "hostNetwork": config.host_network,
    }
    room = {"sizeLimit": str(config.workspace)} if config.workspace else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(tags.key), "labels": labels_of(tags), "annotations": annotations_of(tags)},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": config.mount_token,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": _VOLUME, "emptyDir": room}],
            **{name: value for name, value in optional.items() if value},
        },
    }


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as the cluster tells of it."""

    value: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self._meta["name"])

    @property
    def uid(self) -> str:
        return str(self._meta["uid"])

    @property
    def version(self) -> str:
        return str(self._meta["resourceVersion"])

    @property
    def epoch(self) -> int:
        """The newest epoch that it has seen."""
        return number_in(self._annotations, EPOCH)

    @property
    def failing_since(self) -> int | None:
        """When its end failed for the first time, in seconds since 1970 UTC."""
        return number_in(self._annotations, FAILING) or None

    @property
    def tags(self) -> Tags:
        """Whose it is. Raises ``Damaged`` for one that is not ours."""
        return tags_in(self.name, self._annotations)

    @property
    def leaving(self) -> bool:
        """Whether it is being removed."""
        return "deletionTimestamp" in self._meta

    @property
    def ended(self) -> bool:
        """Whether it runs no more, and never will again."""
        return self.leaving or self._status.get("phase") in ("Failed", "Succeeded")

    @property
    def running(self) -> bool:
        return not self.ended and "running" in _part(self._container, "state")

    @property
    def state(self) -> str:
        """What it is doing, in a few words."""
        if self.leaving:
            return "being removed"
        phase = str(self._status.get("phase", "not yet seen by a node"))
        return f"{phase}{''.join(f': {reason}' for reason in self._reasons() if reason)}"

    def trouble(self) -> DriverError | None:
        """Why it does not run and never will; none where it may yet."""
        for word, hint in _HOPELESS.items():
            if word in (self._waiting.get("reason"), self._terminated.get("reason")):
                return Refused(f"the pod {self.name} cannot start: {self.state}", hint=hint)
        if self.ended:
            hint = "raise max_ttl, or take a new lease" if "DeadlineExceeded" in self.state else "take a new lease"
            return Gone(f"the pod {self.name} has ended: {self.state}", hint=hint)
        return None

    def _reasons(self) -> list[str]:
        """The cluster's own words, the nearest to the cause first."""
        for said in (self._status, self._waiting, self._terminated, self._unscheduled):
            if said.get("reason"):
                return [str(said["reason"]), " ".join(str(said.get("message", "")).split())]
        return []

    @property
    def _unscheduled(self) -> Mapping[str, Any]:
        for condition in _list(self._status, "conditions"):
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return condition
        return {}

    @property
    def _waiting(self) -> Mapping[str, Any]:
        return _part(_part(self._container, "state"), "waiting")

    @property
    def _terminated(self) -> Mapping[str, Any]:
        return _part(_part(self._container, "state"), "terminated")

    @property
    def _container(self) -> Mapping[str, Any]:
        for container in _list(self._status, "containerStatuses"):
            if container.get("name") == CONTAINER:
                return container
        return {}

    @property
    def _meta(self) -> Mapping[str, Any]:
        return _part(self.value, "metadata")

    @property
    def _annotations(self) -> Mapping[str, Any]:
        return _part(self._meta, "annotations")

    @property
    def _status(self) -> Mapping[str, Any]:
        return _part(self.value, "status")


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What stands under a name; the API leaves out what is empty, or says null."""
    return value.get(name) or {}


def _list(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return value.get(name) or []
