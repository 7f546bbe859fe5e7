# ruff: noqa: PTH118
# Paths are bytes here, because names of files need not be text.
"""How a git working tree stands, as a tree object, without touching its index or its repository."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leasehold.drivers.git import Git, Ran
from leasehold.drivers.returning import demand_written

_GITLINK = "160000"
_Entry = tuple[bytes, bytes, bytes]
"""Of a path in an index: git's letter for how it is taken, its mode, its name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two trees; each side is (mode, object id), or none where it lacks."""

    path: bytes
    old: tuple[str, str] | None
    new: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A working tree at one moment.

    Attributes:
        tree: the tree object of all files that git tracks, or neither tracks nor ignores.
        head: the commit checked out, none before the first.
        ref: the branch checked out (``refs/heads/…``), none for a detached head.
        nested: folders that are repositories of their own; the tree object knows nothing of their content.
        unread: what git says of a file that it could not take; that one stands in the tree object as git last
            knew it, or not at all.
    """

    tree: str
    head: str | None
    ref: str | None
    nested: tuple[bytes, ...]
    unread: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "tree": self.tree,
            "head": self.head,
            "ref": self.ref,
            "nested": [os.fsdecode(name) for name in self.nested],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Snapshot":
        return cls(value["tree"], value["head"], value["ref"], tuple(os.fsencode(name) for name in value["nested"]))


class Snapshots:
    """Takes snapshots of one working tree, into a folder of objects of its own.

    The folder borrows the repository's objects, and those of ``lenders``, so it holds only what differs.
    Nobody else reads it: what must outlive it is handed over with ``send``.
    """

    def __init__(self, git: Git, objects: Path, *lenders: Path) -> None:
        self._tree = git
        self._lenders = lenders
        self._objects = objects
        self._prepared = False
        self.git = git.having(GIT_OBJECT_DIRECTORY=objects)

    @property
    def top(self) -> Path:
        return self._tree.folder

    def prepare(self) -> None:
        """Make the folder of objects. May be called again."""
        if self._prepared:
            return
        common = Path(self._tree.text("rev-parse", "--path-format=absolute", "--git-path", "objects"))
        write_alternates(self._objects, common, *self._lenders)
        self._prepared = True

    def take(self) -> Snapshot:
        """The tree as it stands. Costs a look at each file, and the reading of those that changed.

        Raises ``Damaged`` where the index names what git would not write: git would read it, wherever it leads.
        """
        git, index = self._own_index()
        entries = _entries(git)
        self._unhide(git, entries)
        found, modules = self._found(git), self._modules(entries)
        # Left out by name: git hides what is in a repository, refuses one without commits, and would have git
        # in each submodule, under that one's own configuration, say what changed.
        done = _add(git, [*found, *modules])
        if modules:
            names = b"".join(name + b"\0" for name in modules)
            git.run("update-index", "-z", "--add", "--stdin", stdin=names, ok=(0, 1, 128))
        tree = git.text("write-tree", "--missing-ok")
        index.unlink(missing_ok=True)
        nested = tuple(sorted({*found, *modules}))
        return Snapshot(tree, self.head(), self._ref(), nested, unread=_complaint(done))

    def tracked(self) -> str:
        """The tree object of the files that git tracks, as they stand in the working tree."""
        git, index = self._own_index()
        git.run("add", "--update", "--ignore-errors", ok=(0, 1))
        tree = git.text("write-tree", "--missing-ok")
        index.unlink(missing_ok=True)
        return tree

    def staged(self) -> str | None:
        """The tree object of the index; none while a merge is unresolved."""
        git, index = self._own_index()
        done = git.run("write-tree", "--missing-ok", ok=(0, 128))
        index.unlink(missing_ok=True)
        return done.text if done.code == 0 else None

    def head(self) -> str | None:
        return self._tree.maybe("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    def empty(self) -> str:
        """The tree without files."""
        return self.git.text("hash-object", "-t", "tree", "--stdin")

    def descends(self, commit: str, ancestor: str) -> bool:
        done = self.git.run("merge-base", "--is-ancestor", ancestor, commit, ok=(0, 1))
        return done.code == 0

    def repository(self) -> Path:
        """The repository's own folder, one for all its worktrees."""
        return Path(self._tree.text("rev-parse", "--path-format=absolute", "--git-common-dir")).resolve()

    def refs(self) -> dict[str, str]:
        """All branches, tags and other refs, with the objects that they name."""
        rows = self._tree.text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        pairs = [row.partition(" ") for row in rows]
        return {ref: identity for ref, _, identity in pairs}

    def changes(self, old: str, new: str) -> list[Change]:
        """What differs between two trees or commits, by path. Raises ``Damaged`` for what git would not write."""
        if old == new:
            return []
        done = self.git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-commit-id", old, new)
        fields = done.names
        demand_written(fields[1::2])
        return [_change(fields[i], fields[i + 1]) for i in range(0, len(fields), 2)]

    def patched(self, tree: str, changes: Iterable[Change]) -> str:
        """A tree with the new sides of some changes."""
        git, index = self._own_index()
        index.unlink(missing_ok=True)
        git.run("read-tree", tree)
        git.run("update-index", "-z", "--index-info", stdin=index_info(changes))
        patched = git.text("write-tree", "--missing-ok")
        index.unlink(missing_ok=True)
        return patched

    def commit(self, tree: str, parents: Iterable[str], message: str) -> str:
        """A commit of our own, which no branch names."""
        words = [word for parent in dict.fromkeys(parents) for word in ("-p", parent)]
        return self.git.text("commit-tree", tree, *words, stdin=message.encode())

    def commits(self, objects: Iterable[str]) -> list[str]:
        """The commits that some objects are or name. Files and trees, which a tag may name, get one of our own."""
        names = list(dict.fromkeys(objects))
        asked = "".join(f"{name}^{{commit}}\n" for name in names).encode()
        rows = self.git.text("cat-file", "--batch-check=%(objectname)", stdin=asked).splitlines() if names else []
        return [self._holding(name) if " " in row else row for name, row in zip(names, rows, strict=True)]

    def _holding(self, name: str) -> str:
        tree = self.git.maybe("rev-parse", "--verify", "--quiet", f"{name}^{{tree}}")
        if tree is None:
            blob = self.git.text("rev-parse", "--verify", f"{name}^{{blob}}")
            tree = self.git.text("mktree", stdin=f"100644 blob {blob}\tcontent\n".encode())
        return self.commit(tree, [], "leasehold: what a ref of the run's holds\n")

    def send(self, to: Git, wanted: Sequence[str], had: Sequence[str]) -> None:
        """Copy the commits ``wanted``, with what they need and ``had`` lacks, into another repository."""
        pack = self._objects / "sent.pack"
        names = [*wanted, *(f"^{commit}" for commit in had)]
        self.git.run(
            "pack-objects", "--revs", "--stdout", "-q",
            stdin="".join(f"{name}\n" for name in names).encode(), out=pack,
        )  # fmt: skip
        to.run("unpack-objects", "-q", stdin=pack)
        pack.unlink()

    def _ref(self) -> str | None:
        return self._tree.maybe("symbolic-ref", "--quiet", "HEAD")

    def _own_index(self) -> tuple[Git, Path]:
        """A copy of the index. Its times come along: git tells by them which files to read again."""
        self.prepare()
        index = self._objects / "index"
        index.with_name("index.lock").unlink(missing_ok=True)
        index.unlink(missing_ok=True)
        real = Path(self._tree.text("rev-parse", "--path-format=absolute", "--git-path", "index"))
        if real.exists():
            shutil.copy2(real, index)
        return self.git.having(GIT_INDEX_FILE=index), index

    def _found(self, git: Git) -> list[bytes]:
        """Repositories that git neither tracks nor ignores."""
        others = git.run("ls-files", "-z", "--others", "--exclude-standard").names
        return [name.rstrip(b"/") for name in others if name.endswith(b"/")]

    def _modules(self, entries: Sequence[_Entry]) -> list[bytes]:
        """Submodules that are checked out."""
        names = [name for _, mode, name in entries if mode == _GITLINK.encode()]
        return [name for name in names if self._stands(os.path.join(name, b".git"))]

    def _unhide(self, git: Git, entries: Sequence[_Entry]) -> None:
        """Have git look at the files that an index hides from it: to be taken as they were, or not checked out."""
        unchanged = [name for tag, _, name in entries if tag.islower()]
        skipped = [name for tag, _, name in entries if tag.upper() == b"S" and self._stands(name)]
        for option, names in (("--no-assume-unchanged", unchanged), ("--no-skip-worktree", skipped)):
            if names:
                git.run("update-index", "-z", option, "--stdin", stdin=b"".join(name + b"\0" for name in names))

    def _stands(self, path: bytes) -> bool:
        return os.path.lexists(os.path.join(os.fsencode(self._tree.folder), path))


