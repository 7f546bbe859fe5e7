"""What the caller and its agent at a place say to each other: frames of a kind, a number, and bytes.

The agent imports this file at the place, with whatever Python is there.
"""

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXECUTE, STDIN, WINDOW, END, CLOSE, DETACH = b"x", b"i", b"w", b"k", b"q", b"d"
"""From the caller: a command; bytes of its input (none: their end); room for more of its output; end it;
end everything and go; go and leave everything."""

READY, OUTPUT, ERROR, REPORT, ROOM, CLOSED = b"r", b"o", b"e", b"t", b"u", b"z"
"""From the agent: it serves; bytes of a command's standard output, or error; how the command ended; room for
more of its input; how everything ended."""

HEAD = struct.Struct(">cII")
"""Kind, number of the command, length of what follows."""

WINDOW_SIZE = 1 << 20
"""Bytes of one stream that may be under way unread."""

MOST = 16 * WINDOW_SIZE
"""Bytes of one frame that are waited for: no frame is so long."""


def pack(kind: bytes, number: int, data: bytes = b"") -> bytes:
    """A frame."""
    return HEAD.pack(kind, number, len(data)) + data


def pack_value(kind: bytes, number: int, value: "Any") -> bytes:
    """A frame with a JSON value in it. Names of files that are no text pass as lone surrogates."""
    return pack(kind, number, json.dumps(value).encode())


def unpack_head(head: bytes) -> "tuple[bytes, int, int]":
    """Kind, number and length."""
    kind, number, length = HEAD.unpack(head)
    return bytes(kind), int(number), int(length)


def unpack_value(data: bytes) -> "Any":
    """The value of such a frame."""
    return json.loads(data) if data else None
