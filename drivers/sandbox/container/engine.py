"""A container engine, by its command line."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from leasehold.drivers.errors import DriverError, Gone, Refused, Unavailable

_POLL = 0.1
# What starts a container may leave a process behind that keeps its descriptors: the shell holds it, not the program.
_HOLDING = ("sh", "-c", '"$@" </dev/null; exit $?', "sh")
_TAIL = 64 * 1024
_ABSENT = re.compile(r"no such (container|object|image)|no container with name|image not known", re.I)
_NO_PATH = re.compile(
    r"could not find the file .* in container|could not be found on container|no such container:path", re.I
)
_TAKEN = re.compile(r"name .* already in use", re.I)
_REASONS: tuple[tuple[str, type[DriverError], str], ...] = (
    (
        r"no space left on device|timed out waiting for file",
        Unavailable,
        "make room for the engine: {program} system prune",
    ),
    (
        r"(error response from daemon|pinging|initializing).*"
        r"(no such host|connection refused|i/o timeout|network is unreachable)",
        Unavailable,
        "the engine does not reach the registry: look at its network, or load the image: {program} load",
    ),
    (r"network .*not found|unable to find network", Refused, "look at the setting network: {program} network ls"),
    (r"cannot connect|connection refused|daemon running|permission denied.*sock|no such host", Unavailable, "{start}"),
    (r"no such container|no container with name", Gone, "take a new lease"),
    (r"is paused|is not running|state improper|is restarting", Unavailable, "look at it: {program} ps -a"),
    (
        r"pull access denied|manifest unknown|not found|short-name|no such image|invalid reference|unauthorized|"
        r"error (reading manifest|pinging)|initializing source|image not known",
        Refused,
        "look at the setting image, or log in: {program} login",
    ),
)


class NoImage(Exception):
    """The engine has no such image."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What differs between engines: program, the words and the variable that name an address, how one is started.

    ``identity`` is asked of ``info``: what tells one engine's containers from another's.
    """

    program: str
    address: tuple[str, ...]
    variable: str
    identity: str
    start: str
    install: str
    init: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine tells of it."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    trouble: str

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. All calls block; ``check`` is called meanwhile, and raises to end them.

    ``lock`` is a descriptor that what creates and removes holds too: what is locked by it stays so while it works
    for a caller that was killed.
    ``pinned`` is the identity of the engine that has the containers in question: no other can say that one is gone.
    """

    kind: Kind
    host: str | None
    check: Callable[[], None]
    lock: int | None = None
    pinned: str | None = None

    @property
    def words(self) -> list[str]:
        """The program, and where its engine is."""
        return [self.kind.program, *((*self.kind.address, self.host) if self.host else ())]

    def version(self) -> str:
        """The engine's own version. Raises ``Unavailable`` where it does not answer."""
        if self.kind.program == "docker":
            return self._said("version", "--format", "{{.Server.Version}}")
        return self._said("version", "--format", "{{.Client.Version}}")

    def identity(self) -> str:
        """What tells this engine from others."""
        return self._said("info", "--format", self.kind.identity)

    def find(self, name: str) -> Container | None:
        """The container of a name or id. Raises ``Unavailable`` where another engine than its own answers."""
        found = self.find_all([name])
        if not found and self.pinned is not None and (here := self.identity()) != self.pinned:
            raise Unavailable(
                f"{self.kind.program}: the engine of {name} is {self.pinned}, and another answers: {here}",
                hint=f"have it answer: the setting host, {self.kind.variable}, or the command line's own context",
            )
        return found[0] if found else None

    def find_all(self, names: Sequence[str]) -> list[Container]:
        """Those that are there."""
        if not names:
            return []
        code, out, said = self._run("container", "inspect", *names)
        if code != 0 and not _ABSENT.search(said):
            raise self.meaning(said) or self._failed("inspect", said)
        return [_container(value) for value in json.loads(out or "[]")]

    def labelled(self, labels: Mapping[str, str | None]) -> list[Container]:
        """All containers that bear these labels; without a value, any value will do."""
        words = [f"label={name}" if value is None else f"label={name}={value}" for name, value in labels.items()]
        filters = [word for text in words for word in ("--filter", text)]
        return self.find_all(self._said("ps", "-aq", "--no-trunc", *filters).split())

    def pull(self, image: str, progress: Callable[[str], None]) -> None:
        """Pull an image, telling of it."""
        progress(f"pulling {image}")
        code, _, said = self._run("pull", image, progress=progress)
        if code != 0:
            raise self.meaning(said) or self._failed("pull", said, hint="look at the setting image")

    def has_image(self, image: str) -> bool:
        code, _, said = self._run("image", "inspect", image)
        if code != 0 and not _ABSENT.search(said):
            raise self.meaning(said) or self._failed("image inspect", said)
        return code == 0

    def start(self, name: str, words: Iterable[str]) -> str | None:
        """Create and start a container: its id, none where one of that name is there already: there is no second.

        Raises ``NoImage`` where its image is not there.
        """
        code, out, said = self._run("run", "--detach", "--name", name, *words, locked=True)
        if code == 0:
            return out.strip()
        if _TAKEN.search(said):
            return None
        if _ABSENT.search(said):
            raise NoImage(said)
        raise self.meaning(said) or self._failed("run", said, hint="look at the settings of the environment")

    def call(self, *words: str) -> None:
        """A call about one container: start, unpause, exec, … . Raises what it comes to."""
        self._said(*words)

    def copy(self, container: str, path: str, into: IO[bytes]) -> bool:
        """Write a folder of a container, running or not, as a tar; false where there is none."""
        code, _, said = self._run("cp", f"{container}:{path}", "-", into=into)
        if code != 0 and not _NO_PATH.search(said):
            raise self.meaning(said) or self._failed("cp", said)
        return code == 0

    def remove(self, container: str) -> None:
        """Remove a container with all that is in it; gone already is success."""
        code, _, said = self._run("rm", "-f", "-v", container, locked=True)
        if code != 0 and not _ABSENT.search(said) and "already in progress" not in said:
            raise self.meaning(said) or self._failed("rm", said)

    def meaning(self, said: str) -> DriverError | None:
        """What the engine's words mean; none where they are not known to be the engine's: the last tells most."""
        for pattern, kind, hint in _REASONS:
            for line in reversed(said.splitlines()):
                if re.search(pattern, line, re.I):
                    told = hint.format(program=self.kind.program, start=self.kind.start)
                    return kind(f"{self.kind.program}: {_line(line)}", hint=told)
        return None

    def _said(self, *words: str) -> str:
        code, out, said = self._run(*words)
        if code != 0:
            raise self.meaning(said) or self._failed(words[0], said)
        return out.strip()

    def _failed(self, what: str, said: str, *, hint: str = "") -> DriverError:
        lines = said.strip().splitlines()
        last = _line(lines[-1]) if lines else "it said nothing"
        return Unavailable(f"{self.kind.program} {what}: {last}", hint=hint)

    def _run(
        self,
        *words: str,
        progress: Callable[[str], None] | None = None,
        locked: bool = False,
        into: IO[bytes] | None = None,
    ) -> tuple[int, str, str]:
        self.check()
        held = self.lock if locked else None
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            if not installed(self.kind):
                raise Unavailable(f"{self.kind.program} is not installed", hint=self.kind.install)
            process = subprocess.Popen(
                [*(_HOLDING if held is not None else ()), *self.words, *words],
                stdin=subprocess.DEVNULL if held is None else held,
                stdout=into or (out if progress is None else said),
                stderr=said,
                start_new_session=True,
            )
            told = _Told(said, progress)
            with process:
                try:
                    while not _ended(process):
                        told.go_on()
                        self.check()
                except BaseException:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    raise
            told.go_on()
            return process.returncode, _tail(out, None), _tail(said, _TAIL)


