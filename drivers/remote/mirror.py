# ruff: noqa: PTH118, PTH120
# Paths are bytes here, because names of files need not be text.
"""The local copy of what stands at a place: by it, the local machinery brings changes back and keeps them."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.durable import read_json, write_json
from leasehold.drivers.errors import Damaged, Gone
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.git import Git
from leasehold.drivers.local.copied_repository import read_head
from leasehold.drivers.local.fence import Fence
from leasehold.drivers.local.file_tree import ignored_paths
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.manifest import EXECUTABLE, FOLDER, LINK, PLAIN
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.listing import Listing
from leasehold.drivers.remote.mirror_copy import MirrorCopy
from leasehold.drivers.remote.sending import TarSink
from leasehold.drivers.returning import comes_back
from leasehold.drivers.sync import blocked
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

T = TypeVar("T")

ROOT = "mirrors"
_SENT = "sent.json"


@dataclass(frozen=True, slots=True)
class Own:
    """A path of the mirror. Every way in which it can change gives it another ``version``."""

    kind: str
    size: int
    version: str


Outgoing = dict[bytes, Own]

Sent = dict[bytes, tuple[str, str | None]]
"""Of each path at the place: the stamp that it had when both sides were alike there, and the version then.

No version: it stood there, and did not come here.
"""


class Mirror:
    """One place's mirror, in the state folder. All work is done off the loop, under the mirror's own fence."""

    def __init__(self, key: str, context: Context, where: str = "") -> None:
        self._where = where
        self._place = Place.under(context.state_folder.absolute() / ROOT, key)
        self._context = context
        self._tree = MirrorCopy()

    @property
    def top(self) -> Path:
        return self._place.tree

    def stands(self) -> bool:
        """Whether a whole tree was once put at the place from this machine."""
        facts = self._place.realized() if self._place.stands() else None
        return facts is not None and bool(facts["made"])

    def ended(self) -> bool:
        """Whether all that was there is kept, and an end was begun: what is missing now is no change of the run's."""
        return bool((self._place.realized() or {}).get("ended"))

    async def make(
        self, workspace: Workspace, tags: Tags, emit: Callable[[bytes, Callable[[], None]], None] | None = None
    ) -> tuple[Realization, TarSink | None]:
        """Make the mirror of a workspace anew. What a run changed in an earlier one is kept.

        ``emit`` gets all that belongs at the place as a tar stream, as it is copied, and what to check as it waits.
        """

        def work(place: Place, context: Context) -> tuple[Realization, TarSink | None]:
            data = {"mode": workspace.mode, "workspace": str(workspace.path), "lease_id": tags.lease_id}
            place.make(tags, {**data, "where": self._where})
            place.renew(context)
            sink = None
            if emit is not None:
                source = workspace.path.resolve()
                stay = self.staying(source, place.git(source, context)) if source.is_dir() else set()
                sink = TarSink(lambda chunk: emit(chunk, context.check), lambda path: below(path, stay))
            made = MirrorCopy(sink).make(place, workspace, context)
            if sink is not None:
                sink.finish()
            return made, sink

        return await self.held(work)

    async def baseline(self) -> None:
        await self.held(self._tree.baseline)

    async def sync_back(self) -> SyncReport:
        return await self.held(self._tree.sync_back)

    async def end(self) -> Ended:
        """Keep what was not brought back, and remove the tree."""

        def work(place: Place, context: Context) -> Ended:
            handle = place.handle()
            return Ended() if handle is None else self._tree.end(place, handle, context)

        return await self.held(work)

    async def remove(self) -> None:
        """Remove what is left of the mirror."""

        def work(place: Place, context: Context) -> None:
            place.remove(context.ledger, context)

        if self._place.root.is_dir():  # what a crash left of its making stands beside it
            await self.held(work)

    async def held(self, work: Callable[[Place, Context], T]) -> T:
        """Work off the loop, under the fence."""

        def held(context: Context) -> T:
            with Fence(self._place.root, self._place.key).held(context, stands=self._place.stands) as fence:
                return work(replace(self._place, lock=fence.descriptor), context)

        return await off_loop(self._context, held)

    # --- what of the tree is sent, and what comes back

    def staying(self, top: Path, git: Git) -> set[bytes]:
        """What git ignores in a tree, which was made for this machine: nothing where the tree is no repository."""
        if not (top / ".git").is_dir():
            return set()
        words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
        return {name.rstrip(b"/") for name in git.at(top).run(*words, ok=(0, 128)).names}

    def outgoing(self, place: Place, context: Context) -> Outgoing:
        """All that belongs at the place."""
        stay = self.staying(place.tree, place.git(place.tree, context))
        found: Outgoing = {}
        stack = [b""]
        root = os.fsencode(place.tree)
        while stack:
            folder = stack.pop()
            context.check()
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    own = None if below(path, stay) else _own(entry)
                    if own is not None:
                        found[path] = own
                        if own.kind == FOLDER:
                            stack.append(path)
        return found

    def sent(self) -> Sent:
        """As it was when both sides were alike. Raises ``Damaged``."""
        value = read_json(self._place.folder / _SENT)
        if value is None:
            raise Damaged(f"the mirror of the place {self._place.key} has lost what was sent")
        return {os.fsencode(path): (stamp, version) for path, (stamp, version) in value.items()}

    def write_sent(self, sent: Sent) -> None:
        write_json(self._place.folder / _SENT, {os.fsdecode(path): row for path, row in sent.items()})

    def forget_sent(self) -> None:
        (self._place.folder / _SENT).unlink(missing_ok=True)

    def has_git(self) -> bool:
        return self._facts()["git"] is True

    def wanted(self, place: Place, context: Context, paths: Iterable[bytes], listing: Listing) -> list[bytes]:
        """Those of some paths at the place that come here: not what is left out, or ignored by git."""
        facts = self._facts()
        excludes = Excludes(facts["excludes"])
        found = [path for path in paths if not listing[path].special and comes_back(path) and path not in excludes]
        plain = [path for path in found if not below(path, {b".git"})]
        top = place.tree if facts["git"] else Path(facts["source"])
        left = ignored_paths(top, {path: listing[path].kind for path in plain}, context.check)
        git = facts["git"] and b".git" in listing and listing[b".git"].kind == FOLDER
        return [path for path in found if path not in left and (git or not below(path, {b".git"}))]

    def delete(self, place: Place, context: Context, paths: Iterable[bytes]) -> None:
        """Delete what is gone at the place."""
        for path in sorted(paths, reverse=True):
            context.check()
            # The configuration of the tree's own repository stays, which is the one that was sent.
            if (comes_back(path) or not below(path, {b".git"})) and not blocked(place.tree, path):
                target = place.tree / os.fsdecode(path)
                if target.is_symlink() or not target.is_dir():
                    target.unlink(missing_ok=True)
                elif not any(target.iterdir()):
                    target.rmdir()

    def check_head(self, place: Place) -> None:
        """Raise ``Damaged`` where what came back is no repository's head."""
        read_head(place.tree / ".git")

    def _facts(self) -> Mapping[str, Any]:
        facts = self._place.realized()
        if facts is None or not facts["made"]:
            raise Gone(f"the place {self._place.key} has no tree yet", hint="realize the workspace again")
        return facts


def _own(entry: "os.DirEntry[bytes]") -> Own | None:
    """How a path is here; none for what is never sent."""
    facts = entry.stat(follow_symlinks=False)
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_ISDIR(facts.st_mode):
        return Own(FOLDER, 0, f"{FOLDER}{mode:o}")
    version = f"{facts.st_mode:o} {facts.st_ino} {facts.st_mtime_ns} {facts.st_size}"
    if stat.S_ISLNK(facts.st_mode):
        return Own(LINK, 0, version)
    if not stat.S_ISREG(facts.st_mode):
        return None
    return Own(EXECUTABLE if mode & 0o100 else PLAIN, facts.st_size, version)


def below(path: bytes, tops: set[bytes]) -> bool:
    """Whether a path is one of these, or stands in one."""
    if not tops:
        return False
    while path:
        if path in tops:
            return True
        path = os.path.dirname(path)
    return False
