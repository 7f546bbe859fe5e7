"""Whether pods would stand and run in a cluster now."""

import asyncio
import time
from pathlib import Path

from leasehold.drivers.context import Context
from leasehold.drivers.driver import Check, Health
from leasehold.drivers.errors import Refused
from leasehold.drivers.looking import Sick, timed
from leasehold.drivers.sandbox.kubernetes.access import Access, Identity, lacking
from leasehold.drivers.sandbox.kubernetes.cluster import Cluster
from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig
from leasehold.drivers.secret import can_be_read

_BOUND = 20.0
_RIGHTS = (
    ("create", "pods", ""),
    ("get", "pods", ""),
    ("list", "pods", ""),
    ("patch", "pods", ""),
    ("delete", "pods", ""),
    ("create", "pods", "exec"),
    ("get", "pods", "exec"),
)


async def look_at_machine(config: KubernetesConfig) -> Health:
    """Look at the client, the kubeconfig and the API server. Leaves nothing."""
    checks = [await timed("client", _client)]
    if checks[-1].ok:
        checks.append(await timed("identity", lambda: _identity(config)))
    if checks[-1].ok:
        checks.append(await timed("API server", lambda: _server(config)))
    return Health(tuple(checks))


async def look(config: KubernetesConfig) -> Health:
    """Look at the cluster, the namespace, our rights and the secrets. Leaves nothing."""
    health = await look_at_machine(config)
    if not health.ok:
        return health
    checks: list[Check] = [*health.checks, await timed("namespace", lambda: _namespace(config))]
    if checks[-1].ok:
        checks.append(await timed("rights", lambda: _rights(config)))
    if config.variables:
        checks.append(await timed("variables", lambda: asyncio.to_thread(can_be_read, config.variables.values())))
    return Health(tuple(checks))


async def _client() -> str:
    lacks = lacking()
    if lacks is not None:
        raise Sick(str(lacks), lacks.hint)
    return "the Kubernetes client is installed"


async def _identity(config: KubernetesConfig) -> str:
    return (await asyncio.to_thread(Identity.of, config)).described


async def _server(config: KubernetesConfig) -> str:
    async with _cluster(config) as cluster:
        return await cluster.version()


async def _namespace(config: KubernetesConfig) -> str:
    async with _cluster(config) as cluster:
        try:
            await cluster.namespace()
        except Refused as error:
            if "forbidden" in str(error):  # who may make pods in it need not be allowed to look at it
                return f"{cluster.access.namespace}: whether it is there may not be seen"
            raise
        return cluster.access.namespace


async def _rights(config: KubernetesConfig) -> str:
    async with _cluster(config) as cluster:
        answers = await asyncio.gather(*(cluster.may(*right) for right in _RIGHTS))
        lacks = [
            f"{verb} {'/'.join(filter(None, what))}"
            for (verb, *what), may in zip(_RIGHTS, answers, strict=True)
            if not may
        ]
        if lacks:
            raise Sick(
                f"in {cluster.access.namespace} we may not {', '.join(lacks)}",
                "have the rights given: docs/how-to/kubernetes.md has the role",
            )
        return f"pods may be made in {cluster.access.namespace}"


def _cluster(config: KubernetesConfig) -> Cluster:
    return Cluster(Access(config), Context(config, time.monotonic() + _BOUND, 0, "", "", Path()))