class _Told:
    """Hands on what a program writes, a line at a time."""

    def __init__(self, file: IO[bytes], progress: Callable[[str], None] | None) -> None:
        self._file = file
        self._progress = progress
        self._at = 0

    def go_on(self) -> None:
        if self._progress is None:
            return
        data = os.pread(self._file.fileno(), 1 << 20, self._at)
        whole, newline, _ = data.rpartition(b"\n")
        self._at += len(whole) + len(newline)
        for line in whole.decode(errors="replace").splitlines():
            self._progress(line)


def installed(kind: Kind) -> bool:
    """Whether the engine's command line is here."""
    return shutil.which(kind.program) is not None


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_POLL)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(file: IO[bytes], most: int | None) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(0 if most is None else max(0, size - most))
    return file.read().decode(errors="replace")


def _line(text: str) -> str:
    return re.sub(r"^(docker: |Error response from daemon: |Error: )+", "", text.strip()).rstrip(".")


def _container(value: Mapping[str, Any]) -> Container:
    state = value["State"]
    status = "paused" if state.get("Paused") else str(state["Status"])
    reason = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
    trouble = status if status in ("running", "paused", "created", "configured") else f"{status} ({reason})"
    name = str(value["Name"]).removeprefix("/")
    return Container(str(value["Id"]), name, value["Config"].get("Labels") or {}, status, trouble)
