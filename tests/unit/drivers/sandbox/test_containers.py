"""Containers, whatever their runs made of them: they end, and what they hold is kept."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import kept_file, sh
from docker import Docker
from leasehold.drivers.capabilities import Mode
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Stale, Unavailable
from leasehold.drivers.place import Absent, Condition, Found, Handle, PlaceRequest, ReleaseMode, Tags, Unknown
from leasehold.drivers.sandbox.container import DockerDriver
from leasehold.drivers.workspace import Realization, Workspace

KEY = "ledger-lease-1"
NAME = f"leasehold-{KEY}"
TREE = f"/leasehold/{KEY}/tree"


class Bench:
    """A container of a lease, with a tree."""

    def __init__(self, folder: Path, engine: Docker) -> None:
        self.folder = folder
        self.engine = engine
        self.driver = DockerDriver()
        self.source = folder / "source"
        self.source.mkdir()
        sh(self.source, "git init -q; echo a > a; git add -A; git commit -qm one")

    def context(self, seconds: float = 60.0, epoch: int = 1, **config: Any) -> Context:
        parsed = self.driver.Config.model_validate({**self.engine.config(), "pids": 64, **config})
        return Context(parsed, time.monotonic() + seconds, epoch, "ledger", "lease", self.folder / "state")

    async def make(self, **config: Any) -> tuple[Handle, Realization]:
        workspace, context = Workspace(self.source, Mode.COPY), self.context(**config)
        request, tags = PlaceRequest("company", "lease", "run", workspace), Tags("ledger", "lease", KEY, 1, 0)
        handle = await self.driver.acquire(KEY, request, tags, context)
        realization = await self.driver.realize(handle, workspace, context)
        await self.driver.baseline(handle, realization, context)
        return handle, realization

    def within(self, script: str, *words: str) -> None:
        """What a run does in the container."""
        self.engine.ask("exec", *words, NAME, "sh", "-c", script)


@pytest.fixture
def bench(tmp_path: Path, docker_engine: Docker) -> Iterator[Bench]:
    yield Bench(tmp_path, docker_engine)
    docker_engine.clear()


HARMS: dict[str, Callable[[Bench], None]] = {
    "epoch": lambda bench: bench.within(f"printf '%020d stays\n' 999999999999 > /leasehold/.fences/{KEY}"),
    "tags": lambda bench: bench.within(f"rm /leasehold/{KEY}/place.json"),
    "deep": lambda bench: bench.within(
        f"cd {TREE}; n=$(printf %99s '' | tr ' ' d); i=0; while [ $i -lt 60 ]; do mkdir $n; cd $n; i=$((i + 1)); done"
    ),
    "writer": lambda bench: bench.within(
        f"cd {TREE}; i=0; while :; do i=$((i + 1)); : > f$i; rm f$((i - 9)) 2>/dev/null; done", "-d"
    ),
    "shell": lambda bench: bench.within("rm /lib64"),
    "forks": lambda bench: bench.within("while :; do sleep 600 & done", "-d"),
    "lock": lambda bench: bench.within(f"flock /leasehold/.fences/{KEY} sleep 600", "-d"),
    "junk": lambda bench: bench.within(
        f"cd /leasehold/{KEY}/run; printf '#!/bin/sh\necho junk' > p; chmod +x p; echo $PWD/p > python;"
        " mkdir -p code-x; : > code-x/agent.py"
    ),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
async def test_a_container_ends_whatever_its_run_made_of_it(bench: Bench, harm: Callable[[Bench], None]) -> None:
    handle, realization = await bench.make()
    target = await bench.driver.target(handle, realization, bench.context())
    await target.write("a", b"work\n")
    await target.close()
    harm(bench)
    released = await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context(16, epoch=2))
    assert bench.engine.containers() == set()
    assert "work" in [kept_file(bench.source, kept, "a") for kept in released.kept], released


async def test_an_epoch_that_a_run_wrote_tells_nothing_of_the_store(bench: Bench) -> None:
    handle, realization = await bench.make()
    await bench.driver.target(handle, realization, bench.context())  # the run's
    HARMS["epoch"](bench)
    with pytest.raises(Stale) as raised:
        await bench.driver.target(handle, realization, bench.context())
    assert raised.value.seen is None
    assert isinstance(await bench.driver.recover(KEY, handle, bench.context(epoch=2)), Found)
    with pytest.raises(Stale) as raised:
        await bench.driver.target(handle, realization, bench.context())
    assert raised.value.seen == 2, "the fence outside is ours"


@pytest.fixture
def other_engine() -> Iterator[Docker]:
    with tempfile.TemporaryDirectory(prefix="lh-docker-", ignore_cleanup_errors=True) as folder:
        engine = Docker(Path(folder))
        engine.start()
        yield engine
        engine.stop()


async def test_another_engine_cannot_say_that_a_container_is_gone(bench: Bench, other_engine: Docker) -> None:
    handle, _ = await bench.make()
    elsewhere = bench.context(host=other_engine.host)
    with pytest.raises(Unavailable, match="another answers"):
        await bench.driver.release(handle, ReleaseMode.DESTROY, elsewhere)
    assert isinstance(await bench.driver.recover(KEY, handle, elsewhere), Unknown)
    assert (await bench.driver.inspect(handle, elsewhere)).condition is Condition.UNKNOWN
    assert bench.engine.names() == [NAME]
    await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context())
    assert isinstance(await bench.driver.recover(KEY, handle, bench.context(epoch=2)), Absent)
    assert not (await bench.driver.release(handle, ReleaseMode.DESTROY, bench.context(epoch=2))).was_there


async def test_what_stands_keeps_its_fence_and_what_is_gone_leaves_no_mirror(bench: Bench) -> None:
    await bench.make()
    state = bench.folder / "state"
    fence, mirrors = state / "containers" / ".fences" / KEY, state / "mirrors"
    gone, elsewhere = mirrors / "ledger-lease-2", mirrors / "ledger-lease-3"
    for mirror, where in ((gone, None), (elsewhere, "elsewhere /leasehold")):
        shutil.copytree(mirrors / KEY, mirror)
        facts = json.loads((mirror / "place.json").read_text())
        facts["tags"]["key"], facts["data"]["where"] = mirror.name, where or facts["data"]["where"]
        (mirror / "place.json").write_text(json.dumps(facts))
    for path in (fence, gone, elsewhere, mirrors / KEY):
        os.utime(path, (1e9, 1e9))
    context, other = bench.context(), Tags("ledger", "lease", "ledger-lease-4", 1, 0)
    request = PlaceRequest("company", "lease", "run", Workspace(bench.source, Mode.COPY))
    await bench.driver.acquire(other.key, request, other, context)
    assert fence.exists()
    assert {path.name for path in mirrors.iterdir()} - {".fences"} == {KEY, elsewhere.name}
