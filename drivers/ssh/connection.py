"""Connections to one host through the system's OpenSSH client, each shared by many sessions."""

import asyncio
import os
import re
import signal
import stat
import tempfile
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from leasehold.drivers.command import Streams
from leasehold.drivers.errors import Damaged, DriverError, Refused, TimedOut, Unavailable
from leasehold.drivers.remote.process_link import ProcessSession, run_attached, send
from leasehold.drivers.secret import SecretRef
from leasehold.drivers.ssh.config import SshConfig

_SHARED_BY = 8
_PERSIST = 60
_LOGIN_BOUND = 30.0
_LONGEST_PATH = 80
_OWN_FAILURE = 255
_IDENTITY = "identity-"
_BEGUN = b"leasehold begins here\n"
_BEGIN = f"printf '%s\\n' '{_BEGUN.decode().strip()}'\n"
_REASONS: tuple[tuple[str, type[DriverError], str], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|host key is known",
        Refused,
        "compare the host's key with its owner, then put it into known_hosts: ssh-keyscan [-p PORT] HOST",
    ),
    (
        r"Permission denied|Too many authentication failures|No more authentication methods",
        Refused,
        "look at username and identity; the key has to stand in the host's authorized_keys",
    ),
    (r"Session open refused|session request failed", Unavailable, "raise MaxSessions in the host's sshd_config"),
    (r"Could not resolve hostname", Refused, "look at the setting host"),
    (r"Bad configuration option|Bad owner or permissions|no such identity|invalid format", Refused, "mend ssh_config"),
    (
        r"Connection refused|timed out|No route to host|unreachable|closed by|reset by|Broken pipe|not responding",
        Unavailable,
        "look whether the host is up and its sshd answers",
    ),
)


class Connection:
    """Connections to the host of one config. Nothing is opened before the first session.

    A connection carries a few sessions, as many as a host's ``MaxSessions`` usually allows; more sessions
    have another one opened. It is a process of the system's ``ssh`` that ends a minute after its last session.
    """

    contained = False

    def __init__(self, config: SshConfig) -> None:
        self._config = config
        self._learn: Callable[[str], None] | None = None
        self._key: str | None = None
        self._opening = asyncio.Lock()
        self._own = uuid.uuid4().hex[:14]  # a login of another's would have us know no key
        self._sessions: dict[Path, int] = {}
        self.name = config.host

    def teach(self, learn: Callable[[str], None]) -> None:
        """Tell the private key, where the config names one: now if it was read already, and at each login."""
        self._learn = learn
        if self._key is not None:
            learn(self._key)

    async def open(self, script: str) -> "SshSession":
        """A session that runs shell text. Raises what a login can come to."""
        socket = await self._shared()
        argv = [*self._words(socket), "-T", "--", self._config.host, _spelled(_BEGIN + script)]
        return await SshSession.begin(argv, self, socket)

    async def attach(self, script: str, streams: Streams) -> int:
        """Run shell text on a terminal of the host's; its exit status."""
        socket = await self._shared()
        try:
            argv = [*self._words(socket), "-tt", "--", self._config.host, _spelled(script)]
            with tempfile.TemporaryFile(prefix="leasehold-ssh-") as said:  # by ssh alone: the far side has the terminal
                code = await run_attached(argv, replace(streams, stderr=said.fileno()))
                said.seek(0)
                words = said.read().decode("utf-8", "backslashreplace")
            if code == _OWN_FAILURE and (words.strip() or not await self._lives(socket)):
                raise self.failure(code, words) or Unavailable(words)
            return code
        finally:
            self.ended(socket)

    def failure(self, code: int | None, said: str) -> DriverError | None:
        """What ssh itself said: 255 is its own exit status."""
        if code not in (_OWN_FAILURE, None):
            return None
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        for pattern, kind, hint in _REASONS:
            for line in lines:
                if re.search(pattern, line):
                    return kind(f"{self.name}: {_told(line)}", hint=hint)
        last = lines[-1] if lines else "the connection ended"
        return Unavailable(f"{self.name}: {last}", hint="look whether the host is up and its sshd answers")

    def ended(self, socket: Path) -> None:
        """A session less has this connection."""
        self._sessions[socket] -= 1

    async def _shared(self) -> Path:
        """The socket of a connection that has room, opened where there is none. It has one session more now."""
        async with self._opening:
            number = 0
            while True:
                socket = self._socket(number)
                count = self._sessions.get(socket, 0)
                if count < _SHARED_BY:
                    if count == 0 and not (socket.exists() and await self._lives(socket)):
                        socket.unlink(missing_ok=True)
                        await self._login(socket)
                    self._sessions[socket] = count + 1
                    return socket
                number += 1

    async def _lives(self, socket: Path) -> bool:
        code, _ = await _ran(
            [*self._words(socket), "-O", "check", "--", self._config.host], self._config.connect_timeout
        )
        return code == 0

    async def _login(self, socket: Path) -> None:
        async with self._identity() as identity:
            words = [*self._words(None), *identity, "-S", str(socket)]
            words += ["-o", "ControlMaster=yes", "-o", f"ControlPersist={_PERSIST}", "-N", "-f", "-T"]
            code, said = await _ran([*words, "--", self._config.host], self._config.connect_timeout + _LOGIN_BOUND)
        if code is None:
            raise TimedOut(f"{self.name}: no login within {self._config.connect_timeout + _LOGIN_BOUND:g} s")
        if code != 0:
            raise self.failure(_OWN_FAILURE, said) or Unavailable(said)

    def _words(self, socket: Path | None) -> list[str]:
        config = self._config
        words = ["ssh"]
        if config.ssh_config is not None:
            words += ["-F", config.ssh_config]
        if config.port is not None:
            words += ["-p", str(config.port)]
        if config.username is not None:
            words += ["-l", config.username]
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(max(1, round(config.connect_timeout))),
            "ServerAliveInterval": str(config.alive_interval),
            "ServerAliveCountMax": "3",
            "StrictHostKeyChecking": "yes" if config.strict_host_key_checking else "accept-new",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "ClearAllForwardings": "yes",
            "EscapeChar": "none",
            "LogLevel": "ERROR",
            "RemoteCommand": "none",
            "PermitLocalCommand": "no",
        }
        if config.known_hosts is not None:
            options["UserKnownHostsFile"] = str(Path(config.known_hosts).expanduser())
            options["GlobalKnownHostsFile"] = "/dev/null"
        if socket is not None:
            # Where the shared connection cannot be used, no other is opened behind our back.
            options |= {"ControlMaster": "no", "ControlPath": str(socket), "ProxyCommand": "exit 255"}
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return words

    @asynccontextmanager
    async def _identity(self) -> AsyncGenerator[list[str], None]:
        """The words that name the private key, which stands in a file of our own for the length of a login."""
        if self._config.identity is None:
            yield []
            return
        value = await asyncio.to_thread(SecretRef(self._config.identity).resolve)
        self._key = value
        if self._learn is not None:
            self._learn(value)
        _remove_stale()
        path = _folder() / f"{_IDENTITY}{os.getpid()}-{uuid.uuid4().hex}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(value.rstrip("\n") + "\n")
            yield ["-i", str(path), "-o", "IdentitiesOnly=yes"]
        finally:
            path.unlink(missing_ok=True)

    def _socket(self, number: int) -> Path:
        return _folder() / f"{self._own}-{number}"


