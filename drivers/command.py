"""A command and its result."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Outcome(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    TARGET_LOST = "target_lost"


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that a command wrote; ``text`` reads them as UTF-8, never failing."""

    data: bytes = b""
    dropped: int = 0

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Streams:
    """File descriptors of the caller's that the command gets as its own; nothing is captured then."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute.

    Attributes:
        argv: program and arguments; or one string for a shell, with ``shell`` set.
        shell: run ``argv[0]`` as text by ``bash -c``.
        env: variables on top of the place's own.
        cwd: a directory, absolute or relative to the realized one; none: the realized one.
        stdin: bytes for its standard input; none: an empty one.
        timeout: seconds; none: until the context's deadline, if it has one.
        limit: bytes kept of each stream; what comes after is counted and dropped.
        on_output: called with (``stdout`` or ``stderr``, chunk) as output arrives.
        streams: the caller's own descriptors instead of captured streams.
        terminal: keep the caller's session and foreground, for an interactive shell.
        record: a name under which the exit status is also written at the place.
    """

    argv: tuple[str, ...]
    shell: bool = False
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    stdin: bytes | None = None
    timeout: float | None = None
    limit: int = 8 * 1024 * 1024
    on_output: Callable[[str, bytes], Awaitable[None] | None] | None = None
    streams: Streams | None = None
    terminal: bool = False
    record: str | None = None

    def within(self, seconds: float) -> "Command":
        """The same, ended after so many seconds at the latest; where they are infinite, by its own timeout alone."""
        left = seconds if self.timeout is None else min(seconds, self.timeout)
        return replace(self, timeout=left if math.isfinite(left) else None)


def record_name(record: str) -> str:
    """A record's name, which is that of a file. Raises ``ValueError``."""
    if not record or "/" in record or "\0" in record:
        raise ValueError(f"a record's name is that of a file: {record!r}")
    return record


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended. A failing command is a result, not an error.

    Attributes:
        exit_code: its exit status; none where a signal ended it or nobody saw its end.
        signal: the signal's number, where one ended it.
        survivors: processes of it that still run: empty only if seen empty, ``None`` if nobody could look.
        duration: seconds.
        error: why it never ran (``not_found``, ``not_executable``), else none.
        lost: why nobody saw its end, where the place told it.
    """

    exit_code: int | None
    signal: int | None
    stdout: Output
    stderr: Output
    outcome: Outcome
    survivors: tuple[int, ...] | None
    duration: float
    error: str | None = None
    lost: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it exited by itself with 0."""
        return self.outcome is Outcome.EXITED and self.exit_code == 0

    @property
    def dropped(self) -> int:
        """Bytes of output that were dropped, of both streams."""
        return self.stdout.dropped + self.stderr.dropped
