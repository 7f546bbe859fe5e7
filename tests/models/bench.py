"""A user's repository, and a local driver at work on it, for tests of real trees."""

import asyncio
import hashlib
import os
import stat
import subprocess
import tarfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leasehold.drivers import (
    Command,
    Context,
    Handle,
    Kept,
    Mode,
    PlaceRequest,
    Realization,
    Released,
    ReleaseMode,
    SyncReport,
    Tags,
    Workspace,
)
from leasehold.drivers.local import LocalConfig, LocalDriver

# By a place's key its processes are found, on the whole machine: tests that run beside this one have others.
LEDGER = f"ledger{os.getpid()}"


def sh(folder: Path, script: str) -> str:
    """Run a script there as the user would, with an identity; its output without the last newline."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "GIT_AUTHOR_NAME": "User",
        "GIT_AUTHOR_EMAIL": "user@localhost",
        "GIT_COMMITTER_NAME": "User",
        "GIT_COMMITTER_EMAIL": "user@localhost",
    }
    done = subprocess.run(["bash", "-ec", script], cwd=folder, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return os.fsdecode(done.stdout).removesuffix("\n")


def repository(folder: Path) -> Path:
    """A repository on ``main`` with one commit, and no ``gc`` in the background."""
    folder.mkdir(parents=True)
    sh(
        folder,
        """
        git init -q -b main; git config gc.auto 0
        printf 'one\\ntwo\\nthree\\n' > a; echo b > b; mkdir sub; echo c > sub/c
        printf '#!/bin/sh\\n' > run.sh; chmod +x run.sh; ln -s a link
        printf 'ignored\\nbuild/\\n' > .gitignore
        head -c 4096 /dev/zero | tr '\\0' '\\377' > blob
        git add -A; git commit -q -m one
        """,
    )
    return folder


def runs(pid: str) -> bool:
    """Whether a process of that id runs; one that is dead and not buried yet does not."""
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def print_of(top: Path) -> dict[str, str]:
    """Every path of a tree, ``.git`` included, with its mode and what it holds."""
    found: dict[str, str] = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in folders + files:
            path = os.path.join(folder, name)  # noqa: PTH118  (names need not be text)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                held = os.fsdecode(os.readlink(path))  # noqa: PTH115  (names need not be text)
            elif stat.S_ISREG(mode):
                held = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            else:
                held = ""
            found[os.path.relpath(os.fsdecode(path), top)] = f"{mode:o} {held}"
    return found


@dataclass
class Life:
    """One place: its handle, its record, and where its tree stands."""

    bench: "Bench"
    lease_id: str
    epoch: int
    handle: Handle
    workspace: Workspace
    realization: Realization

    @property
    def tree(self) -> Path:
        return Path(self.realization.cwd)

    def context(self, **fields: Any) -> Context:
        return self.bench.context(self.lease_id, self.epoch, **fields)

    def sh(self, script: str) -> str:
        """What a run does in the place, seen from git's side: no supervisor, but the user's identity."""
        return sh(self.tree, script)

    async def run(self, script: str) -> str:
        """A command through the target."""
        target = await self.bench.driver.target(self.handle, self.realization, self.context())
        result = await target.execute(Command((script,), shell=True, timeout=30))
        await target.close()
        assert result.ok, (result.outcome, result.exit_code, result.duration, result.stderr.text)
        return result.stdout.text

    async def baseline(self) -> "Life":
        await self.bench.driver.baseline(self.handle, self.realization, self.context())
        return self

    async def sync_back(self, **fields: Any) -> SyncReport:
        return await self.bench.driver.sync_back(self.handle, self.realization, self.context(**fields))

    async def realize(self) -> "Life":
        self.realization = await self.bench.driver.realize(self.handle, self.workspace, self.context())
        return self

    async def release(self, mode: ReleaseMode = ReleaseMode.DESTROY, **fields: Any) -> Released:
        return await self.bench.driver.release(self.handle, mode, self.context(**fields))


@dataclass
class Bench:
    """A driver with a state folder of its own; each life gets the next lease id."""

    folder: Path
    config: LocalConfig = field(default_factory=LocalConfig)
    driver: LocalDriver = field(default_factory=LocalDriver)
    count: int = 0
    said: list[str] = field(default_factory=list[str])

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def root(self) -> Path:
        return self.state / "places"

    def context(self, lease_id: str, epoch: int = 1, *, seconds: float = 60.0, **fields: Any) -> Context:
        context = Context(self.config, time.monotonic() + seconds, epoch, LEDGER, lease_id, self.state)
        return replace(context, **{"progress": self.said.append, **fields})

    def request(self, lease_id: str, workspace: Workspace, **fields: Any) -> PlaceRequest:
        return PlaceRequest("company", lease_id, "run", workspace, **fields)

    async def acquire(self, lease_id: str, workspace: Workspace, epoch: int = 1, **fields: Any) -> Handle:
        key = f"{LEDGER}-{lease_id}-1"
        tags = Tags(LEDGER, lease_id, key, epoch, 0)
        context = self.context(lease_id, epoch, **fields)
        return await self.driver.acquire(key, self.request(lease_id, workspace), tags, context)

    async def begin(self, path: Path, mode: Mode = Mode.GIT_WORKTREE, **workspace: Any) -> Life:
        """Acquire and realize."""
        self.count += 1
        lease_id, wanted = f"lease{self.count}", Workspace(path, mode, **workspace)
        handle = await self.acquire(lease_id, wanted)
        context = self.context(lease_id)
        return Life(self, lease_id, 1, handle, wanted, await self.driver.realize(handle, wanted, context))

    async def ready(self, path: Path, mode: Mode = Mode.GIT_WORKTREE, **workspace: Any) -> Life:
        """Acquire, realize, and take the baseline."""
        return await (await self.begin(path, mode, **workspace)).baseline()

    def places(self) -> set[str]:
        """What stands in the root, fences too."""
        if not self.root.exists():
            return set()
        fences = {f"fence {path.name}" for path in (self.root / ".fences").glob("*")}
        return {path.name for path in self.root.iterdir()} - {".fences"} | fences


def kept_file(repo: Path, kept: Kept, name: str) -> str | None:
    """What a file holds in what was kept, without the last newline; none where it is not in there."""
    if kept.where.startswith("refs/"):
        done = subprocess.run(["git", "show", f"{kept.where}:{name}"], cwd=repo, capture_output=True, check=False)
        return None if done.returncode else done.stdout.decode().removesuffix("\n")
    with tarfile.open(kept.where) as tar:
        if f"changed/{name}" not in tar.getnames():
            return None
        file = tar.extractfile(f"changed/{name}")
        assert file is not None
        return file.read().decode().removesuffix("\n")


async def both(*coroutines: Any) -> list[Any]:
    """Await several at once; what they raise is in the answers."""
    return await asyncio.gather(*coroutines, return_exceptions=True)
