"""Globs that name what is neither sent nor brought back."""

import re
from collections.abc import Iterable


class Excludes:
    """Which paths, relative to a tree and with ``/`` between, are left out.

    A glob without ``/`` fits a name at any depth; one with ``/`` starts at the tree's top. ``*`` and ``?``
    do not cross ``/``, ``**`` does. What fits leaves out all below it.
    """

    def __init__(self, globs: Iterable[str]) -> None:
        sources = [_regex(glob) for glob in globs if glob.strip("/")]
        # Names may be bytes that are no text: they are compared byte by byte.
        self._fits = re.compile("|".join(sources).encode(), re.DOTALL) if sources else None

    def __bool__(self) -> bool:
        return self._fits is not None

    def __contains__(self, path: bytes) -> bool:
        return self._fits is not None and self._fits.match(path) is not None


def _regex(glob: str) -> str:
    anchored = "/" in glob.strip("/") or glob.startswith("/")
    parts: list[str] = []
    for sign in re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", glob.strip("/"), re.DOTALL):
        if sign == "**/":
            parts.append("(?:.*/)?")
        elif sign == "**":
            parts.append(".*")
        elif sign == "*":
            parts.append("[^/]*")
        elif sign == "?":
            parts.append("[^/]")
        elif sign.startswith("[") and len(sign) > 2:
            parts.append(
                "[" + ("^/" if sign[1] == "!" else "") + re.escape(sign[1:-1].lstrip("!")).replace(r"\-", "-") + "]"
            )
        else:
            parts.append(re.escape(sign))
    return ("" if anchored else "(?:.*/)?") + "".join(parts) + "(?:/|$)"
