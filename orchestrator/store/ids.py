"""Ids: lower case letters and digits, good as branch, container and pod names."""

import os
import random

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = _ALPHABET[10:26]


class Ids:
    """A source of ids. Seeded once from the system: asking it for each id costs more than a step."""

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))

    def random(self, length: int = 16) -> str:
        """A random id; it begins with a letter."""
        bits = 4 * (length - 1)
        return f"{_LETTERS[self._random.getrandbits(4)]}{self._random.getrandbits(bits):0{length - 1}x}"

    def sortable(self, at: int) -> str:
        """An id that sorts by its time (microseconds since 1970 UTC): ``l``, 9 characters of it, 10 random."""
        return f"{self.first_of(at)}{_base32(self._random.getrandbits(50), 10)}"

    @staticmethod
    def first_of(at: int) -> str:
        """What the ids of that time begin with: every earlier id sorts before it."""
        return f"l{_base32(at // 1000, 9)}"


def _base32(value: int, length: int) -> str:
    return "".join([_ALPHABET[(value >> shift) & 31] for shift in range(5 * (length - 1), -1, -5)])
