"""A cluster's pods, by its API. Every call has a bound; nothing is tried twice."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Conflict, Damaged, DriverError, Gone, Stale, TimedOut
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.asking import within
from leasehold.drivers.sandbox.kubernetes.access import Access
from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig
from leasehold.drivers.sandbox.kubernetes.meaning import meaning, unreached
from leasehold.drivers.sandbox.kubernetes.naming import EPOCH, FAILING, selector
from leasehold.drivers.sandbox.kubernetes.pod import Pod, manifest

_CALL = 30.0
_INSISTS = 3600.0
_PAGE = 500
_LOOK = 0.25
_MOST_LOOK = 2.0


class Cluster:
    """Pods of one namespace. Entered, it has a client of its own, which goes when it is left."""

    def __init__(self, access: Access, context: Context) -> None:
        self.access = access
        self._context = context
        self._client: Any = None
        self._now = time.time()

    async def __aenter__(self) -> "Cluster":
        self._client = await within(self._context, self.access.client())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def find(self, name: str) -> Pod | None:
        """The pod of a name. Raises ``Unavailable`` where another cluster than its own answers."""
        try:
            return Pod(await self._call("GET", self._path(name), doing=f"the pod {name}"))
        except Gone:
            self.access.check_absent(name)
            return None

    async def create(self, tags: Tags, config: KubernetesConfig) -> bool:
        """Create a pod; false where one of its name is there already: the cluster makes no second."""
        wanted = manifest(config, tags)
        name = wanted["metadata"]["name"]
        try:
            await self._call("POST", self._path(), body=wanted, doing=f"the pod {name} cannot be made")
        except Conflict:
            return False
        return True

    async def fence(self, pod: Pod) -> Pod:
        """The pod, with our epoch as the newest that it has seen. Raises ``Stale`` where it has seen a newer one."""
        epoch = self._context.epoch
        while pod.epoch < epoch:
            try:
                return await self._noted(pod, EPOCH, str(epoch))
            except Conflict:  # it has changed meanwhile
                found = await self.find(pod.name)
                if found is None:
                    raise Gone(f"the pod {pod.name} is gone", hint="take a new lease") from None
                pod = found
        if pod.epoch > epoch:
            raise Stale(
                f"the pod {pod.name} has seen epoch {pod.epoch}; a verb under epoch {epoch} is refused",
                seen=pod.epoch,
                hint="another process has taken the lease over; if the store was restored from a backup, "
                "run leasehold db restored",
            )
        return pod

    async def insists(self, pod: Pod) -> bool:
        """Whether this pod's end has failed for as long as it may: the first time is noted down at the pod."""
        now = self._now  # the server's clock: another machine may go on with what this one began
        if pod.failing_since is None:
            with suppress(Conflict):  # it has changed meanwhile: the next time, then
                await self._noted(pod, FAILING, f"{now:.0f}")
        return now - (pod.failing_since or now) > _INSISTS

    async def _noted(self, pod: Pod, name: str, value: str) -> Pod:
        change = {"metadata": {"resourceVersion": pod.version, "annotations": {name: value}}}
        return Pod(await self._call("PATCH", self._path(pod.name), body=change, doing=f"the pod {pod.name}"))

    async def started(self, pod: Pod, seconds: float) -> Pod:
        """The pod, once it runs. Raises what it comes to where it never will, or not in this time."""
        told, pause = "", _LOOK
        begun = asyncio.get_running_loop().time()
        left = min(seconds, self._context.remaining() - 1.0)
        while not pod.running:
            trouble = pod.trouble()
            if trouble is not None:
                raise trouble
            if pod.state != told:
                told = pod.state
                self._context.progress(f"the pod {pod.name} is {told}")
            if asyncio.get_running_loop().time() - begun > left:
                raise TimedOut(
                    f"the pod {pod.name} did not run within {max(left, 0.0):.0f} s: {told}",
                    hint="look at the cluster's nodes and at the limits and node_selector of the environment",
                )
            await within(self._context, asyncio.sleep(pause))
            pause = min(_MOST_LOOK, pause * 1.3)
            found = await self.find(pod.name)
            if found is None:
                raise Gone(f"the pod {pod.name} was removed while it started", hint="take a new lease")
            pod = found
        return pod

    async def remove(self, pod: Pod) -> bool:
        """Remove just this pod, at once; gone already is success, and false."""
        # Without grace: with a second of it, a node may take the better part of a minute.
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        try:
            await self._call("DELETE", self._path(pod.name), body=body, doing=f"the pod {pod.name} cannot be removed")
        except (Gone, Conflict):  # another of this name is not ours to remove
            return False
        return True

    async def owned(self, ledger: str | None) -> AsyncIterator[Pod]:
        """All pods of ours, of one ledger or of any. What bears our labels and no tags is passed over."""
        query: dict[str, Any] = {"labelSelector": selector(ledger), "limit": _PAGE}
        while True:
            said = await self._call("GET", self._path(), query=query, doing="pods cannot be listed")
            for value in said["items"]:
                pod = Pod(value)
                try:
                    tags = pod.tags
                except Damaged:
                    continue
                if ledger in (None, tags.ledger):
                    yield pod
            further = said["metadata"].get("continue")
            if not further:
                return
            query["continue"] = further

    async def version(self) -> str:
        """The API server's own."""
        return str((await self._call("GET", "/version", doing="the version cannot be read"))["gitVersion"])

    async def may(self, verb: str, resource: str, subresource: str = "") -> bool:
        """Whether we may do that in the namespace."""
        asked = {"namespace": self.access.namespace, "verb": verb, "resource": resource, "subresource": subresource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        said = await self._call("POST", path, body=body, doing="our rights cannot be asked for")
        return bool(said["status"]["allowed"])

    async def namespace(self) -> None:
        """Look at the namespace. Raises ``Refused`` where it is not there, or may not be looked at."""
        path = f"/api/v1/namespaces/{self.access.namespace}"
        await self._call("GET", path, doing="the namespace")

    def _path(self, name: str | None = None) -> str:
        pods = f"/api/v1/namespaces/{self.access.namespace}/pods"
        return pods if name is None else f"{pods}/{name}"

    async def _call(
        self, method: str, path: str, *, doing: str, query: dict[str, Any] | None = None, body: Any = None
    ) -> dict[str, Any]:
        seconds = min(_CALL, self._context.remaining())
        path = f"{path}?{urlencode(query)}" if query else path
        asking = ask_api(self._client, method, path, body, doing=doing, seconds=seconds)
        answer, self._now = await within(self._context, asking)
        return answer


async def ask_api(
    client: Any, method: str, path: str, body: Any, *, doing: str, seconds: float
) -> tuple[dict[str, Any], float]:
    """One call of the API; its answer, and when it came by the server's clock, in seconds since 1970 UTC.

    Raises what it means that it is no, or that there is none.
    """
    try:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind}
        asked = await client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        method, url, headers, body, _ = asked
        bound = import_module("aiohttp").ClientTimeout(total=seconds)
        async with asyncio.timeout(seconds):
            response = await client.call_api(method, url, headers, body, _request_timeout=bound)
            said: bytes = await response.read()
    except DriverError:
        raise
    except Exception as error:  # of aiohttp's many kinds, of the system's, of an identity that is refreshed
        raise unreached(error, client.configuration.host) from error
    if not 200 <= response.status < 300:
        raise meaning(response.status, said, doing=doing)
    answer: dict[str, Any] = json.loads(said)
    date = response.headers.get("Date")
    return answer, parsedate_to_datetime(date).timestamp() if date else time.time()
