"""A real sshd for tests: on a loopback port, with keys of its own, for root or for this machine's plain user."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = "/usr/sbin/sshd"
_UP = 15.0


def program() -> str | None:
    """Where sshd is; none without it."""
    return shutil.which("sshd") or (_PROGRAM if Path(_PROGRAM).exists() else None)


class Sshd:
    """One server below ``folder``. ``user`` may log in by the key ``identity``.

    ``within`` are the words that start it elsewhere, as in a network namespace; it listens at ``host`` there.
    ``settings`` are lines of its configuration, before all others.
    """

    def __init__(
        self,
        folder: Path,
        user: str | None = None,
        *,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.user = user or pwd.getpwuid(os.getuid()).pw_name
        self.host = host
        self.port = _free_port()
        self.identity = folder / "identity"
        self.known_hosts = folder / "known_hosts"
        self._within = tuple(within)
        self._settings = tuple(settings)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name in ("host_key", "identity"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
            )
        keys = folder / "authorized_keys"
        keys.write_text((folder / "identity.pub").read_text())
        keys.chmod(0o644)
        kind, key, *_ = (folder / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {kind} {key}\n")

    def config(self) -> dict[str, object]:
        """What the ssh driver is told to reach it."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "identity": f"file:{self.identity}",
            "known_hosts": str(self.known_hosts),
            "ssh_config": "/dev/null",
        }

    def start(self) -> None:
        """Start it; returns when it answers."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        settings = self.folder / "sshd_config"
        settings.write_text(
            "\n".join(
                [
                    *self._settings,
                    f"ListenAddress {self.host}",
                    f"Port {self.port}",
                    f"HostKey {self.folder}/host_key",
                    f"AuthorizedKeysFile {self.folder}/authorized_keys",
                    f"PidFile {self.folder}/pid",
                    "UsePAM no",
                    "StrictModes no",
                    "PermitRootLogin yes",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "MaxSessions 200",
                    "MaxStartups 200",
                    "SetEnv SHLVL=2",  # a shell below shells, thinks bash, and reads no .bashrc of this machine's
                    "",
                ]
            )
        )
        path = program()
        assert path is not None
        self._process = subprocess.Popen(
            [*self._within, path, "-D", "-f", str(settings), "-E", str(self.folder / "log")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up = time.monotonic() + _UP
        while not _answers(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def children(self) -> list[int]:
        """The processes of its connections, each with all below it."""
        if self._process is None:
            return []
        found = [self._process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found.extend(int(child) for child in listed)
        return found[1:]

    def stop(self, *, everything: bool = False) -> None:
        """Stop it, and its connections; ``everything`` kills what runs below them too, as a reboot does."""
        if self._process is None:
            return
        below = self.children()
        connections = [pid for pid in below if _is_sshd(pid)]
        self._process.kill()
        self._process.wait(10)
        self._process = None
        for pid in below if everything else connections:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_sshd(pid: int) -> bool:
    try:
        return "sshd" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1) as tried:
            return tried.recv(4).startswith(b"SSH")
    except OSError:
        return False
