"""How a cluster is reached: the client library, and the identity that it is used under."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from leasehold.drivers.errors import DriverError, Refused, Unavailable
from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig

INSTALL = "install its extra: pip install '.[kubernetes]' in a clone of Leasehold"
_FRESH = 60.0
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# When nothing was heard for so long, the connection is asked whether it lives; a dead one is seen in half a minute.
_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPALIVE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 120_000}


def lacking() -> DriverError | None:
    """Why the client library cannot be used here; none where it can."""
    try:
        found = find_spec("kubernetes.aio") and find_spec("aiohttp")
    except ModuleNotFoundError:
        found = None
    return None if found else Unavailable("the Kubernetes client is not installed", hint=INSTALL)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cluster, and who we are there: a kubeconfig's context, or, without a file, the pod that we run in."""

    file: Path | None
    context: str | None

    @classmethod
    def of(cls, config: KubernetesConfig) -> "Identity":
        """What the config names, or else what is found here. Raises ``Refused`` where there is nothing."""
        if config.kubeconfig is not None:
            return cls._named(config.kubeconfig, config.context, "look at the setting kubeconfig")
        named = os.environ.get("KUBECONFIG")
        if named:
            return cls._named(named, config.context, "look at the variable KUBECONFIG")
        usual = Path("~/.kube/config").expanduser()
        if usual.is_file():
            return cls(usual, config.context)
        if (_SERVICE_ACCOUNT / "token").is_file():
            return cls(None, None)
        raise Refused(
            "no kubeconfig names a cluster, and this is no pod", hint="set kubeconfig, or the variable KUBECONFIG"
        )

    @classmethod
    def _named(cls, text: str, context: str | None, hint: str) -> "Identity":
        file = Path(text).expanduser()
        if not file.is_file():
            raise Refused(f"there is no kubeconfig {file}", hint=hint)
        return cls(file, context)

    @property
    def described(self) -> str:
        """For a person."""
        if self.file is None:
            return "the service account of this pod"
        return f"{self.file}{'' if self.context is None else f', context {self.context}'}"


class Access:
    """The way to one cluster, for one verb or one target: credentials are read again when they may be stale.

    ``pinned`` is where the pod in question stands: its namespace is used, and no other server can say that it is gone.
    """

    def __init__(self, config: KubernetesConfig, pinned: Mapping[str, Any] | None = None) -> None:
        self._config = config
        self._pinned = pinned or {}
        self._loaded: Any = None
        self._namespace = "default"
        self._at = 0.0

    async def client(self) -> Any:
        """A client of the library's; the caller closes it. Raises ``Unavailable`` and ``Refused``."""
        library = await self._library("client")
        if self._loaded is None or time.monotonic() - self._at > _FRESH:
            self._loaded, self._namespace = await self._load(library)
            self._at = time.monotonic()
        # it reads the certificates of the system or the cluster
        return await asyncio.to_thread(library.ApiClient, self._loaded)

    @property
    def namespace(self) -> str:
        """Where pods stand, once a client was made."""
        return self._pinned.get("namespace") or self._config.namespace or self._namespace

    @property
    def server(self) -> str:
        """The cluster's address, once a client was made."""
        return str(self._loaded.host)

    @property
    def where(self) -> str:
        """The server and the namespace, once they are known."""
        known = self._pinned.get("server") or (None if self._loaded is None else self.server)
        return "" if known is None else f"{known} {self.namespace}"

    def check_absent(self, pod: str) -> None:
        """Raise ``Unavailable`` where a pod that is not there is at another server."""
        there = self._pinned.get("server", self.server)
        if there != self.server:
            raise Unavailable(
                f"the pod {pod} is at {there}, and {self.server} is what the kubeconfig names now",
                hint="have the kubeconfig's context name that cluster, or set kubeconfig and context",
            )

    async def _load(self, library: Any) -> tuple[Any, str]:
        identity = Identity.of(self._config)
        config = await self._library("config")
        loaded = library.Configuration()
        try:
            if identity.file is None:
                config.load_incluster_config(client_configuration=loaded)
                return loaded, (_SERVICE_ACCOUNT / "namespace").read_text().strip()
            loader = await config.load_kube_config(
                config_file=str(identity.file),
                context=identity.context,
                client_configuration=loaded,
                persist_config=False,
            )
            return loaded, str(loader.current_context["context"].get("namespace") or "default")
        except DriverError:
            raise
        except Exception as error:  # the library raises of many kinds for a file that it cannot read
            said = " ".join(str(error).split()) or type(error).__name__
            raise Refused(f"{identity.described}: {said}", hint="look at the kubeconfig and its context") from error

    async def _library(self, part: str) -> Any:
        lacks = lacking()
        if lacks is not None:
            raise lacks
        return await asyncio.to_thread(import_module, f"kubernetes.aio.{part}")


def alive_socket(address: tuple[int, int, int, str, Any]) -> socket.socket:
    """A socket whose other end's death is noticed while nothing is said."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
