"""Words that the tables are made of, each with what it means to a person."""

from enum import StrEnum
from typing import Self


class Glossed(StrEnum):
    """A word and its ``gloss``."""

    _value_: str
    gloss: str

    def __new__(cls, value: str, gloss: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.gloss = gloss
        return member
