"""What changed at a place whose mirror is not here: kept as files before the place goes."""

import asyncio
import os
import tarfile
from collections.abc import Collection, Iterator
from typing import IO

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.keeping import keep_members
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import Kept
from leasehold.drivers.remote.admission import Admission, is_special, leads_out
from leasehold.drivers.remote.asking import answered, converse, feed_bytes
from leasehold.drivers.remote.link import Session
from leasehold.drivers.remote.listing import Listing, list_tree, parse
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.streaming import Incoming
from leasehold.drivers.remote.transfer import OPEN_UP, PULL
from leasehold.drivers.returning import is_kept
from leasehold.drivers.shown import shown

_BEFORE = r"""
fresh
standing
[ -f "$D/realized" ] && [ -d "$D/tree" ] || exit 0
echo realized
cat "$D/listed" 2>/dev/null
:
"""

Member = tuple[tarfile.TarInfo, IO[bytes] | None]

NO_MIRROR = "no mirror of this place is on this machine"


async def keep_strayed(place: RemotePlace, lease_id: str, context: Context, why: str = NO_MIRROR) -> Ended:
    """Keep the files that were written since the baseline; where there is none, all files. ``why`` no mirror serves.

    Raises ``Unavailable`` where they do not come here whole: then nothing may be destroyed.
    """
    realized, _, listed = (await place.ask(_BEFORE, context)).partition(b"\n")
    if not realized:
        return Ended()  # no command has run there
    before, now = _before(listed), await list_tree(place, context)
    changed = [path for path in now if is_kept(path) and not now[path].special and _differs(path, before, now)]
    deleted = [path for path in before or () if is_kept(path) and path not in now]
    if not changed and not deleted:
        return Ended()
    notes = [
        f"{why}: the files that changed there are kept as they are"
        if before is not None
        else f"{why}, and how the tree began is not known: all its files are kept"
    ]
    try:
        kept = await _keep(place, lease_id, context, changed, deleted, notes)
    except _Missing:
        # A run may close its files for reading; the tree is ours.
        await place.ask(OPEN_UP, context)
        kept = await _keep(place, lease_id, context, changed, deleted, notes)
    return Ended((kept,), tuple(dict.fromkeys(notes)))


def taken(
    tar: tarfile.TarFile, context: Context, notes: list[str], *, prefix: str = "./", missing: set[bytes] | None = None
) -> Iterator[Member]:
    """What of an archive of a place's tree is kept, with paths of the tree as names. Raises ``Damaged``.

    ``prefix`` stands before each name. ``missing`` is what was asked for (none: anything): what came is taken out.
    """
    admission = Admission(missing, prefix=prefix)
    names: set[bytes] = set()
    for member in tar:
        context.check()
        path = admission.path(member)
        if path is None:
            continue
        if missing is not None:
            missing.remove(path)
        member.name = os.fsdecode(path)
        if member.issym() and leads_out(path, os.fsencode(member.linkname)):
            notes.append(f"not kept, for it leads out of the tree: the link {shown(path)} to {shown(member.linkname)}")
            continue
        if member.islnk():
            member.linkname = os.fsdecode(admission.original(member, names))
        if is_kept(path) and not is_special(member):
            names.add(path)
            yield member, tar.extractfile(member) if member.isreg() else None


class _Missing(Unavailable):
    """Not all that was asked for came."""


async def _keep(
    place: RemotePlace,
    lease_id: str,
    context: Context,
    changed: Collection[bytes],
    deleted: Collection[bytes],
    notes: list[str],
) -> Kept:
    loop = asyncio.get_running_loop()

    async def talk(session: Session) -> Kept:
        def members(context: Context) -> Iterator[Member]:
            missing = set(changed)
            try:
                # A list of names may be too long for one archive: then several come, one behind the other.
                with tarfile.open(fileobj=Incoming(session, loop, context.check), mode="r|", ignore_zeros=True) as tar:
                    yield from taken(tar, context, notes, missing=missing)
            except tarfile.ReadError as error:
                if len(missing) < len(changed):
                    raise Unavailable(f"what the place sent ends too early: {error}") from error
            if missing:
                raise _Missing(f"{shown(min(missing))} did not come back from the place")

        def keep(context: Context) -> Kept:
            return keep_members(context.state_folder, lease_id, members(context) if changed else (), deleted)

        names = b"".join(b"./" + path + b"\0" for path in changed)
        _, kept = await asyncio.gather(feed_bytes(session, names), off_loop(context, keep))
        await answered(session)
        return kept

    return await converse(place.link, place.script(PULL, context), context, talk)


def _before(listed: bytes) -> Listing | None:
    """How the tree stood at its baseline; none where that is not known, or was cut short."""
    try:
        return parse(listed) if listed else None
    except (Damaged, ValueError, IndexError):
        return None


def _differs(path: bytes, before: Listing | None, now: Listing) -> bool:
    return before is None or path not in before or before[path].stamp != now[path].stamp