def write_alternates(objects: Path, *lenders: Path) -> None:
    """Have a folder of objects borrow those of others."""
    info = objects / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_bytes(b"".join(map(_quoted, lenders)))


def _quoted(path: Path) -> bytes:
    """As a row of a list of alternates."""
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return os.fsencode(f'"{quoted}"\n')


def _add(git: Git, without: Sequence[bytes]) -> Ran:
    """Add all but some folders to the index."""
    paths = b"\0".join([b".", *(b":(top,exclude,literal)" + path for path in without)])
    words = ("--all", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul")
    # A sparse checkout would leave out what a run made outside of it.
    return git.under("core.sparseCheckout=false").run("add", *words, stdin=paths, ok=(0, 1))


def _complaint(done: Ran) -> str:
    lines = os.fsdecode(done.err).splitlines() or [f"exit status {done.code}"]
    return next((line for line in lines if line.startswith("error:")), lines[-1]) if done.code else ""


def _entries(git: Git) -> list[_Entry]:
    """What an index holds. Raises ``Damaged`` for what git would not write there."""
    rows = [row.partition(b"\t") for row in git.run("ls-files", "-z", "-v", "--stage").names]
    demand_written(name for _, _, name in rows)
    return [(facts[:1], facts[2:8], name) for facts, _, name in rows]


def index_info(changes: Iterable[Change]) -> bytes:
    """The new sides of changes, as ``update-index -z --index-info`` reads them."""
    rows: list[bytes] = []
    for change in changes:
        mode, identity = change.new or ("0", "0" * len(change.old[1] if change.old else ""))
        rows.append(f"{mode} {identity}\t".encode() + change.path + b"\0")
    return b"".join(rows)


def _change(facts: bytes, path: bytes) -> Change:
    old_mode, new_mode, old_id, new_id, _ = facts.decode().removeprefix(":").split(" ")
    return Change(path, _side(old_mode, old_id), _side(new_mode, new_id))


def _side(mode: str, identity: str) -> tuple[str, str] | None:
    return None if mode == "000000" else (mode, identity)
