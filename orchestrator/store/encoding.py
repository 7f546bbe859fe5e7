"""JSON as the store keeps it: compact text."""

import hashlib
import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


def encode(value: Any) -> str:
    """The JSON text of a value."""
    try:
        return to_json(value).decode()
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":"))  # a name of a file that is no text has surrogates


def decode(text: str | None) -> Any:
    """The value of a JSON text; none for none."""
    return None if text is None else json.loads(text)


def digest(*texts: str | None) -> str:
    """A short hash over columns, by which ``verify`` sees that they are as they were written."""
    joined = "\x1f".join(["\x00" if text is None else text for text in texts])
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
