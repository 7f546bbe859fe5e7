"""Sandboxes beside the bare command lines, with bubblewrap and dockerd installed.

Each figure is a ratio within a round, both sides measured one after the other; the median counts.
"""

import asyncio
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from docker import Docker, lacking
from figure import Figure
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.settings import Settings

_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")
_MOUNTS = ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
_BARE = ["bwrap", *_NAMESPACES, *_MOUNTS, "--die-with-parent", "true"]


def figures(times: int) -> list[Figure]:
    """What so many rounds gave, as far as its parts are here."""
    return asyncio.run(_figures(times)) if shutil.which("bwrap") is not None else []


async def _figures(times: int) -> list[Figure]:
    lacks = lacking()
    with tempfile.TemporaryDirectory(prefix="lh-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tree = folder / "tree"
        tree.mkdir()
        (tree / "README").write_text("a workspace\n")
        settings = Settings(state_folder=folder / "state", store=f"sqlite:///{folder}/store.db")
        async with Orchestrator.open(settings=settings) as orchestrator:
            await orchestrator.environments.add("default", "bubblewrap", "sandbox", {"provider": "bubblewrap"})
            execs = await _execs(orchestrator, tree, times)
            figures = [Figure("bubblewrap: lease.exec('true'), of bare bwrap", 1.5, False, execs)]
            if lacks is not None:
                return figures
            engine = Docker(folder / "docker")
            engine.folder.mkdir()
            engine.start()
            try:
                config = {"provider": "docker", **engine.config()}
                await orchestrator.environments.add("default", "docker", "sandbox", config)
                lives = [
                    await _timed(lambda: _life(orchestrator, "docker", tree))
                    / await _timed(lambda: _life(orchestrator, "bubblewrap", tree))
                    for _ in range(times)
                ]
                figures.append(Figure("a whole life in docker, of one in bubblewrap", 5, True, lives))
            finally:
                await asyncio.to_thread(engine.stop)
    return figures


async def _execs(orchestrator: Orchestrator, tree: Path, times: int) -> list[float]:
    """The medians of many of each, by turns."""
    async with orchestrator.lease(environment="bubblewrap", workspace=tree) as lease:
        await lease.exec("true")
        ratios: list[float] = []
        for _ in range(times):
            ours, bare = list[float](), list[float]()
            for _ in range(20):
                ours.append(await _timed(lambda: lease.exec("true")))
                bare.append(await _timed(lambda: asyncio.to_thread(subprocess.run, _BARE, check=True)))
            ratios.append(statistics.median(ours) / statistics.median(bare))
    return ratios


async def _life(orchestrator: Orchestrator, environment: str, tree: Path) -> None:
    async with orchestrator.lease(environment=environment, workspace=tree) as lease:
        assert (await lease.exec("true")).ok


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    begun = time.monotonic()
    await work()
    return time.monotonic() - begun
