"""What the container engines of the tests have in common: one is asked by its command line, and lists what is there."""

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from image import BINDS, NAME


class Engine(ABC):
    """One engine below ``folder``. ``variables`` are those by which its command line finds it."""

    program: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}

    @abstractmethod
    def start(self) -> None:
        """Start it, with the tests' image in it."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it, and what runs there."""

    @abstractmethod
    def ask(self, *words: str, stdin: bytes = b"", check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        """Ask the engine by its command line."""

    def names(self) -> list[str]:
        """The names of all its containers, by its own listing."""
        return sorted(self.ask("ps", "-a", "--format", "{{.Names}}").stdout.decode().split())

    def volumes(self) -> list[str]:
        """Those of its volumes."""
        return sorted(self.ask("volume", "ls", "-q").stdout.decode().split())

    def containers(self) -> set[str]:
        """Both."""
        return {*self.names(), *self.volumes()}

    def clear(self) -> None:
        """Remove all that a failed test left."""
        if names := self.names():
            self.ask("rm", "-f", "-v", *names)
        if volumes := self.volumes():
            self.ask("volume", "rm", "-f", *volumes)

    def config(self) -> dict[str, Any]:
        """What an environment is told."""
        return {"image": NAME, "read_only": [path for path in BINDS if Path(path).exists()]}
