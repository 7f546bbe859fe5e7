"""Sandboxes beside the bare command lines: ``sandboxes.py [--quick]``, with bubblewrap and dockerd installed.

Each figure is a ratio within a round, both sides measured one after the other; the median counts.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

from docker import Docker, lacking
from figure import Figure
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.settings import Settings
from rich.console import Console
from rich.table import Table

_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")
_MOUNTS = ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
_BARE = ["bwrap", *_NAMESPACES, *_MOUNTS, "--die-with-parent", "true"]
_AT_ONCE = 50


def main() -> int:
    quick = "--quick" in sys.argv[1:]
    figures = asyncio.run(_figures(3 if quick else 7))
    table = Table("figure", "wanted", "got (median, range)", "")
    for figure in figures:
        table.add_row(figure.name, figure.wanted, figure.shown, figure.verdict)
    Console().print(table)
    return 0


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
            figures = [
                Figure("lease.exec('true'), of bare bwrap", 1.5, False, await _execs(orchestrator, tree, times)),
                Figure(
                    f"bubblewrap, {_AT_ONCE} at once, of xargs -P",
                    1.3,
                    False,
                    [await _at_once(orchestrator, "bubblewrap", tree, _BARE) for _ in range(times)],
                ),
            ]
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
                run = ["docker", "--host", engine.host, "run", "-d", "--init", "--network", "none"]
                run += [word for bind in config["read_only"] for word in ("-v", f"{bind}:{bind}:ro")]
                bare = [*run, "--entrypoint", "sh", config["image"], "-c", "sleep 600"]
                at_once = [
                    await _at_once(orchestrator, "docker", tree, bare, engine) for _ in range(max(1, times // 3))
                ]
                figures.append(Figure(f"docker, {_AT_ONCE} at once, of xargs -P", 1.3, False, at_once))
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


async def _at_once(
    orchestrator: Orchestrator, environment: str, tree: Path, bare: list[str], engine: Docker | None = None
) -> float:
    """Places acquired, the tree in each, against the bare command lines side by side."""
    begun = time.monotonic()
    acquiring = (orchestrator.acquire(environment=environment, workspace=tree) for _ in range(_AT_ONCE))
    leases = await asyncio.gather(*acquiring)
    ours = time.monotonic() - begun
    await asyncio.gather(*(lease.release() for lease in leases))
    numbers = "\n".join(map(str, range(_AT_ONCE))).encode()
    words = ["xargs", "-P", str(_AT_ONCE), "-I{}", *bare]
    begun = time.monotonic()
    await asyncio.to_thread(subprocess.run, words, input=numbers, check=True, stdout=subprocess.DEVNULL)
    theirs = time.monotonic() - begun
    if engine is not None:
        await asyncio.to_thread(lambda: engine.ask("rm", "-f", *engine.ask("ps", "-aq").stdout.decode().split()))
    return ours / theirs


async def _life(orchestrator: Orchestrator, environment: str, tree: Path) -> None:
    async with orchestrator.lease(environment=environment, workspace=tree) as lease:
        assert (await lease.exec("true")).ok


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    begun = time.monotonic()
    await work()
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
