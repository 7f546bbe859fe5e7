"""Namespaces of a place's own, in which its supervisor is the first process."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def interpreter() -> Path:
    """The Python that supervises there: the real program, for a virtual environment's link may not be seen there."""
    return Path(sys.executable).resolve()


@dataclass(frozen=True, slots=True)
class Confinement:
    """How the supervisor of a place is started within namespaces of its own.

    ``argv`` is a program that makes them and then becomes, or starts, the words that follow; descriptors
    pass through it. The supervisor must come to be process 1 there: with it, all that is there ends.

    Attributes:
        argv: the program and its arguments, as far as the supervisor's own words.
        env: the variables of both.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def words(self, program: str, control: int, folder: int, pause: float, caller: int) -> list[str]:
        """The whole command line of a supervisor there; it knows folder and caller by their descriptors alone."""
        numbers = (control, folder, pause, caller)
        return [*self.argv, str(interpreter()), "-I", "-S", program, *map(str, numbers)]


def caller_descriptor() -> int:
    """A descriptor of this process, by which others see its end."""
    return os.pidfd_open(os.getpid())
