"""How fast the ssh driver is beside the bare tools, on a real sshd.

Each figure is a ratio within a round, both sides measured one after the other; the median counts.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from figure import Figure
from leasehold.drivers import Command, Context, Handle, Mode, PlaceRequest, ReleaseMode, Tags, Workspace
from leasehold.drivers.ssh import SshConfig, SshDriver
from sshd import Sshd, program

_FOLDERS, _FILES, _SIZE = 50, 100, 10_000


def figures(times: int) -> list[Figure]:
    """What so many rounds gave; nothing where there is no sshd."""
    if program() is None:
        return []
    with TemporaryDirectory(prefix="leasehold-bench-ssh-") as folder:
        server = Sshd(Path(folder) / "sshd")
        server.start()
        try:
            return asyncio.run(_figures(server, Path(folder), times))
        finally:
            server.stop()


async def _figures(server: Sshd, folder: Path, times: int) -> list[Figure]:
    tree = folder / "tree"
    _fill(tree)
    execs: list[float] = []
    first: list[float] = []
    again: list[float] = []
    for number in range(times):
        await _round(server, folder, tree, f"round-{number}", execs, first, again)
    return [
        Figure('the second and later lease.exec("true"), of a fresh ssh host true', 0.5, False, execs),
        Figure("5,000 files (50 MB) sent, of tar | ssh tar", 1.3, False, first),
        Figure("the same again, unchanged, of the first time", 0.3, False, again),
    ]


async def _round(
    server: Sshd, folder: Path, tree: Path, key: str, execs: list[float], first: list[float], again: list[float]
) -> None:
    config = SshConfig.model_validate({**server.config(), "root": str(folder / "places")})
    driver = SshDriver()

    def context() -> Context:
        return Context(config, time.monotonic() + 300, 1, "bench", key, folder / "state")

    workspace = Workspace(tree, Mode.COPY)
    request = PlaceRequest("bench", key, "run", workspace)
    tags = Tags("bench", key, key, 1, time.time_ns() // 1000 + 10**9)
    ssh = _ssh(server)
    bare = await asyncio.to_thread(_tar, ssh, tree, folder / "bare")
    handle: Handle = await driver.acquire(key, request, tags, context())
    begun = time.monotonic()
    realization = await driver.realize(handle, workspace, context())
    took = time.monotonic() - begun
    first.append(took / bare)
    begun = time.monotonic()
    await driver.realize(handle, workspace, context())
    again.append((time.monotonic() - begun) / took)
    target = await driver.target(handle, realization, context())
    try:
        await target.execute(Command(("true",), timeout=60))
        for _ in range(5):
            begun = time.monotonic()
            await asyncio.to_thread(subprocess.run, [*ssh, "true"], check=True, timeout=60)
            fresh = time.monotonic() - begun
            begun = time.monotonic()
            await target.execute(Command(("true",), timeout=60))
            execs.append((time.monotonic() - begun) / fresh)
    finally:
        await target.close()
        await driver.release(handle, ReleaseMode.DESTROY, context())


def _ssh(server: Sshd) -> list[str]:
    words = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    return [*words, "-i", str(server.identity), "-p", str(server.port), f"{server.user}@{server.host}"]


def _tar(ssh: list[str], tree: Path, dest: Path) -> float:
    shutil.rmtree(dest, ignore_errors=True)
    far = f"mkdir {shlex.quote(str(dest))} && tar -C {shlex.quote(str(dest))} -xf -"
    begun = time.monotonic()
    line = f"tar -C {shlex.quote(str(tree))} -cf - . | {shlex.join([*ssh, far])}"
    subprocess.run(["sh", "-c", line], check=True, timeout=120)
    return time.monotonic() - begun


def _fill(tree: Path) -> None:
    for folder in range(_FOLDERS):
        (tree / f"{folder:03}").mkdir(parents=True)
        for number in range(_FILES):
            (tree / f"{folder:03}" / f"{number:03}").write_bytes(os.urandom(_SIZE))
