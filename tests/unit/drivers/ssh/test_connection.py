"""Connections to a real sshd: sessions in number, a login that talks, and the private key on its way."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from leasehold.drivers.command import Streams
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.asking import ask
from leasehold.drivers.remote.link import end
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.ssh import SshConfig, SshDriver
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


def context_of(config: SshConfig, folder: Path) -> Context:
    return Context(config, time.monotonic() + 60, 1, "ledger", "lease", folder / "state")


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_many_sessions_at_once_have_room(server: Sshd, tmp_path: Path) -> None:
    config = SshConfig.model_validate(server.config())
    connection = Connection(config)
    context = context_of(config, tmp_path)
    said = await asyncio.gather(*(ask(connection, "sleep 1; echo here\n", context) for _ in range(24)))
    assert said == [b"here\n"] * 24


@pytest.mark.parametrize("server", [TALKS], indirect=True)
async def test_what_a_login_prints_is_no_answer(server: Sshd, tmp_path: Path) -> None:
    config = SshConfig.model_validate(server.config())
    place = RemotePlace(Connection(config), str(tmp_path / "places"), "ledger-lease-1")
    standing = await place.make(Tags("ledger", "lease", place.key, 1, 0), {}, context_of(config, tmp_path))
    assert standing.folder == str(tmp_path / "places" / place.key)


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_a_key_is_read_off_the_loop_learned_and_left_nowhere(server: Sshd, tmp_path: Path) -> None:
    stale = stale_key()
    config = SshConfig.model_validate({**server.config(), "identity": f"cmd:sleep 1; cat {server.identity}"})
    learned: list[str] = []
    connection = Connection(config)
    connection.teach(learned.append)
    asking = asyncio.create_task(ask(connection, "echo here\n", context_of(config, tmp_path)))
    longest, last = 0.0, time.monotonic()
    while not asking.done():
        await asyncio.wait({asking}, timeout=0.02)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert await asking == b"here\n"
    assert longest < 0.8, "the loop stood still while the key was read"
    assert [text.strip() for text in learned] == [server.identity.read_text().strip()]
    assert not stale.exists()
    assert keys_beside(stale) == []


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_a_key_that_a_probe_or_another_connection_has_read_is_learned(server: Sshd, tmp_path: Path) -> None:
    config = SshConfig.model_validate(server.config())
    key = server.identity.read_text().strip()
    driver = SshDriver()
    assert (await driver.probe(config)).ok
    learned: list[str] = []
    context = replace(context_of(config, tmp_path), learn=learned.append)
    assert [resource async for resource in driver.owned(None, context)] == []
    assert {text.strip() for text in learned} == {key}
    again: list[str] = []
    another = Connection(config)
    another.teach(again.append)
    assert await ask(another, "echo here\n", context) == b"here\n"
    assert [text.strip() for text in again] == [key]


@pytest.mark.parametrize("server", ["MaxSessions 10"], indirect=True)
async def test_a_stale_key_goes_also_where_its_number_is_another_user_s(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tempfile.TemporaryDirectory(dir="/tmp")  # short enough for sockets; nobody else's keys are there
    monkeypatch.setattr(tempfile, "tempdir", own.name)
    stale = stale_key()
    no_number = stale.with_name("identity-none-x")
    no_number.write_text("")

    def not_ours(pid: int, number: int) -> None:
        raise PermissionError

    config = SshConfig.model_validate(server.config())
    with monkeypatch.context() as there:
        there.setattr("leasehold.drivers.ssh.connection.os.kill", not_ours)
        assert await ask(Connection(config), "echo here\n", context_of(config, tmp_path)) == b"here\n"
    assert not stale.exists()
    assert no_number.exists()
    own.cleanup()


@pytest.mark.parametrize("server", ["MaxSessions 1"], indirect=True)
async def test_an_attached_command_s_255_is_its_own_and_ssh_s_is_none(
    server: Sshd, tmp_path: Path, eventually: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    config = SshConfig.model_validate(server.config())
    connection = Connection(config)
    out = tmp_path / "out"
    with out.open("w+b") as file:
        streams = Streams(file.fileno(), file.fileno(), file.fileno())
        assert await connection.attach("echo own >&2; exit 255", streams) == 255
        session = await connection.open("exec cat")
        with pytest.raises(Unavailable, match="refused"):
            await connection.attach("exit 0", streams)
        await end(session)
        attached = asyncio.create_task(Connection(config).attach("echo begun; exec sleep 60", streams))
        await eventually(lambda: b"begun" in out.read_bytes())
        server.stop()
        with pytest.raises(Unavailable):
            await attached
        assert out.read_bytes().replace(b"\r", b"") == b"own\nbegun\n"
