"""Names of files, and numbers of things, as text for a person or a journal."""

import os
from collections.abc import Sequence

_MOST = 10


def shown(name: str | bytes | os.PathLike[str]) -> str:
    """The name with bytes that are no text, and control characters, as escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown_some(names: Sequence[str | bytes]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(shown(name) for name in names[:_MOST]) + more


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
