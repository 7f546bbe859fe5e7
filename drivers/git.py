"""Running git on a user's repository: no hooks, no questions, no lock that is not needed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from leasehold.drivers.errors import Refused
from leasehold.drivers.shown import shown

_POLL = 0.1
_GRACE = 2.0
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.safecrlf=false",
    "core.quotePath=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    "advice.addEmbeddedRepo=false",
)
_OWN = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ADVICE": "0",
    "GIT_AUTHOR_NAME": "Leasehold",
    "GIT_AUTHOR_EMAIL": "leasehold@localhost",
    "GIT_COMMITTER_NAME": "Leasehold",
    "GIT_COMMITTER_EMAIL": "leasehold@localhost",
    "LC_ALL": "C",
}
IDENTITY = _OWN["GIT_COMMITTER_EMAIL"]


class GitFailed(Refused):
    """A git command said no. ``code`` is its exit status, ``lines`` what it said."""

    def __init__(self, message: str, code: int, lines: str) -> None:
        super().__init__(message)
        self.code = code
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Ran:
    """What a git command gave."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Its output as text, without the last newline."""
        return os.fsdecode(self.out).removesuffix("\n")

    @property
    def names(self) -> list[bytes]:
        """Its output as a list of names that end in NUL."""
        return [name for name in self.out.split(b"\0") if name]


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one folder.

    ``check`` is called while a command runs, and raises to end it: the command gets TERM, which lets git
    remove its lock files, then KILL. The caller's ``GIT_*`` variables do not pass, save those of its
    configuration: a hook of the user's that runs us would point git at its own repository. ``locks`` are
    descriptors that the command gets too: what is locked by them stays so while a command runs whose
    caller was killed.
    """

    folder: Path
    check: Callable[[], None]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    locks: tuple[int, ...] = ()
    settings: tuple[str, ...] = ()

    def having(self, **env: str | Path) -> "Git":
        """The same, with more variables."""
        return replace(self, env={**self.env, **{name: str(value) for name, value in env.items()}})

    def under(self, *settings: str) -> "Git":
        """The same, with more settings that stand above the repository's configuration."""
        return replace(self, settings=(*self.settings, *settings))

    def at(self, folder: Path) -> "Git":
        """The same in another folder."""
        return replace(self, folder=folder)

    def run(
        self,
        *args: str | bytes | Path,
        stdin: bytes | Path = b"",
        out: Path | None = None,
        ok: Sequence[int] = (0,),
    ) -> Ran:
        """Run to the end; a path as ``stdin`` or ``out`` is a file to read or write instead of memory.

        Raises ``GitFailed`` where the exit status is not in ``ok``, ``Refused`` without git.
        """
        program = executable()
        options = [word for setting in (*_CONFIG, *self.settings) for word in ("-c", setting)]
        self.check()
        with ExitStack() as files:
            source: IO[bytes] | int = subprocess.DEVNULL
            if isinstance(stdin, Path):
                source = files.enter_context(stdin.open("rb"))
            elif stdin:  # as a file: of a pipe, communicate sends nothing more once it has timed out
                source = files.enter_context(TemporaryFile())
                source.write(stdin)
                source.seek(0)
            sink = files.enter_context(out.open("wb")) if out else subprocess.PIPE
            if not self.folder.is_dir():
                raise Refused(f"git cannot run in {shown(self.folder)}: the folder is gone")
            process = subprocess.Popen(
                [program, *options, *args],
                cwd=self.folder,
                env=_environment(self.env),
                stdin=source,
                stdout=sink,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=self.locks,
            )
            with process:
                try:
                    told, err = self._wait(process)
                except BaseException:
                    _end(process)
                    raise
        done = Ran(process.returncode, told or b"", err)
        if done.code not in ok:
            raise _failed(args, done)
        return done

    def text(self, *args: str | bytes | Path, stdin: bytes = b"") -> str:
        """The output as text, without the last newline."""
        return self.run(*args, stdin=stdin).text

    def maybe(self, *args: str | bytes | Path) -> str | None:
        """The output as text, or ``None`` where git said no."""
        try:
            return self.text(*args)
        except GitFailed:
            return None

    def _wait(self, process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
        while True:
            try:
                return process.communicate(timeout=_POLL)
            except subprocess.TimeoutExpired:
                self.check()


def executable() -> str:
    """Where git is. Raises ``Refused``."""
    program = shutil.which("git")
    if program is None:
        raise Refused("git is not installed", hint="install git, or use the mode in_place or copy")
    return program


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG") or name == "GIT_EXEC_PATH"
    }
    return {**passed, **_OWN, **extra}


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.communicate(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            continue
        return


def _failed(args: Sequence[str | bytes | Path], done: Ran) -> GitFailed:
    verb = next((os.fsdecode(arg) for arg in args if not os.fsdecode(arg).startswith("-")), "")
    lines = os.fsdecode(done.err).strip() or os.fsdecode(done.out).strip()
    told = [line for line in lines.splitlines() if line.startswith(("fatal:", "error:"))] or lines.splitlines()
    first = told[0] if told else f"exit status {done.code}"
    return GitFailed(f"git {verb}: {first}", done.code, lines)
