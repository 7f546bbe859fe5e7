"""A sandbox of this machine to execute in."""

import asyncio
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from leasehold.drivers.command import Command, Outcome, Result, Streams
from leasehold.drivers.durable import beside
from leasehold.drivers.errors import DriverError, Gone, Refused, Unavailable
from leasehold.drivers.local.target import LocalTarget, copy_to
from leasehold.drivers.remote.admission import Admission
from leasehold.drivers.shown import shown

_SECONDS = 3600.0
_MISSING = 90
_READ = '[ -e "$1" ] || exit 90; if [ -n "$2" ]; then exec head -c "$2" -- "$1"; else exec cat -- "$1"; fi'
_BESIDE = """
d=$(dirname -- "$1"); mkdir -p -- "$d" && t=$(mktemp -d -- "$d/.put.XXXXXX") || exit 1
trap 'rm -rf -- "$t"' EXIT
"""
_WRITE = (
    _BESIDE
    + """
[ ! -d "$1" ] || { echo "it is a folder" >&2; exit 1; }
cat >"$t/new" || exit 1
[ ! -e "$1" ] || chmod --reference="$1" -- "$t/new"
mv -f -- "$t/new" "$1"
"""
)
_PUT_FILE = _BESIDE + 'tar -xpf - --no-same-owner -C "$t" && mv -fT -- "$t/item" "$1"'
_PUT_FOLDER = 'mkdir -p -- "$1" && exec tar -xpf - --no-same-owner -C "$1"'
_GET = '[ -e "$1" ] || [ -L "$1" ] || exit 90; cd -- "$(dirname -- "$1")" && exec tar -cf - -- "./$(basename -- "$1")"'


class ConfinedTarget(LocalTarget):
    """Executes in the sandbox. Files move through commands there: what a link leads to is the sandbox's own."""

    async def put(self, source: Path, path: str) -> None:
        folder = await asyncio.to_thread(lambda: source.is_dir() and not source.is_symlink())

        def send(pipe: IO[bytes]) -> None:
            with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                archive.add(source, "." if folder else "item")

        await self._streamed(_PUT_FOLDER if folder else _PUT_FILE, path, send, writes=True)

    async def get(self, path: str, dest: Path) -> None:
        new = beside(dest)
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)

        def take(pipe: IO[bytes]) -> None:
            new.mkdir(parents=True)
            with tarfile.open(fileobj=pipe, mode="r|") as archive:
                archive.extractall(new, _admitted(archive, new), filter="data")

        try:
            await self._streamed(_GET, path, take, writes=False)
            await asyncio.to_thread(_settle, new, dest)
        finally:
            await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)

    async def read(self, path: str, limit: int | None = None) -> bytes:
        command = _command(_READ, path, "" if limit is None else str(limit))
        result = await self.execute(replace(command, limit=1 << 40))
        return _moved(result, path, result.stderr.text).stdout.data

    async def write(self, path: str, data: bytes) -> None:
        result = await self.execute(replace(_command(_WRITE, path), stdin=data))
        _moved(result, path, result.stderr.text)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "remote",
            "transport": "sandbox",
            "shell_command": "bash",
            "remote_cwd": str(self._cwd),
            "lease_id": self._context.lease_id,
        }

    async def _streamed(self, script: str, path: str, work: Callable[[IO[bytes]], None], *, writes: bool) -> None:
        """Run a script there, with a pipe to or from ``work`` as its input or output."""
        read, write = os.pipe()
        theirs, ours = (read, write) if writes else (write, read)
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as nothing:
            rest = nothing.fileno(), said.fileno()
            streams = Streams(theirs, *rest) if writes else Streams(rest[0], theirs, rest[1])
            moving = asyncio.create_task(asyncio.to_thread(_work, ours, "wb" if writes else "rb", work))
            try:
                result = await self.execute(replace(_command(script, path), streams=streams))
            finally:
                os.close(theirs)
                problem = await moving
            if isinstance(problem, DriverError):
                raise problem
            said.seek(0)
            _moved(result, path, said.read().decode(errors="replace"))
        if problem is not None:
            raise Refused(f"the file could not be moved: {problem}")


def _admitted(archive: tarfile.TarFile, folder: Path) -> Iterator[tarfile.TarInfo]:
    admission = Admission(None, room=folder)
    for member in archive:
        if admission.path(member) is not None:
            yield member


def _work(pipe: int, mode: str, work: Callable[[IO[bytes]], None]) -> Exception | None:
    """Do the near side; what failed, for the far side may have said it better."""
    try:
        with os.fdopen(pipe, mode) as file:
            work(file)
    except (OSError, tarfile.TarError, DriverError) as error:
        return error
    return None


def _settle(new: Path, dest: Path) -> None:
    [item] = new.iterdir()
    if item.is_dir() and not item.is_symlink():
        copy_to(item, dest)
    else:
        item.replace(dest)


def _command(script: str, *arguments: str) -> Command:
    return Command(("sh", "-c", script, "sh", *arguments), timeout=_SECONDS)


def _moved(result: Result, path: str, said: str) -> Result:
    if result.ok:
        return result
    if result.outcome is Outcome.EXITED and result.exit_code == _MISSING:
        raise Gone(f"no such file in the place: {shown(path)}")
    if result.outcome is not Outcome.EXITED:
        raise Unavailable(f"{shown(path)} could not be moved: the command ended {result.outcome}")
    lines = said.strip().splitlines()
    raise Refused(f"{shown(path)} could not be moved: {lines[-1] if lines else f'exit code {result.exit_code}'}")
