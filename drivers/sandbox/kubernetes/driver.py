"""Places that are pods of a Kubernetes cluster."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import suppress

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.capabilities import Capabilities, Fencing, Limiting, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health
from leasehold.drivers.errors import Conflict, Damaged, DriverError, Gone, Stale, Unavailable
from leasehold.drivers.keeping import remove_old_archives
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import (
    Absent,
    Condition,
    Found,
    Handle,
    Observed,
    PlaceRequest,
    Released,
    ReleaseMode,
    Resource,
    Tags,
    Unknown,
)
from leasehold.drivers.remote.driver import RemoteDriver
from leasehold.drivers.remote.old_mirrors import remove_old_mirrors
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.remains import quieted
from leasehold.drivers.remote.tree import RemoteTree
from leasehold.drivers.sandbox.kubernetes.access import Access
from leasehold.drivers.sandbox.kubernetes.cluster import Cluster
from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig
from leasehold.drivers.sandbox.kubernetes.link import PodLink
from leasehold.drivers.sandbox.kubernetes.naming import pod_name
from leasehold.drivers.sandbox.kubernetes.pod import CONTAINER, Pod
from leasehold.drivers.sandbox.kubernetes.probe import look, look_at_machine

DRIVER = "kubernetes"
_SETTLES = 1.0


class KubernetesDriver(RemoteDriver):
    """A place is a pod of the lease's own, named by its key; the workspace is copied into it.

    The cluster makes no second pod of one name, so the same key is the same place. A pod bears the newest
    epoch that it has seen, and so does the fence within it; a key without a pod is refused to nobody.
    """

    name = DRIVER
    Config = KubernetesConfig

    def capabilities(self, config: KubernetesConfig) -> Capabilities:
        limited = config.memory or config.cpus or config.workspace
        return Capabilities(
            Transport.SANDBOX,
            modes=(Mode.COPY,),
            fencing=Fencing.ADVISORY,
            keyed=True,
            tagged=True,
            visibility_delay=_SETTLES,
            keeps=True,
            parks=True,
            syncs_back=True,
            limits=Limiting.ENFORCED if limited else Limiting.NONE,
            summary="pods of a Kubernetes cluster: a copy of the workspace there, and its changes back",
        )

    async def probe(self, config: KubernetesConfig) -> Health:
        return await look(config)

    async def machine(self) -> Health:
        """Whether a cluster is reached from here, whatever an environment's settings."""
        return await look_at_machine(KubernetesConfig(image="any"))

    def reached(self, handle: Handle, context: Context) -> RemotePlace:
        return _place(Access(context.config, handle.data), _key_of(handle), context)

    async def acquire(self, key: str, request: PlaceRequest, tags: Tags, context: Context) -> Handle:
        config: KubernetesConfig = context.config
        await off_loop(context, lambda _: remove_old_archives(context.state_folder))
        async with _cluster(context) as cluster:
            pod = await cluster.find(pod_name(key))
            if pod is None:
                context.check()
                await cluster.create(tags, config)
                pod = await cluster.find(pod_name(key))
            if pod is None:
                raise Gone(f"the pod {pod_name(key)} was removed as soon as it was made")
            pod.tags.demand(f"the pod {pod.name}", tags.ledger)
            pod = await cluster.started(await cluster.fence(pod), config.start_timeout)
            place = _place(cluster.access, key, context)
            await place.make(tags, {}, context)

            async def gone(other: str) -> bool:
                return await cluster.find(pod_name(other)) is None

            await remove_old_mirrors(place.where, gone, context)
            return _handle(pod, cluster, context)

    async def recover(self, key: str, handle: Handle | None, context: Context) -> Found | Absent | Unknown:
        key = key if handle is None else _key_of(handle)
        try:
            async with _cluster(context, handle) as cluster:
                pod = await cluster.find(pod_name(key))
                if pod is None:  # what a dead caller asked for may still be on its way
                    await asyncio.sleep(min(_SETTLES, context.remaining()))
                    pod = await cluster.find(pod_name(key))
                if pod is not None:
                    pod = await cluster.fence(pod)
                    if pod.running:
                        with suppress(Stale, Conflict, Damaged):  # whatever it says, it can be ended from outside
                            await _place(cluster.access, key, context).find(context)
                    return Found(_handle(pod, cluster, context))
        except (Conflict, Damaged, Gone, Unavailable) as error:
            return Unknown(str(error))
        await RemoteTree(_place(Access(context.config), key, context), context).forget()
        return Absent()

    async def trouble(self, handle: Handle, context: Context) -> Observed | None:
        async with _cluster(context, handle) as cluster:
            pod = await cluster.find(handle.place)
        if pod is None:
            return Observed(Condition.GONE, f"the pod {handle.place} is gone")
        if not pod.running:
            return Observed(Condition.GONE if pod.ended else Condition.STOPPED, f"the pod {pod.name} is {pod.state}")
        return None

    async def end(self, handle: Handle, mode: ReleaseMode, context: Context, listed: Tags | None) -> Released:
        key, notes = _key_of(handle), list[str]()
        async with _cluster(context, handle) as cluster:
            pod = await cluster.find(handle.place)
            place = _place(cluster.access, key, context)
            if pod is not None:
                pod.tags.demand(f"the pod {pod.name}", context.ledger, listed)
                pod = await cluster.fence(pod)
            if mode is not ReleaseMode.DESTROY:
                if pod is None or pod.ended:
                    raise Gone(f"the pod {handle.place} is gone: there is nothing to keep")
                if pod.running and await place.find(context) is not None:
                    notes.extend(await quieted(place, context))
                return Released(open_with=_opened(pod, cluster, context), notes=tuple(notes))

            async def remove() -> bool:
                return pod is not None and await cluster.remove(pod)

            tree = RemoteTree(place, context)
            if pod is not None and pod.running:
                try:
                    return await tree.finish(await tree.keep_within(), remove)
                except DriverError as error:
                    # Whatever its run made of it, it ends; but a node may be out of reach for a while.
                    context.check()
                    if not await cluster.insists(pod):
                        raise
                    notes.append(f"what was not brought back cannot be read: {error}")
            elif pod is not None and pod.ended:
                notes.append(f"what was not brought back cannot be read: the pod {pod.name} has ended: {pod.state}")
            return await tree.end(None, remove, Ended(notes=tuple(notes)))

    async def owned(self, ledger: str | None, context: Context) -> AsyncIterator[Resource]:
        async with _cluster(context) as cluster:
            async for pod in cluster.owned(ledger):
                yield Resource(DRIVER, pod.name, pod.tags, _handle(pod, cluster, context), detail=pod.state)


