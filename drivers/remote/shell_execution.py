"""Executing where the place has no Python: a shell for each command."""

from collections.abc import Mapping

from leasehold.drivers.command import Command, Result
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Unavailable
from leasehold.drivers.remote.place import RemotePlace


class ShellExecution:
    """Commands of one target."""

    lost = False

    def __init__(self, place: RemotePlace, marker: str) -> None:
        self._place = place
        self._marker = marker

    async def execute(self, command: Command, *, cwd: str, env: Mapping[str, str], context: Context) -> Result:
        """Run a command to its end."""
        raise Unavailable("the place has no python3")

    async def detach(self, seconds: float) -> None:
        """Let go."""

    async def close(self, deadline: float) -> tuple[int, ...] | None:
        """End everything."""
        return ()
