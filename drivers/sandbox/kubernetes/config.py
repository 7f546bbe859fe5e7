"""What an environment of pods may be told."""

import re
from typing import Annotated

from leasehold.drivers.sandbox.container.config import Word
from leasehold.drivers.sandbox.limits import Size
from leasehold.drivers.secret import Secret
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > 253:
        raise ValueError(f"{value!r} is no name of Kubernetes': lower case, digits, - and .")
    return value


def _folder(value: str) -> str:
    if not value.startswith("/") or value.strip("/") == "" or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no absolute path of a folder of its own")
    return value.rstrip("/")


Name = Annotated[str, AfterValidator(_name)]
Folder = Annotated[str, AfterValidator(_folder)]


class KubernetesConfig(BaseModel):
    """The config of pods.

    Attributes:
        image: what pods are made of, best by digest: ``NAME@sha256:…``. It has to have ``sh`` and ``tar``.
        namespace: where they stand; none: the context's own, else ``default``.
        kubeconfig: the file that names the cluster; none: ``KUBECONFIG``, ``~/.kube/config``, or in a pod its own
            identity.
        context: which of the file's contexts; none: its current one.
        service_account: who pods are in the cluster; their token is mounted only with ``mount_token``.
        mount_token: whether commands get the service account's token.
        user: the number of the user that commands run as; none: as the image says.
        memory: bytes of memory that a pod may use; or as in ``512m``, ``2g``.
        cpus: processors, in parts of one too.
        workspace: bytes that the place's volume may hold; a pod that writes more is evicted.
        node_selector: labels that a node has to bear.
        host_network: pods use their node's network.
        max_ttl: seconds after which the cluster itself ends a pod, whatever became of us.
        start_timeout: seconds until a pod has to run.
        root: the folder in the pod below which places stand.
        pass_variables: variables of this machine, by name, that commands get.
        variables: variables of the environment's own, each named by a secret reference.
        probe: look at the cluster before each lease.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Word
    namespace: Name | None = None
    kubeconfig: str | None = None
    context: str | None = None
    service_account: Name | None = None
    mount_token: bool = False
    user: Annotated[int, Field(ge=0)] | None = None
    memory: Annotated[Size, Field(ge=4 * 1024 * 1024)] | None = None
    cpus: Annotated[float, Field(gt=0)] | None = None
    workspace: Annotated[Size, Field(gt=0)] | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    host_network: bool = False
    max_ttl: Annotated[int, Field(ge=1)] | None = None
    start_timeout: Annotated[float, Field(gt=0)] = 300.0
    root: Folder = "/leasehold"
    pass_variables: tuple[str, ...] = ()
    variables: dict[str, Secret] = Field(default_factory=dict)
    probe: bool = False
