"""Pods of a real cluster that end whatever their runs made of them, and that no other cluster calls gone."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cluster
import pytest
from cluster import Cluster
from leasehold.drivers.capabilities import Mode
from leasehold.drivers.command import Command
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Conflict, Stale, Unavailable
from leasehold.drivers.place import Condition, Handle, PlaceRequest, ReleaseMode, Tags, Unknown
from leasehold.drivers.sandbox.kubernetes import KubernetesConfig, KubernetesDriver
from leasehold.drivers.workspace import Realization, Workspace


class Bench:
    """A pod of a lease, with a tree."""

    def __init__(self, folder: Path, pods: Cluster) -> None:
        self.folder = folder
        self.pods = pods
        self.driver = KubernetesDriver()
        self.key = f"ledger-{uuid.uuid4().hex}-1"  # a node takes its time with a pod of the same name
        self.source = folder / "source"
        self.source.mkdir()
        (self.source / "a").write_text("a\n")

    def context(self, epoch: int = 1, **config: Any) -> Context:
        parsed = KubernetesConfig.model_validate({**self.pods.config(), **config})
        return Context(parsed, time.monotonic() + 60, epoch, "ledger", "lease", self.folder / "state")

    async def make(self) -> tuple[Handle, Realization]:
        workspace, context = Workspace(self.source, Mode.COPY), self.context()
        request, tags = PlaceRequest("company", "lease", "run", workspace), Tags("ledger", "lease", self.key, 1, 0)
        handle = await self.driver.acquire(self.key, request, tags, context)
        return handle, await self.driver.realize(handle, workspace, context)

    async def within(self, handle: Handle, realization: Realization, script: str) -> None:
        """What a run does in the pod."""
        target = await self.driver.target(handle, realization, self.context())
        result = await target.execute(Command((script,), shell=True, timeout=30))
        assert result.ok, result
        await target.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = cluster.cluster(f"leasehold-pods-{uuid.uuid4().hex[:8]}")  # other tests run beside this one
    if found is None:
        pytest.skip(cluster.LACKING)
    yield Bench(tmp_path, found)
    for name in found.pods():
        found.remove(name)


async def test_a_pod_that_cannot_be_read_is_tried_for_a_while_and_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200)  # a machine whose clock is wrong: the server's counts
    handle, realization = await bench.make()
    await bench.within(handle, realization, f"rm /leasehold/{bench.key}/place.json")
    with pytest.raises(Conflict, match="no place of ours"):
        await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context(2))
    [pod] = bench.pods.pods().values()
    assert abs(float(pod["metadata"]["annotations"]["leasehold/failing-since"]) - real()) < 60
    pod["metadata"]["annotations"]["leasehold/failing-since"] = f"{real() - 7200:.0f}"
    bench.pods.ask("PUT", f"{bench.pods.path}/pods/{handle.place}", pod)
    released = await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context(2))
    assert released.was_there
    assert any("cannot be read" in note for note in released.notes)


async def test_an_epoch_that_a_run_wrote_tells_nothing_of_the_store(bench: Bench) -> None:
    handle, realization = await bench.make()
    await bench.within(handle, realization, f"printf '%020d stays\\n' 999999999999 > /leasehold/.fences/{bench.key}")
    with pytest.raises(Stale) as raised:
        await bench.driver.target(handle, realization, bench.context())
    assert raised.value.seen is None


async def test_another_cluster_cannot_say_that_a_pod_is_gone(bench: Bench) -> None:
    handle, _ = await bench.make()
    assert (await bench.driver.inspect(handle, bench.context(namespace="default"))).condition is Condition.READY
    elsewhere = replace(handle, data={**handle.data, "server": "https://elsewhere:6443"})
    bench.pods.remove(handle.place)
    with pytest.raises(Unavailable, match="https://elsewhere:6443"):
        await bench.driver.release(elsewhere, ReleaseMode.DESTROY, bench.context())
    assert isinstance(await bench.driver.recover(bench.key, elsewhere, bench.context()), Unknown)
    assert not (await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context())).was_there
