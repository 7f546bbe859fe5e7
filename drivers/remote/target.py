"""A place that is reached over a link, to execute in."""

import asyncio
import os
import shlex
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.command import Command, Outcome, Output, Result
from leasehold.drivers.context import Context
from leasehold.drivers.errors import DriverError, Gone, Refused
from leasehold.drivers.local.target import copy_to
from leasehold.drivers.remote.admission import leads_out
from leasehold.drivers.remote.asking import MOST_ANSWERED, answered, converse
from leasehold.drivers.remote.link import Session
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.receiving import Receiving
from leasehold.drivers.remote.sending import tar_chunks
from leasehold.drivers.remote.streaming import Incoming, feed_chunks
from leasehold.drivers.remote.supervision import RemoteSupervision
from leasehold.drivers.shown import shown

_CLOSING = 20.0
_FILES = 600.0

_AT = r"""
fresh
standing
umask "$U"
cd "$CWD" 2>/dev/null || say gone "the folder $CWD is gone"
"""

_READ = (
    _AT
    + r"""
[ -f "$P" ] || say gone "no such file in the place: $N"
if [ -n "$L" ]; then head -c "$L" "$P"; else cat "$P"; fi
"""
)

_WRITE = (
    _AT
    + r"""
try mkdir -p "${P%/*}/"
[ ! -d "$P" ] || say refused "a folder stands where the file $N should go"
b=${P%/*}/.leasehold-$$
{ fed >"$b"; } 2>/dev/null || { rm -f "$b"; say unavailable "$N cannot be written"; }
[ ! -f "$P" ] || chmod "$(stat -c %a "$P")" "$b" 2>/dev/null
e=$(mv "$b" "$P" 2>&1) || { rm -f "$b"; say refused "$N cannot be written: $e"; }
"""
)

_PUT = (
    _AT
    + r"""
try mkdir -p "$P"
cd "$P" || say refused "$N is no folder"
e=$(fed | tar -xopf - 2>&1) || say refused "the file could not be moved: $(printf %s "$e" | head -n 1)"
"""
)

_GET = (
    _AT
    + r"""
[ -e "$P" ] || [ -L "$P" ] || say gone "no such file in the place: $N"
if [ -d "$P" ] && [ ! -L "$P" ]; then cd "$P" && tar -cf - . 2>/dev/null
else case $P in */*) cd "${P%/*}/" ;; esac && tar -cf - "./${P##*/}" 2>/dev/null; fi
"""
)

# Nothing of the environment's stands in an argument list: it comes before, in a file that is read and removed.
_TERMINAL = (
    _AT
    + r"""
T=$D/run/$T
. "$T"
rm -f "$T"
LEASEHOLD_PLACE=$M; export LEASEHOLD_PLACE
"""
)

_LEAVE = r"""
fresh
standing
try mkdir -p "$D/run"
fed >"$D/run/$T" || say unavailable "$D/run cannot be written"
"""

# The terminal's way may have failed before it was read.
_FORGET = 'rm -f "$D/run/$T"\n'


