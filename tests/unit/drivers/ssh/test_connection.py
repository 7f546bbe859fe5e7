"""Connections to a real sshd: sessions in number, a login that talks, and the private key on its way."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leasehold.drivers.context import Context
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.asking import ask
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.ssh import SshConfig
from leasehold.drivers.ssh.connection import Connection
from sshd import Sshd

TALKS = 'ForceCommand printf "Welcome"; eval "$SSH_ORIGINAL_COMMAND"'


@pytest.fixture
def server(tmp_path: Path, require: Callable[[str], str], request: pytest.FixtureRequest) -> Iterator[Sshd]:
    require("sshd")
    server = Sshd(tmp_path / "sshd", settings=[request.param])
    server.start()
    yield server
    server.stop()


def stale_key() -> Path:
    """What a login left whose process was killed."""
    folder = Path(tempfile.gettempdir(), f"leasehold-ssh-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    dead = subprocess.Popen(["true"])
    dead.wait()
    stale = folder / f"identity-{dead.pid}-x"
    stale.write_text("secret")
    return stale


def keys_beside(stale: Path) -> list[Path]:
    """The private keys that this process has left."""
    return list(stale.parent.glob(f"identity-{os.getpid()}-*"))


def ignored(_: str) -> None:
    return


def context_of(config: SshConfig, folder: Path) -> Context:
    return Context(config, time.monotonic() + 60, 1, "ledger", "lease", folder / "state")


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_many_sessions_at_once_have_room(server: Sshd, tmp_path: Path) -> None:
    config = SshConfig.model_validate(server.config())
    connection = Connection(config, ignored)
    context = context_of(config, tmp_path)
    said = await asyncio.gather(*(ask(connection, "sleep 1; echo here\n", context) for _ in range(24)))
    assert said == [b"here\n"] * 24


@pytest.mark.parametrize("server", [TALKS], indirect=True)
async def test_what_a_login_prints_is_no_answer(server: Sshd, tmp_path: Path) -> None:
    config = SshConfig.model_validate(server.config())
    place = RemotePlace(Connection(config, ignored), str(tmp_path / "places"), "ledger-lease-1")
    standing = await place.make(Tags("ledger", "lease", place.key, 1, 0), {}, context_of(config, tmp_path))
    assert standing.folder == str(tmp_path / "places" / place.key)


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_a_key_is_read_off_the_loop_learned_and_left_nowhere(server: Sshd, tmp_path: Path) -> None:
    stale = stale_key()
    config = SshConfig.model_validate({**server.config(), "identity": f"cmd:sleep 1; cat {server.identity}"})
    learned: list[str] = []
    asking = asyncio.create_task(ask(Connection(config, learned.append), "echo here\n", context_of(config, tmp_path)))
    longest, last = 0.0, time.monotonic()
    while not asking.done():
        await asyncio.wait({asking}, timeout=0.02)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert await asking == b"here\n"
    assert longest < 0.8, "the loop stood still while the key was read"
    assert [text.strip() for text in learned] == [server.identity.read_text().strip()]
    assert not stale.exists()
    assert keys_beside(stale) == []
