"""Fifty pods at once beside bare calls: ``pods.py [TIMES]``, on the cluster that ``LEASEHOLD_TEST_KUBECONFIG`` names.

The bare side is ``xargs -P`` over curl: it makes a pod, and looks at it each second until it runs. There is no kubectl
here. Ours makes the pod, puts the tree there and resolves the target as well.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

import cluster
from cluster import Cluster
from figure import Figure
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.settings import Settings
from rich.console import Console

_AT_ONCE = 50
_RUNS = """
curl -fsk -o /dev/null -H "$TOKEN" -H 'Content-Type: application/json' -d @"$BODIES/$1" "$PODS"
until curl -fsk -H "$TOKEN" "$PODS/bare-$1" | grep -q '"phase": "Running"'; do sleep 1; done
"""


def main() -> int:
    found = cluster.cluster("bench")
    if found is None:
        Console().print(cluster.LACKING)
        return 1
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    ratios = asyncio.run(_ratios(found, times))
    figure = Figure(f"pods, {_AT_ONCE} at once, of xargs -P", 1.3, False, ratios)
    Console().print(f"{figure.name}: wanted {figure.wanted}, got {figure.shown}: {figure.verdict}")
    return 0


async def _ratios(found: Cluster, times: int) -> list[float]:
    config = {**found.config(), "provider": "kubernetes"}
    with tempfile.TemporaryDirectory(prefix="lh-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tree = folder / "tree"
        tree.mkdir()
        (tree / "README").write_text("a workspace\n")
        settings = Settings(state_folder=folder / "state", store=f"sqlite:///{folder}/store.db")
        async with Orchestrator.open(settings=settings) as orchestrator:
            await orchestrator.environments.add("default", "pods", "sandbox", config)
            ratios = list[float]()
            for _ in range(times):
                theirs = await asyncio.to_thread(_bare, found, folder)
                begun = time.monotonic()
                acquiring = (orchestrator.acquire(environment="pods", workspace=tree) for _ in range(_AT_ONCE))
                leases = await asyncio.gather(*acquiring)
                ours = time.monotonic() - begun
                await asyncio.gather(*(lease.release() for lease in leases))
                Console().print(f"{ours:.1f} s, the bare calls {theirs:.1f} s")
                ratios.append(ours / theirs)
            return ratios


def _bare(found: Cluster, folder: Path) -> float:
    """Seconds until as many pods of the same kind run that curl made; they are removed afterwards."""
    server, token = re.findall(r'(?:server|token): "([^"]+)"', Path(found.kubeconfig).read_text())
    container = {
        "name": "place",
        "image": cluster.IMAGE,
        "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "places", "mountPath": "/leasehold"}],
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "places", "emptyDir": {}}],
        "hostNetwork": True,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
    }
    for number in range(_AT_ONCE):
        (folder / str(number)).write_text(json.dumps({"metadata": {"name": f"bare-{number}"}, "spec": spec}))
    variables = {"TOKEN": f"Authorization: Bearer {token}", "PODS": f"{server}{found.path}/pods", "BODIES": str(folder)}
    words = ["xargs", "-P", str(_AT_ONCE), "-I{}", "sh", "-ec", _RUNS, "sh", "{}"]
    numbers = "\n".join(map(str, range(_AT_ONCE))).encode()
    begun = time.monotonic()
    subprocess.run(words, input=numbers, check=True, env={"PATH": "/usr/bin:/bin", **variables}, timeout=600)
    lasted = time.monotonic() - begun
    for name in found.pods():
        found.remove(name)
    return lasted


if __name__ == "__main__":
    sys.exit(main())