class RemoteTarget:
    """Executes at a place, in the realized folder; relative paths start there.

    ``described`` is the original's execution target; ``env`` is what every command gets on top of the
    place's own variables.
    """

    def __init__(
        self,
        place: RemotePlace,
        cwd: str,
        *,
        env: Mapping[str, str],
        described: Mapping[str, Any],
        context: Context,
    ) -> None:
        self._place = place
        self._cwd = cwd
        self._env = env
        self._described = described
        self._context = context
        self._supervision = RemoteSupervision(place, place.key)

    async def execute(self, command: Command) -> Result:
        bounded = command.within(self._context.remaining())
        if command.terminal and command.streams is not None and os.isatty(command.streams.stdin):
            return await self._on_terminal(bounded)
        return await self._supervision.execute(bounded, cwd=self._cwd, env=self._env, context=self._context)

    async def put(self, source: Path, path: str) -> None:
        context = self._timed()
        folder, paths = await off_loop(context, lambda _: _listed(source))
        parent, _, name = path.rstrip("/").rpartition("/")
        where = path if folder else parent or ("/" if path.startswith("/") else ".")
        top, called = (source, None) if folder else (source.parent, os.fsencode(name))

        async def talk(session: Session) -> bytes:
            await feed_chunks(session, context, tar_chunks(top, paths, context.check, context.progress, name=called))
            return await answered(session)

        await converse(self._place.link, self._script(_PUT, context, P=_plain(where), N=shown(path)), context, talk)

    async def get(self, path: str, dest: Path) -> None:
        context = self._timed()
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryDirectory(prefix="leasehold-get-") as folder:

            async def talk(session: Session) -> Receiving:
                def receive(context: Context) -> Receiving:
                    receiving = Receiving(Path(folder) / "got", None, check=context.check, link=_stays)
                    receiving.run(Incoming(session, loop, context.check))
                    return receiving

                return await off_loop(context, receive)

            script = self._script(_GET, context, P=_plain(path), N=shown(path))
            receiving = await converse(self._place.link, script, context, talk)
            await off_loop(context, lambda _: _settle(receiving, dest))

    async def read(self, path: str, limit: int | None = None) -> bytes:
        most = MOST_ANSWERED if limit is None else limit
        return await self._ask(_READ, most=most, P=_plain(path), N=shown(path), L="" if limit is None else limit)

    async def write(self, path: str, data: bytes) -> None:
        await self._ask(_WRITE, feed=data, P=_plain(path), N=shown(path))

    def describe(self) -> dict[str, Any]:
        return dict(self._described)

    async def detach(self) -> None:
        await self._supervision.detach()

    async def close(self) -> None:
        await self._supervision.close(time.monotonic() + _CLOSING)

    async def _ask(
        self, text: str, *, feed: bytes | None = None, most: int = MOST_ANSWERED, **variables: object
    ) -> bytes:
        return await self._place.ask(text, self._timed(), feed=feed, most=most, CWD=self._cwd, **variables)

    def _script(self, text: str, context: Context, **variables: object) -> str:
        return self._place.script(text, context, CWD=self._cwd, **variables)

    def _timed(self) -> Context:
        """A target outlives its verb: moving files has a deadline of its own."""
        return replace(self._context, deadline=min(self._context.deadline, time.monotonic() + _FILES))

    async def _on_terminal(self, command: Command) -> Result:
        assert command.streams is not None
        begun = time.monotonic()
        name = f"terminal-{uuid.uuid4().hex}"
        words = [f"export {key}={shlex.quote(value)}\n" for key, value in {**self._env, **command.env}.items()]
        context = self._timed()
        argv = ("bash", "-c", *command.argv) if command.shell else command.argv
        text = f"{_TERMINAL}cd {shlex.quote(command.cwd or '.')} || exit 1\nexec {shlex.join(argv)}\n"
        script = self._script(text, context, T=name, M=self._place.key)
        try:
            await self._place.ask(_LEAVE, context, feed="".join(words).encode("utf-8", "surrogateescape"), T=name)
            code = await asyncio.wait_for(self._place.link.attach(script, command.streams), command.timeout)
        except TimeoutError:
            lasted = time.monotonic() - begun
            return Result(None, None, Output(), Output(), Outcome.TIMED_OUT, None, lasted)
        finally:
            with suppress(DriverError):  # it is gone with its place, or with the terminal's first words
                soon = replace(context, deadline=time.monotonic() + _CLOSING)
                await self._place.ask(_FORGET, soon, T=name)
        return Result(code, None, Output(), Output(), Outcome.EXITED, None, time.monotonic() - begun)


def _plain(path: str) -> str:
    """A path that no program takes for an option. Raises ``ValueError``."""
    if not path or "\0" in path:
        raise ValueError(f"this is no path: {path!r}")
    return path if path.startswith("/") else f"./{path}"


def _listed(source: Path) -> tuple[bool, list[bytes]]:
    """Whether this is a folder, and what is to be sent of it. Raises ``Gone``."""
    if source.is_dir() and not source.is_symlink():
        return True, [os.fsencode(found.relative_to(source)) for found in source.rglob("*")]
    if not os.path.lexists(source):
        raise Gone(f"no such file: {shown(source)}")
    return False, [os.fsencode(source.name)]


def _stays(path: bytes, text: bytes) -> bool:
    """That a link may come: to a person's folder it brings no way out of what was asked for. Raises ``Refused``."""
    if leads_out(path, text):
        raise Refused(f"the link {shown(path)} names {shown(text)}, outside of what was asked for: nothing is moved")
    return True


def _settle(receiving: Receiving, dest: Path) -> None:
    if receiving.whole:
        copy_to(receiving.top, dest)
        return
    for name in receiving.received:
        copy_to(receiving.top / os.fsdecode(name), dest)
