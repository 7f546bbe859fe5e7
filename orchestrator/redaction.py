"""Takes secrets out of text by their value, wherever the text came from."""

from collections.abc import Iterable

MASK = "[redacted]"

_MOST = 4096  # values: those of a process that lives for months come and go


class Redaction:
    """Knows the secret values that this process has read of late, and blots them out."""

    def __init__(self) -> None:
        self._values: dict[str, None] = {}
        self._longest_first: tuple[str, ...] = ()

    def learn(self, values: Iterable[str]) -> None:
        """Remember values; the lines of a longer one count each for itself. Those read longest ago are forgotten."""
        for value in values:
            for part in (value, *value.splitlines()):
                if len(part.strip()) >= 4:
                    self._values.pop(part, None)
                    self._values[part] = None
        while len(self._values) > _MOST:
            del self._values[next(iter(self._values))]
        self._longest_first = tuple(sorted(self._values, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """The text without any of them, longest first; and without what a store cannot keep in text."""
        for value in self._longest_first:
            text = text.replace(value, MASK)
        return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()
