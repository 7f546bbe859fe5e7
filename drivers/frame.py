"""What a caller and its supervisor say to each other about a command: a length, then a message.

A message is ``marshal``, not JSON: both ends are the same interpreter on one machine, and importing
``json`` takes a quarter of the time in which the supervisor has to start.
"""

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Request(TypedDict):
        """A command, ready to be executed.

        ``timeout`` and ``pause`` are seconds. ``group`` is the process group to join, within the caller's
        session (0: to make one that gets the caller's terminal); none: a session of its own. ``record`` names
        the file that gets the exit status.
        """

        argv: list[bytes]
        env: dict[bytes, bytes]
        cwd: bytes
        timeout: float | None
        pause: float
        group: int | None
        record: str | None

    class Report(TypedDict):
        """How a command ended.

        ``outcome`` is a value of ``Outcome``, ``status`` what ``waitpid`` said, ``duration`` seconds.
        ``failure`` says what did not work (``start``, ``cwd``, ``not_found``, ``not_executable``,
        ``record``) with its ``errno``.
        """

        outcome: str
        status: int | None
        survivors: tuple[int, ...] | None
        duration: float
        failure: tuple[str, int] | None


HEAD = 4
"""Bytes that say how long the message is."""

LET_GO = b"l"
"""What a caller writes behind its request before it closes the stream, to have the command live on."""


def pack(message: "Any") -> bytes:
    """A message as bytes, its length before it."""
    content = marshal.dumps(message)
    return len(content).to_bytes(HEAD, "big") + content


def length(head: bytes) -> int:
    """How many bytes follow the head."""
    return int.from_bytes(head, "big")


def unpack(content: bytes) -> "Any":
    """The message in what followed the head."""
    return marshal.loads(content)


def receive(fd: int) -> "Any":
    """The next message of a blocking stream; ``None`` where it ended before."""
    head = _exactly(fd, HEAD)
    content = _exactly(fd, length(head)) if head else None
    return unpack(content) if content else None


def send(fd: int, message: "Any") -> None:
    """Write a message to a blocking stream; nothing where nobody reads it any more."""
    left = memoryview(pack(message))
    try:
        while left:
            left = left[os.write(fd, left) :]
    except (BrokenPipeError, ConnectionResetError):
        return


def _exactly(fd: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = os.read(fd, size)
        except ConnectionResetError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
