# ruff: noqa: PTH104, PTH118
# Paths are bytes here, because names of files need not be text.
"""The making of a mirror: a local copy that is told to others as it is made, and made again from an earlier one."""

import os
import stat
import time
from pathlib import Path

from leasehold.drivers.context import Context
from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.local.file_tree import FileBaseline
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.tree_copy import TreeCopy
from leasehold.drivers.manifest import EXECUTABLE, PLAIN, RACY_NS, Entry, stamp
from leasehold.drivers.removal import remove_tree
from leasehold.drivers.tree_copying import Earlier, Sink, TreeCopying
from leasehold.drivers.workspace import Realization, Workspace

_EARLIER = "earlier"
_COPIED = "copied.json"

Row = tuple[list[int], list[int], str]
"""How a file looked when it was copied, how its copy looked, and the digest."""


class MirrorCopy(TreeCopy):
    """The local mode ``copy``, for one mirror. ``sink`` is told of everything that is copied."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink
        self._recording: _Recording | None = None
        self._reuses = False

    def make(self, place: Place, workspace: Workspace, context: Context) -> Realization:
        self._reuses = True
        try:
            made = super().make(place, workspace, context)
            if self._recording is not None:
                self._recording.write(place)
        finally:
            self._reuses = False
            remove_tree(place.folder / _EARLIER, context.check)
        return made

    def _copying(
        self,
        place: Place,
        source: Path,
        excludes: Excludes,
        context: Context,
        *,
        digests: bool,
        sink: Sink | None = None,
        earlier: Earlier | None = None,
    ) -> TreeCopying:
        both = self._recording = _Recording(place, digests, self._sink)
        return super()._copying(place, source, excludes, context, digests=digests, sink=both, earlier=both)

    def _clear(self, place: Place, context: Context) -> None:
        if self._reuses and place.tree.is_dir():
            remove_tree(place.folder / _EARLIER, context.check)
            place.tree.rename(place.folder / _EARLIER)
        else:
            super()._clear(place, context)


class _Recording:
    """Notes what is copied, and passes it on; moves files of the earlier copy that are still the same."""

    def __init__(self, place: Place, digests: bool, sink: Sink | None) -> None:
        self._earlier = os.fsencode(place.folder / _EARLIER)
        self._digests = digests
        self._sink = sink
        self._begun = time.time_ns()
        self._seen: dict[bytes, list[int]] = {}
        self._rows: dict[bytes, Row] = {}
        self._kept: dict[bytes, Row] = {}
        value = read_json(place.folder / _COPIED)
        if value is not None and value["digests"] == digests:
            self._rows = {os.fsencode(path): tuple(row) for path, row in value["rows"].items()}

    def take(self, path: bytes, facts: os.stat_result, dest: bytes) -> Entry | None:
        row = self._rows.get(path)
        if row is None or row[0] != _source(facts):
            return None
        old = os.path.join(self._earlier, path)
        try:
            if _copy(os.lstat(old)) != row[1]:
                return None
            os.rename(old, dest)
            there = os.lstat(dest)
        except OSError:
            return None  # gone, or of another kind by now: it is copied
        self._kept[path] = row
        mode = stat.S_IMODE(facts.st_mode)
        return Entry(EXECUTABLE if mode & 0o100 else PLAIN, mode, facts.st_size, row[2], stamp(there))

    def folder(self, path: bytes, facts: os.stat_result) -> None:
        if self._sink is not None:
            self._sink.folder(path, facts)

    def link(self, path: bytes, facts: os.stat_result, text: bytes) -> None:
        if self._sink is not None:
            self._sink.link(path, facts, text)

    def file(self, path: bytes, facts: os.stat_result) -> None:
        if facts.st_ctime_ns < self._begun - RACY_NS:
            self._seen[path] = _source(facts)
        if self._sink is not None:
            self._sink.file(path, facts)

    def content(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.content(data)

    def write(self, place: Place) -> None:
        """Write down what the next copy may use."""
        baseline = FileBaseline.read(place) if self._digests else None
        rows = dict(self._kept)
        top = os.fsencode(place.tree)
        for path, source in self._seen.items():
            try:
                facts = os.lstat(os.path.join(top, path))
            except OSError:
                continue  # git has put another in its place
            entry = baseline.files.get(path) if baseline is not None else None
            rows[path] = (source, _copy(facts), entry.digest if entry is not None else "")
        value = {"digests": self._digests, "rows": {os.fsdecode(path): row for path, row in rows.items()}}
        write_json(place.folder / _COPIED, value)


def _source(facts: os.stat_result) -> list[int]:
    return [facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_size, facts.st_mode]


def _copy(facts: os.stat_result) -> list[int]:
    """A rename changes no more than the change time."""
    return [facts.st_mtime_ns, facts.st_ino, facts.st_size, facts.st_mode]
