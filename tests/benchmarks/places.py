"""How fast places are, beside the bare tools that make the same: ``places.py [--quick] [--write PAGE]``."""

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

import at_once
import over_ssh
import sandboxes
from bare import PROVIDERS
from figure import Figure
from rich.console import Console

_SIDES = {
    "bubblewrap": "`cp -a` of the tree, and `bwrap … true` with it; ours runs a first `true`, too",
    "docker": "`docker run -d` with our limits, mounts and as many labels; then `docker cp` of the tree",
    "podman": "the same by `podman`",
    "ssh": "`tar | ssh … 'mkdir && tar -x'` over one shared connection, which stands before; ours has to log in itself",
    "pods": "a pod by `curl`, looked at each second until it runs; no tree; on the cluster of `make test-kubernetes`",
}
_WHY = {
    "ssh": "A session costs more than what is done in it: a process of ssh's client here, a login shell and a score of "
    "small programs there. The other side has one a place, over a connection that stands. Ours has two, for a place is "
    "on record before a tree is sent to it, and logs in the first time. To let who waits for a login use the room that "
    "another connection gets meanwhile gained a twentieth, and was left out.",
    "bubblewrap": "Without the first command ours was the quicker one. That command starts the lease's supervisor, a "
    "process of Python, which all further ones share: each of those costs what a bare bwrap does.",
    "docker": "Two `docker exec` a lease, one to make the place and one to send the tree, are half of what a container "
    "costs; the other side's `docker cp` is as dear as one of them.",
    "podman": "The same, and dearer: nothing of podman stays between two calls, so that each `podman exec` starts anew "
    "what docker has running.",
}


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="one round of each")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the figures as a page")
    chosen = options.parse_args()
    figures = [*over_ssh.figures(1 if chosen.quick else 5), *sandboxes.figures(1 if chosen.quick else 5)]
    contests = at_once.contests(list(PROVIDERS), 1 if chosen.quick else 3)
    lines = [_row(figure) for figure in figures]
    lines += [_row(found.figure, found.seconds) for found in contests if isinstance(found, at_once.Contest)]
    missed = [found.provider for found in contests if isinstance(found, at_once.Contest) and not found.figure.met]
    reasons = [f"- {provider}: {_WHY[provider]}" for provider in missed if provider in _WHY]
    lacking = [found for found in contests if isinstance(found, str)]
    Console().print(*lines, *lacking, sep="\n")
    if chosen.write is not None:
        chosen.write.write_text(_page(lines, reasons, lacking))
    return 0


def _row(figure: Figure, seconds: str = "") -> str:
    name = figure.name.replace("|", "\\|")
    return f"| {name} | {figure.wanted} | {figure.shown} | {figure.verdict} | {seconds} |"


def _page(lines: list[str], reasons: list[str], lacking: list[str]) -> str:
    head = [
        "# Places, measured beside the bare tools",
        "",
        "Written by `make bench` (`python tests/benchmarks/places.py --write docs/benchmarks-places.md`).",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "- Each figure is a ratio within a round, both sides one after the other; the median of the rounds counts.",
        f"- {at_once.AT_ONCE} at once: ours are acquired, which is a place made and its row committed in each step, the"
        " tree in it, and its target resolved. The other side is a shell text in `xargs -P`, at the parallelism that"
        " served it best in a first look:",
        *(f"  - {provider}: {side}" for provider, side in _SIDES.items()),
        "",
        "| figure | wanted | got (median, range) | | seconds: ours, theirs |",
        "|---|---|---|---|---|",
    ]
    why = ["", "## Why some are missed", "", *reasons] if reasons else []
    return "\n".join([*head, *lines, *(["", *lacking] if lacking else []), *why]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