class SshSession(ProcessSession):
    """A session over a shared connection."""

    def __init__(self, process: asyncio.subprocess.Process, transport: asyncio.SubprocessTransport) -> None:
        super().__init__(process, transport)
        self._release: tuple[Connection, Path] | None = None

    @classmethod
    async def begin(cls, argv: list[str], connection: Connection, socket: Path) -> "SshSession":
        """Start one, on a connection on which it is counted already; wait until its script runs.

        What comes before is what the login's own files print, and no answer.
        """
        try:
            session = await cls.start(argv)
        except BaseException:
            connection.ended(socket)
            raise
        assert isinstance(session, cls)
        session._release = (connection, socket)
        try:
            await session.stdout.readuntil(_BEGUN)
        except asyncio.IncompleteReadError:
            pass  # it has ended: its standard error says why
        except BaseException as error:
            session.kill()
            if isinstance(error, asyncio.LimitOverrunError):
                hint = "have its .bashrc print nothing where there is no terminal"
                raise Damaged(f"{connection.name}: the login prints without end", hint=hint) from error
            raise
        return session

    async def wait(self) -> int | None:
        code = await super().wait()
        self._let_go()
        return code

    def kill(self) -> None:
        super().kill()
        self._let_go()

    def _let_go(self) -> None:
        if self._release is not None:
            connection, socket = self._release
            self._release = None
            connection.ended(socket)


def _told(line: str) -> str:
    """The line that says most: ssh's banner of a changed key has its own name in the middle."""
    return "the host's key is not the one that is known" if "IDENTIFICATION" in line else line.strip("@ ")


def _spelled(script: str) -> str:
    """A script as one line that every login shell passes on unharmed, csh and fish too."""
    words = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in ' _-./=:;,<>()[]{}|&*?#~^+@"$`') else _octal(sign)
        for sign in script
    )
    return f"exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '{words}'"


def _octal(sign: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in sign.encode("utf-8", "surrogateescape"))


def _remove_stale() -> None:
    """Remove the private keys of processes that were killed in the middle of a login."""
    for path in _folder().glob(f"{_IDENTITY}*"):
        try:
            os.kill(int(path.name.removeprefix(_IDENTITY).partition("-")[0]), 0)
        except (ProcessLookupError, PermissionError):  # gone, or the number is another user's by now
            path.unlink(missing_ok=True)
        except (ValueError, OverflowError):
            continue  # none of ours


def _folder() -> Path:
    """A folder of this user's alone, with a path short enough for sockets below it. Raises ``Refused``."""
    top = Path(tempfile.gettempdir())
    if len(str(top)) > _LONGEST_PATH - 40:
        top = Path("/tmp")
    folder = top / f"leasehold-ssh-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise Refused(f"{folder} is not a folder of yours alone", hint=f"move {folder} away")
    return folder


async def _ran(argv: list[str], seconds: float) -> tuple[int | None, str]:
    """Run ssh without streams; its exit status (none: not in time) and what it said.

    What it says goes into a file: a connection that stays behind would hold a pipe open.
    """
    with tempfile.TemporaryFile(prefix="leasehold-ssh-") as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"ssh cannot be started: {error.strerror}", hint="install openssh-client") from error
        try:
            code = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            code = None
        finally:
            send(process, signal.SIGKILL)
            await process.wait()
        said.seek(0)
        return code, said.read().decode("utf-8", "backslashreplace")
