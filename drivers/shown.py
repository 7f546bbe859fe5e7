"""Names of files as text for a person or a journal, whatever bytes they are made of."""

import os


def shown(name: str | bytes | os.PathLike[str]) -> str:
    """The name with bytes that are no text, and control characters, as escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
