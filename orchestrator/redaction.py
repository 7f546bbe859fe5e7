"""Takes secrets out of text by their value, wherever the text came from."""

from collections.abc import Iterable

MASK = "[redacted]"


class Redaction:
    """Knows the secret values that this process has read, and blots them out."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def learn(self, values: Iterable[str]) -> None:
        """Remember values; the lines of a longer one count each for itself."""
        for value in values:
            for part in (value, *value.splitlines()):
                if len(part.strip()) >= 4:
                    self._values.add(part)

    def clean(self, text: str) -> str:
        """The text without any of them, longest first; and without what a store cannot keep in text."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()
