"""Disks that are full, for real: it is said in one line, and what was acknowledged is there."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from commandline import CommandLine
from leasehold.orchestrator import Orchestrator, Settings, StoreError
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.verify import verify
from leasehold.states import CleanupState
from postgres import PostgresServer


def fill(folder: Path) -> Path:
    """Take every byte of a small file system; gives the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


async def extend_often(lease: Lease) -> None:
    for _ in range(2000):  # the pages that are there already take a few more rows
        await lease.extend("1h")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A workspace."""
    path = tmp_path / "tree"
    path.mkdir()
    return path


async def lives_on(url: str, disk: Path, tree: Path, state_folder: Path, said: str) -> None:
    """A lease meets the full disk, and ends well once there is room."""
    settings = Settings(state_folder=state_folder)
    async with Orchestrator.open(url, settings=settings) as orchestrator:
        lease = await orchestrator.acquire(workspace=tree)
        ballast = fill(disk)
        with pytest.raises(StoreError, match=said) as caught:
            await extend_often(lease)
        assert caught.value.hint == "free space on it, and try again"
        assert (await orchestrator.ledger.find("default", lease.id)).facts.version == lease.facts.version
        assert (await lease.exec("true")).ok
        ballast.unlink()
        await lease.release()
        assert lease.cleanup is CleanupState.SUCCEEDED
        async with orchestrator.lease(workspace=tree):
            pass
        assert [finding async for finding in verify(orchestrator.store)] == []


async def test_a_sqlite_file_on_a_full_disk(small: Callable[[int], Path], tree: Path, state_folder: Path) -> None:
    disk = small(2)
    said = "the disk of the store is full"
    await lives_on(f"sqlite:///{disk}/leasehold.db", disk, tree, state_folder, said)


async def test_tables_on_a_full_disk(
    server: PostgresServer, small: Callable[[int], Path], tree: Path, state_folder: Path
) -> None:
    disk = small(24)
    shutil.chown(disk, "postgres")
    server.ask(f"CREATE TABLESPACE small LOCATION '{disk}'")
    server.ask("CREATE DATABASE small TABLESPACE small")
    said = "the store has a full disk: could not extend file"
    await lives_on(server.url("small"), disk, tree, state_folder, said)


@pytest.mark.long
def test_a_log_on_a_full_disk_takes_the_server_down_and_nothing_with_it(
    cli: CommandLine, postgres: PostgresServer, folder: Path, small: Callable[[int], Path]
) -> None:
    disk = small(40)
    shutil.chown(disk, "postgres")
    (folder / "full").mkdir()
    options = ("fsync=off", "max_wal_size=8MB", "min_wal_size=2MB", "checkpoint_timeout=30")
    server = postgres.another(folder / "full", options, "--waldir", str(disk / "wal"), "--wal-segsize=1")
    there = {"LEASEHOLD_STORE": server.url(), "LEASEHOLD_STORE_PATIENCE_SECONDS": "1"}
    held = cli("acquire", "--quiet", code=0, variables=there).stdout.strip()
    acknowledged = cli("show", held, "--journal", "--json", code=0, variables=there).json["journal"]
    server.ask("CREATE TABLE filler (t TEXT)")
    ballast = fill(disk)
    with pytest.raises(psycopg.OperationalError):
        server.ask("INSERT INTO filler SELECT repeat('x', 2000) FROM generate_series(1, 100000)")
    error = cli("extend", held, "60h", code=1, variables=there).error
    assert error.startswith("error: the store ")
    ballast.unlink()
    with suppress(AssertionError):  # it has ended by itself
        server.stop()
    server.start()
    journal = cli("show", held, "--journal", "--json", code=0, variables=there).json["journal"]
    assert journal[: len(acknowledged)] == acknowledged
    cli("release", held, code=0, variables=there)
    cli("verify", code=0, variables=there)
    server.stop()
