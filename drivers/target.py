"""Where and how to execute."""

from pathlib import Path
from typing import Any, Protocol

from leasehold.drivers.command import Command, Result


class Target(Protocol):
    """A realized place in which commands run and files move."""

    async def execute(self, command: Command) -> Result:
        """Run a command to its end. A failing command is a result; a failing place raises ``DriverError``.

        When the caller is cancelled, the command is ended first, and then the cancellation goes on.
        """
        ...

    async def put(self, source: Path, path: str) -> None:
        """Copy a local file or folder to ``path`` in the place."""
        ...

    async def get(self, path: str, dest: Path) -> None:
        """Copy a file or folder of the place to a local path."""
        ...

    async def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's bytes, at most ``limit``."""
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Write a file whole: beside it first, then renamed."""
        ...

    def describe(self) -> dict[str, Any]:
        """The original's execution target, without secrets: ``{"kind": "local", …}`` or remote."""
        ...

    async def detach(self) -> None:
        """Let go without ending what runs there; another process will come for it."""
        ...

    async def close(self) -> None:
        """End every command that runs through this target, and let go."""
        ...
