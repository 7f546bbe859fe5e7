"""JSON as the store keeps it: compact, sorted, one text for one value."""

import hashlib
import json
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode


def encode(value: Any) -> str:
    """The JSON text of a value."""
    return "{}" if value == {} else _encode(value)


def decode(text: str | None) -> Any:
    """The value of a JSON text; none for none."""
    return None if text is None else json.loads(text)


def digest(*texts: str | None) -> str:
    """A short hash over columns, by which ``verify`` sees that they are as they were written."""
    joined = "\x1f".join("\x00" if text is None else text for text in texts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
