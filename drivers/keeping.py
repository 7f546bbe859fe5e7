"""Changes that were not brought back, kept as an archive before their place is destroyed."""

import io
import json
import os
import shlex
import stat
import tarfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from leasehold.drivers.durable import flush_folder, renamed
from leasehold.drivers.held_open import opened, parent_of
from leasehold.drivers.place import Kept

KEPT_FOR = 7 * 24 * 3600.0
"""Seconds for which changes are kept."""

_FOLDER = "kept"
_CHANGED = "changed"
_DELETED = "deleted.json"


def keep_archive(
    state_folder: Path,
    lease_id: str,
    tree: Path,
    changed: Iterable[bytes],
    deleted: Iterable[bytes],
    check: Callable[[], None],
) -> Kept:
    """Write ``kept/<lease>.tar.gz`` whole: the changed files below ``changed/``, and ``deleted.json``.

    Paths are relative to the tree. A file that vanished or cannot be read meanwhile ends the keeping with
    its ``OSError``: nothing may be destroyed then.
    """

    def fill(tar: tarfile.TarFile) -> None:
        for path in sorted(changed):
            check()
            with parent_of(tree, path) as (folder, name):
                _add(tar, folder, name, f"{_CHANGED}/{os.fsdecode(path)}")

    return _written(state_folder, lease_id, fill, deleted)


def keep_members(
    state_folder: Path,
    lease_id: str,
    members: Iterable[tuple[tarfile.TarInfo, IO[bytes] | None]],
    deleted: Iterable[bytes],
) -> Kept:
    """As ``keep_archive``, of what comes from elsewhere: each with its name relative to the tree, and its content."""

    def fill(tar: tarfile.TarFile) -> None:
        for member, content in members:
            member.pax_headers = {}  # a name in them would stand above ours
            member.name, member.mode = f"{_CHANGED}/{member.name}", member.mode & 0o777
            if member.islnk():
                member.linkname = f"{_CHANGED}/{member.linkname}"
            tar.addfile(member, content)

    return _written(state_folder, lease_id, fill, deleted)


def renewed_archive(kept: Kept) -> Kept | None:
    """An archive that was kept before, from now on for its whole time; none where it is gone."""
    try:
        os.utime(kept.where)
    except FileNotFoundError:
        return None
    return replace(kept, until=time.time() + KEPT_FOR)


def _add(tar: tarfile.TarFile, folder: int, name: bytes, called: str) -> None:
    facts = os.lstat(name, dir_fd=folder)
    if stat.S_ISREG(facts.st_mode):
        with opened(folder, name) as file:
            tar.addfile(tar.gettarinfo(arcname=called, fileobj=file), file)
        return
    member = tarfile.TarInfo(called)
    member.mode, member.mtime = stat.S_IMODE(facts.st_mode), facts.st_mtime
    member.uid, member.gid = facts.st_uid, facts.st_gid
    if stat.S_ISLNK(facts.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.fsdecode(os.readlink(name, dir_fd=folder))
    elif stat.S_ISDIR(facts.st_mode):
        member.type = tarfile.DIRTYPE
    else:
        raise FileNotFoundError(f"no file any more: {called}")
    tar.addfile(member)


def remove_old_archives(state_folder: Path) -> None:
    """Remove the archives whose time is over."""
    limit = time.time() - KEPT_FOR
    for archive in (state_folder / _FOLDER).glob("*.tar.gz"):
        with suppress(FileNotFoundError):  # another lease removes them at the same time
            if archive.is_file() and archive.stat().st_mtime < limit:
                archive.unlink()


def _free(folder: Path, lease_id: str) -> Path:
    """A name that is not taken: a lease may keep changes more than once."""
    count = 1
    while (archive := folder / (f"{lease_id}.tar.gz" if count == 1 else f"{lease_id}-{count}.tar.gz")).exists():
        count += 1
    return archive


def _written(
    state_folder: Path, lease_id: str, fill: Callable[[tarfile.TarFile], None], deleted: Iterable[bytes]
) -> Kept:
    folder = state_folder / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive = _free(folder, lease_id)
    with renamed(archive) as new, new.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6) as tar:
            fill(tar)
            data = json.dumps([os.fsdecode(path) for path in sorted(deleted)]).encode()
            facts = tarfile.TarInfo(_DELETED)
            facts.size, facts.mtime, facts.mode = len(data), int(time.time()), 0o600
            tar.addfile(facts, io.BytesIO(data))
        file.flush()
        os.fsync(file.fileno())
    flush_folder(folder)
    where, folder_name = shlex.quote(str(archive)), shlex.quote(archive.name.removesuffix(".tar.gz"))
    how = f"mkdir {folder_name} && tar -xzf {where} -C {folder_name} --strip-components=1 {_CHANGED}"
    return Kept(str(archive), how, time.time() + KEPT_FOR)
