"""Fifty places acquired at once beside ``xargs -P`` over bare command lines: ``at_once.py [--rounds N] [PROVIDER…]``.

Both sides are measured one after the other within a round, and the other first in the next. The bare side works at
the parallelism that served it best in a first look.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

from bare import PROVIDERS, Bare
from figure import Figure
from leasehold.orchestrator import Lease, Orchestrator
from leasehold.orchestrator.settings import Settings
from rich.console import Console

AT_ONCE = 50
_AT_A_TIME = (2, 4, 8, 16, AT_ONCE)


@dataclass(frozen=True)
class Contest:
    """What the rounds gave, in seconds."""

    provider: str
    ours: Sequence[float]
    theirs: Sequence[float]
    at_a_time: int

    @property
    def figure(self) -> Figure:
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return Figure(f"{self.provider}, {AT_ONCE} at once, of xargs -P", 1.3, False, ratios)

    @property
    def seconds(self) -> str:
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        return f"{ours:.2f} s of {theirs:.2f} s (-P {self.at_a_time})"


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "providers", nargs="*", choices=[[], *PROVIDERS], metavar="PROVIDER", help=", ".join(PROVIDERS)
    )
    chosen = options.parse_args()
    for found in contests(chosen.providers or list(PROVIDERS), chosen.rounds):
        if isinstance(found, Contest):
            figure = found.figure
            Console().print(f"{figure.name}: {figure.shown}, wanted {figure.wanted}: {figure.verdict}; {found.seconds}")
        else:
            Console().print(found)
    return 0


def contests(providers: Sequence[str], rounds: int) -> list[Contest | str]:
    """Each provider's; the reason instead where it cannot be had here."""
    return [asyncio.run(_contest(provider, rounds)) for provider in providers]


async def _contest(provider: str, rounds: int) -> Contest | str:
    with TemporaryDirectory(prefix="lh-bench-", ignore_cleanup_errors=True) as name:
        folder, tree = Path(name) / "far", Path(name) / "tree"
        folder.mkdir()
        tree.mkdir()
        (tree / "README").write_text("a workspace\n")
        with PROVIDERS[provider](folder, tree) as bare:
            if isinstance(bare, str):
                return f"{provider}: {bare}"
            settings = Settings(state_folder=Path(name) / "state", store=f"sqlite:///{name}/store.db")
            async with Orchestrator.open(settings=settings) as orchestrator:
                await orchestrator.environments.add("default", provider, bare.driver, bare.config)
                return await _rounds(orchestrator, provider, tree, bare, rounds)


async def _rounds(orchestrator: Orchestrator, provider: str, tree: Path, bare: Bare, rounds: int) -> Contest:
    looks = {count: _theirs(bare, count) for count in _AT_A_TIME}
    best = min(looks, key=lambda count: looks[count])
    await _ours(orchestrator, provider, tree, bare)
    ours, theirs = list[float](), list[float]()
    for number in range(rounds):
        if number % 2:
            theirs.append(_theirs(bare, best))
        ours.append(await _ours(orchestrator, provider, tree, bare))
        if not number % 2:
            theirs.append(_theirs(bare, best))
    return Contest(provider, ours, theirs, best)


def _theirs(bare: Bare, at_a_time: int) -> float:
    try:
        return bare.make(AT_ONCE, at_a_time)
    finally:
        bare.clear()


async def _ours(orchestrator: Orchestrator, provider: str, tree: Path, bare: Bare) -> float:
    async def one() -> Lease:
        lease = await orchestrator.acquire(environment=provider, workspace=tree)
        if bare.command:
            await lease.exec("true")
        return lease

    begun = time.monotonic()
    leases = await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    lasted = time.monotonic() - begun
    await asyncio.gather(*(lease.release() for lease in leases))
    return lasted


if __name__ == "__main__":
    sys.exit(main())