def _cluster(context: Context, handle: Handle | None = None) -> Cluster:
    return Cluster(Access(context.config, None if handle is None else handle.data), context)


def _place(access: Access, key: str, context: Context) -> RemotePlace:
    config: KubernetesConfig = context.config
    return RemotePlace(PodLink(access, pod_name(key)), config.root, key, access.where)


def _key_of(handle: Handle) -> str:
    key = str(handle.data.get("key", ""))
    if handle.driver != DRIVER or not key or pod_name(key) != handle.place:
        raise Damaged(f"this is no handle of a pod: {handle.place}")
    return key


def _handle(pod: Pod, cluster: Cluster, context: Context) -> Handle:
    key, config = pod.tags.key, context.config
    where = {"namespace": cluster.access.namespace, "server": cluster.access.server}
    return Handle(DRIVER, pod.name, {"key": key, "folder": f"{config.root}/{key}", "uid": pod.uid, **where})


def _opened(pod: Pod, cluster: Cluster, context: Context) -> str:
    config: KubernetesConfig = context.config
    words = ["kubectl"]
    words += ["--kubeconfig", config.kubeconfig] if config.kubeconfig is not None else []
    words += ["--context", config.context] if config.context is not None else []
    words += ["-n", cluster.access.namespace, "exec", "-it", pod.name, "-c", CONTAINER, "--"]
    inner = f"cd {config.root}/{pod.tags.key}/tree 2>/dev/null; command -v bash >/dev/null && exec bash; exec sh"
    return shlex.join([*words, "sh", "-c", inner])
