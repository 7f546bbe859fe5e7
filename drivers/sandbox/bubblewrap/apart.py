"""What a worktree in a sandbox has apart from its repository: the objects that commands make, and its branch."""

import hashlib
import os
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from leasehold.drivers.durable import read_json, write_json, write_whole
from leasehold.drivers.git import GitFailed
from leasehold.drivers.local.git_return import hold
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.repository import BRANCHES, Repository
from leasehold.drivers.removal import open_up_tree, remove_tree
from leasehold.drivers.snapshot import write_alternates

_SEEN = "apart.json"
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Apart:
    """Commands see the repository read-only. Over its objects and its branch's folder lie folders of the place's own.

    What a command commits stands there alone until it is taken over: objects one by one, each by what it holds; the
    branch, and a new one that was checked out, where it still is where the sandbox last saw it. So nothing that a
    command does to them reaches what others have in the repository.
    """

    place: Place
    common: Path
    branch: str
    lease_id: str

    @classmethod
    def of(cls, place: Place, facts: dict[str, Any]) -> "Apart":
        return cls(place, Path(facts["common"]), f"{BRANCHES}{facts['branch']}", facts["lease_id"])

    @property
    def folder(self) -> Path:
        return self.place.folder / "apart"

    def words(self, repository: Repository) -> list[str]:
        """The words for ``bwrap`` that put the folders, made where they are not there, over the repository's."""
        if not (self.place.folder / _SEEN).exists():
            self._make(repository)
        parent, logs = self._parent, f"logs/{self._parent}"
        (self.common / parent).mkdir(parents=True, exist_ok=True)
        words = ["--ro-bind", str(self.common / "objects"), str(self._borrowed)]
        for name in ("objects", parent, *([logs] if (self.common / logs).is_dir() else [])):
            words += ["--bind", str(self.folder / name), str(self.common / name)]
        return words

    def take_over(self, repository: Repository) -> None:
        """Bring what commands committed into the repository. May be called again, and while commands run."""
        facts = read_json(self.place.folder / _SEEN)
        if facts is None:
            return
        open_up_tree(self.folder, repository.git.check)
        self._take_objects(repository)
        seen, others = facts["seen"], facts["others"]
        stands = self.place.tree.is_dir()
        head = repository.git.at(self.place.tree).maybe("symbolic-ref", "--quiet", "HEAD") if stands else None
        for ref, commit in self._refs():
            if ref in (self.branch, head) and ref not in others and seen.get(ref) != commit:
                self._take_ref(repository, ref, commit, seen.get(ref, ""))
                seen[ref] = commit
        now = repository.commit(self.branch)
        if now is not None and now != seen.get(self.branch):
            seen[self.branch] = now
            with suppress(OSError):  # a command has put something else there, in its own way alone
                write_whole(self.folder / self.branch, f"{now}\n".encode())
        write_json(self.place.folder / _SEEN, facts)

    def remove(self, check: Callable[[], None]) -> None:
        """Remove the folders, of which all has been taken over."""
        (self.place.folder / _SEEN).unlink(missing_ok=True)
        remove_tree(self.folder, check)

    @property
    def _parent(self) -> str:
        return self.branch.rpartition("/")[0]

    @property
    def _borrowed(self) -> Path:
        """Where commands see the repository's objects."""
        return self.place.folder / "borrowed"

    def _make(self, repository: Repository) -> None:
        remove_tree(self.folder, repository.git.check)
        rows = repository.git.text("for-each-ref", "--format=%(refname) %(objectname)", f"{self._parent}/")
        refs = dict(row.split(" ") for row in rows.splitlines())
        for ref, commit in refs.items():
            (self.folder / ref).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / ref).write_text(f"{commit}\n")
        write_alternates(self.folder / "objects", self._borrowed)
        if (logs := self.common / "logs" / self._parent).is_dir():
            shutil.copytree(logs, self.folder / "logs" / self._parent)
        seen = {self.branch: refs.pop(self.branch, "")}
        write_json(self.place.folder / _SEEN, {"seen": seen, "others": list(refs)})

    def _take_objects(self, repository: Repository) -> None:
        objects, beside = self.common / "objects", self.place.folder / "taken.pack"
        for path, file in _held(self.folder / "objects"):
            repository.git.check()
            folder, _, name = path.partition("/")
            if len(folder) == 2 and _ID.fullmatch(folder + name) and not (objects / path).exists():
                _take_object(file, folder + name, objects / path)
            elif folder == "pack" and name.endswith(".pack") and not (objects / path).exists():
                with beside.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
                repository.git.run("index-pack", "--stdin", "--fix-thin", stdin=beside, ok=(0, 1, 128))
        beside.unlink(missing_ok=True)

    def _refs(self) -> Iterator[tuple[str, str]]:
        """The branches that stand apart: those that name a commit as git writes it."""
        for path, file in _held(self.folder / self._parent):
            commit = file.read(100).decode("ascii", "replace").removesuffix("\n")
            if _ID.fullmatch(commit) and not path.endswith(".lock"):
                yield f"{self._parent}/{path}", commit

    def _take_ref(self, repository: Repository, ref: str, commit: str, before: str) -> None:
        """Move a branch on from where the sandbox last saw it; where it has moved here, ours gets a namesake."""
        git = repository.git
        if git.run("rev-list", "--objects", "--quiet", commit, "--not", "--all", ok=(0, 128)).code:
            return  # not whole: no branch of the user's may name it
        try:
            git.run("update-ref", "-m", "leasehold: committed in a sandbox", ref, commit, before)
        except GitFailed:
            hold(repository, f"leasehold/{self.lease_id}", commit)


def _held(top: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The plain files below a folder in which commands may still write, opened: no link is followed."""
    for folder, _, names, above in os.fwalk(top):
        for name in names:
            try:
                number = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
            except OSError:
                continue  # a link or a socket, or gone
            with os.fdopen(number, "rb") as file:
                if stat.S_ISREG(os.fstat(number).st_mode):
                    yield str((Path(folder) / name).relative_to(top)), file


def _take_object(source: IO[bytes], name: str, dest: Path) -> None:
    """Copy a loose object that is what its name says; any other is none."""
    dest.parent.mkdir(exist_ok=True)
    beside = dest.with_name(f"tmp_obj_{dest.name}")  # what a crash leaves of it, git prunes
    inflating = zlib.decompressobj()
    digest = hashlib.new("sha1" if len(name) == 40 else "sha256", usedforsecurity=False)
    with beside.open("wb") as copy:
        try:
            while chunk := source.read(_CHUNK):
                copy.write(chunk)
                while chunk:
                    digest.update(inflating.decompress(chunk, _CHUNK))
                    chunk = inflating.unconsumed_tail
        except zlib.error:
            digest.update(b"no object")
    if digest.hexdigest() == name and inflating.eof and not inflating.unused_data:
        beside.chmod(0o444)
        beside.replace(dest)
    else:
        beside.unlink()
