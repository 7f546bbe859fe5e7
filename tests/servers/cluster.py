"""A Kubernetes cluster that ``make test-kubernetes`` has started, seen without the driver."""

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

STARTED = "LEASEHOLD_TEST_KUBECONFIG" in os.environ
LACKING = "no cluster was started: make test-kubernetes"
IMAGE, BUSYBOX = "leasehold-test:1", "busybox:1"


class Cluster:
    """The API of a cluster, by its kubeconfig's server and token."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        text = Path(kubeconfig).read_text()
        self._server, self._token = re.findall(r'(?:server|token): "([^"]+)"', text)
        self.namespace = namespace
        self.make("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    @property
    def path(self) -> str:
        """The namespace that is looked at."""
        return f"/api/v1/namespaces/{self.namespace}"

    def config(self, image: str = IMAGE) -> dict[str, Any]:
        """An environment's settings. There is but the node's own network."""
        return {"image": image, "kubeconfig": self.kubeconfig, "namespace": self.namespace, "host_network": True}

    def kubeconfig_of(self, account: str, file: Path) -> str:
        """A kubeconfig of a service account that has no rights."""
        self.make(f"{self.path}/serviceaccounts", {"metadata": {"name": account}})
        path = f"{self.path}/serviceaccounts/{account}/token"
        token = self.ask("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        file.write_text(Path(self.kubeconfig).read_text().replace(self._token, token["status"]["token"]))
        return str(file)

    def grant(self, account: str, role: Any) -> None:
        """Give a service account of the namespace a role, which may be there already."""
        path, group = (
            f"/apis/rbac.authorization.k8s.io/v1{self.path.removeprefix('/api/v1')}",
            "rbac.authorization.k8s.io",
        )
        self.make(f"{path}/roles", role)
        named = {"apiGroup": group, "kind": "Role", "name": role["metadata"]["name"]}
        who = {"kind": "ServiceAccount", "name": account, "namespace": self.namespace}
        self.make(f"{path}/rolebindings", {"metadata": {"name": account}, "roleRef": named, "subjects": [who]})

    def pods(self) -> dict[str, Any]:
        """The namespace's pods, by name."""
        return {pod["metadata"]["name"]: pod for pod in self.ask("GET", f"{self.path}/pods")["items"]}

    def remove(self, name: str) -> None:
        """Remove a pod at once, as somebody else would."""
        self.ask("DELETE", f"{self.path}/pods/{name}", {"gracePeriodSeconds": 0})

    def evict(self, name: str) -> None:
        """Have the cluster move a pod away, as who empties a node does."""
        eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
        self.ask("POST", f"{self.path}/pods/{name}/eviction", eviction)

    def full(self) -> bool:
        """Whether the namespace takes no pod more."""
        container = {"name": "any", "image": BUSYBOX}
        pod = {"metadata": {"name": "any"}, "spec": {"containers": [container]}}
        try:
            self.ask("POST", f"{self.path}/pods?dryRun=All", pod)
        except urllib.error.HTTPError as error:
            return error.code == 403
        return False

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the API."""
        request = urllib.request.Request(
            f"{self._server}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(request, context=unverified, timeout=30) as answer:
            return json.load(answer)

    def make(self, path: str, body: Any) -> None:
        """Make an object, which may be there already."""
        try:
            self.ask("POST", path, body)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise


def cluster(namespace: str | None = None) -> Cluster | None:
    """The cluster that was started, by a namespace, else one of this process's; none where there is no cluster."""
    namespace = namespace or f"leasehold-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    return Cluster(os.environ["LEASEHOLD_TEST_KUBECONFIG"], namespace) if STARTED else None
