"""Ids: lower case letters and digits, good as branch, container and pod names."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(length: int = 16) -> str:
    """A random id; it begins with a letter."""
    letter = secrets.choice(_ALPHABET[10:])
    return letter + _base32(secrets.randbits(5 * (length - 1)), length - 1)


def sortable_id(at: int) -> str:
    """An id that sorts by its time (microseconds since 1970 UTC): ``l``, 9 characters of time, 10 random."""
    return f"l{_base32(at // 1000, 9)}{_base32(secrets.randbits(50), 10)}"


def _base32(value: int, length: int) -> str:
    characters: list[str] = []
    for _ in range(length):
        value, digit = divmod(value, 32)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
