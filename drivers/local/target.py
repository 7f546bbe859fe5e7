"""A local place to execute in."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from leasehold.drivers.command import Command, Result
from leasehold.drivers.context import Context
from leasehold.drivers.durable import renamed, write_whole
from leasehold.drivers.errors import Conflict, DriverError, Gone, Refused
from leasehold.drivers.execution import Supervision
from leasehold.drivers.shown import shown

T = TypeVar("T")

_CLOSING = 15.0


class LocalTarget:
    """Executes on this machine, in the realized folder; relative paths start there.

    ``guard`` raises ``Stale`` where the place was taken over: nothing is begun there any more.
    """

    def __init__(
        self,
        cwd: Path,
        *,
        env: Mapping[str, str],
        supervision: Supervision,
        guard: Callable[[], None],
        context: Context,
    ) -> None:
        self._cwd = cwd
        self._env = env
        self._supervision = supervision
        self._guard = guard
        self._context = context

    async def execute(self, command: Command) -> Result:
        self._guard()
        bounded = command.within(self._context.remaining())
        return await self._supervision.execute(bounded, cwd=self._cwd, env=self._env, stop=self._context.stop)

    async def put(self, source: Path, path: str) -> None:
        await self._moved(lambda: copy_to(source, self._cwd / path))

    async def get(self, path: str, dest: Path) -> None:
        await self._moved(lambda: copy_to(self._cwd / path, dest))

    async def read(self, path: str, limit: int | None = None) -> bytes:
        def work() -> bytes:
            with (self._cwd / path).open("rb") as file:
                return file.read() if limit is None else file.read(limit)

        return await self._moved(work)

    async def write(self, path: str, data: bytes) -> None:
        def work() -> None:
            dest = (self._cwd / path).resolve()
            dest.parent.mkdir(parents=True, exist_ok=True)
            write_whole(dest, data, mode=0o666)

        await self._moved(work)

    def describe(self) -> dict[str, Any]:
        return {"kind": "local", "environment_id": None, "lease_id": self._context.lease_id, "cwd": str(self._cwd)}

    async def detach(self) -> None:
        await self._supervision.detach()

    async def close(self) -> None:
        await self._supervision.close(time.monotonic() + _CLOSING)

    async def _moved(self, work: Callable[[], T]) -> T:
        self._guard()
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise Gone(f"no such file in the place: {shown(error.filename or '')}") from error
        except DriverError:
            raise
        except (OSError, shutil.Error) as error:
            raise Refused(f"the file could not be moved: {error}") from error


def copy_to(source: Path, dest: Path) -> None:
    """Put what is at ``source`` where it is wanted: a file replaces what is there, a folder goes into it."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        if dest.exists() and not dest.is_dir():
            raise Conflict(f"a file stands where the folder {shown(dest)} should go")
        shutil.copytree(source, dest, symlinks=True, dirs_exist_ok=True)
        return
    with renamed(dest) as new:
        shutil.copy2(source, new, follow_symlinks=False)
