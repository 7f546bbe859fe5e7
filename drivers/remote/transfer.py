"""A tree between a mirror and its place, both ways; only what differs is sent."""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Refused, Unavailable
from leasehold.drivers.local.place import Place
from leasehold.drivers.place import Tags
from leasehold.drivers.remote.admission import leads_out
from leasehold.drivers.remote.asking import answered, converse, cut, feed_bytes, framed
from leasehold.drivers.remote.link import Session
from leasehold.drivers.remote.listing import REMEMBER, Listing, list_tree, parse
from leasehold.drivers.remote.mirror import Mirror, Outgoing, Sent
from leasehold.drivers.remote.place import TELL, RemotePlace, Standing
from leasehold.drivers.remote.receiving import Receiving
from leasehold.drivers.remote.sending import tar_chunks
from leasehold.drivers.remote.streaming import Incoming, awaited, feed_chunks
from leasehold.drivers.shown import shown
from leasehold.drivers.workspace import Realization, Workspace

# What stands there is told first where nothing is known of it, and nothing is touched before the caller goes on.
# What is deleted comes first: a file may stand where a folder goes.
_PUSH = (
    TELL
    + REMEMBER
    + r"""
reason() {
  m=$(printf '%s\n' "$1" | grep -e 'No space' -e 'Read-only' -e denied -e quota | head -n 1)
  printf '%s\n' "${m:-$1}" | grep -v '^whole$' | head -n 1 | sed 's/Wrote only.*/No space left on device/'
}
fence
standing
if [ -n "$ANEW" ]; then
  told
  IFS= read -r J || exit
  [ -z "$J" ] || tag
fi
rm -f "$D/realized" "$D/listed"
[ -z "$ANEW" ] || { rm -rf "$D/tree" 2>/dev/null || { chmod -R u+rwX "$D/tree"; try rm -rf "$D/tree"; }; }
[ -d "$D/tree" ] || try mkdir "$D/tree"
cd "$D/tree" || say unavailable "$D/tree cannot be entered"
e=$(fed | xargs -0 rm -rf -- 2>&1) || say unavailable "$(printf '%s\n' "$e" | head -n 1)"
e=$({ { fed && echo whole >&3; } | tar -xopf - 2>&1; } 3>&1) ||
  say unavailable "the tree cannot be written: $(reason "$e")"
case $e in *whole*) ;; *) say unavailable "the tree did not come whole" ;; esac
remembered
try touch "$D/realized"
cat "$D/listed"
"""
)

PULL = r"""
fresh
standing
cd "$D/tree" 2>/dev/null || say gone "the tree of the place $K is gone"
fed | xargs -0 tar -cf - --no-recursion 2>/dev/null
:
"""

OPEN_UP = r"""
fence full
standing
chmod -R u+rwX "$D/tree"
:
"""


class Used(Exception):
    """A tree may have been used at the place, of which nothing is known here."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.folder)
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was sent, of what, and where it stands."""

    made: Realization
    standing: Standing
    count: int
    size: int


async def push_anew(
    place: RemotePlace, mirror: Mirror, context: Context, workspace: Workspace, *, used: bool
) -> Pushed:
    """Put a workspace where nothing is known of what stands: sent while the mirror is made.

    Raises ``Used``, having touched nothing, where a tree may have been used there and it is not said that it may go.
    """
    mirror.forget_sent()
    loop = asyncio.get_running_loop()

    async def talk(session: Session) -> tuple[Realization, Standing, Outgoing, bytes]:
        standing = await place.told(session)
        if standing.realized and not used:
            raise Used(standing)
        await session.write(f"{place.retagged(standing, context)}\n".encode())

        def emit(chunk: bytes, check: Callable[[], None]) -> None:
            try:
                awaited(session.write(framed(chunk)), loop, check)
            except ConnectionError as error:
                raise cut() from error

        await feed_bytes(session, b"")
        made, sink = await mirror.make(workspace, _tags(standing, context), emit)
        assert sink is not None
        ours = await mirror.held(mirror.outgoing)
        # What was not sent, or changed since: git's index, of which the copy has its own.
        rest = {path for path in ours if path not in sink.sent} | {path for path in sink.torn if path in ours}
        rest |= {path for path in (b".git/index",) if path in ours}
        chunks = tar_chunks(mirror.top, rest, context.check, context.progress, closed=sink.closed)
        await feed_chunks(session, context, chunks)
        return made, standing, ours, await answered(session)

    script = place.script(_PUSH, context, ANEW="yes")
    made, standing, ours, said = await converse(place.link, script, context, talk)
    await _settle(place, mirror, context, ours, parse(said))
    return Pushed(made, standing, len(ours), sum(own.size for own in ours.values()))


async def push(
    place: RemotePlace, mirror: Mirror, context: Context, workspace: Workspace, standing: Standing, theirs: Listing
) -> Pushed:
    """Put a workspace where an earlier one stands as listed: only what differs is sent."""
    made, _ = await mirror.make(workspace, _tags(standing, context))
    ours = await mirror.held(mirror.outgoing)
    sent = await off_loop(context, lambda _: mirror.sent())
    alike = {path for path, facts in theirs.items() if _alike(path, facts.stamp, sent, ours)}
    wanted = [path for path in ours if path not in alike]
    gone = _topmost(
        path for path in theirs if path not in ours or (path not in alike and theirs[path].kind != ours[path].kind)
    )
    if not wanted and not gone:
        return Pushed(made, standing, 0, 0)
    mirror.forget_sent()
    names = b"".join(b"./" + path + b"\0" for path in gone)

    async def talk(session: Session) -> bytes:
        await feed_bytes(session, names)
        await feed_chunks(session, context, tar_chunks(mirror.top, wanted, context.check, context.progress))
        return await answered(session)

    said = await converse(place.link, place.script(_PUSH, context, ANEW=""), context, talk)
    await _settle(place, mirror, context, ours, parse(said))
    return Pushed(made, standing, len(wanted), sum(ours[path].size for path in wanted))


def _tags(standing: Standing, context: Context) -> Tags:
    return replace(standing.tags, lease_id=context.lease_id)


async def _settle(
    place: RemotePlace, mirror: Mirror, context: Context, ours: Outgoing, listing: Listing | None
) -> None:
    """Both sides are alike now: write down how they look."""
    listing = listing if listing is not None else await list_tree(place, context)
    missing = [path for path in ours if path not in listing]
    if missing:
        raise Unavailable(f"the place lacks {shown(missing[0])}, which was sent")
    rows: Sent = {path: (facts.stamp, ours[path].version if path in ours else None) for path, facts in listing.items()}
    await off_loop(context, lambda _: mirror.write_sent(rows))


async def pull(
    place: RemotePlace, mirror: Mirror, context: Context, *, new: bool, strict: bool, listing: Listing | None = None
) -> tuple[Listing, list[str]]:
    """Make the mirror what the tree at the place is, as it is listed (now); and notes on what did not come.

    ``new``: what did not stand there before comes too. ``strict``: a link out of the tree ends it all with
    ``Refused``; else it is left out.
    """
    listing = listing if listing is not None else await list_tree(place, context)
    sent = await off_loop(context, lambda _: mirror.sent())
    differing = [path for path, facts in listing.items() if path not in sent or sent[path][0] != facts.stamp]
    changed = differing if new or mirror.has_git() else [path for path in differing if path in sent]
    gone = [path for path in sent if path not in listing]
    notes: list[str] = []
    if differing or gone:
        # What git is told comes first: by it the rest is chosen.
        first = [path for path in changed if path.startswith(b".git/") or path.rsplit(b"/", 1)[-1] == b".gitignore"]
        early = set(first)
        await _receive(place, mirror, context, listing, first, notes, strict=strict)
        await mirror.held(lambda local, context: mirror.delete(local, context, gone))
        rest = [path for path in changed if path not in early]
        await _receive(place, mirror, context, listing, rest, notes, strict=strict)
        if mirror.has_git():
            await mirror.held(lambda local, _: mirror.check_head(local))
        rows: Sent = {path: (facts.stamp, sent[path][1] if path in sent else None) for path, facts in listing.items()}
        rows |= {path: (listing[path].stamp, None) for path in differing}
        await off_loop(context, lambda _: mirror.write_sent(rows))
    return listing, notes


async def _receive(
    place: RemotePlace,
    mirror: Mirror,
    context: Context,
    listing: Listing,
    paths: list[bytes],
    notes: list[str],
    *,
    strict: bool,
) -> None:
    wanted = await mirror.held(lambda local, context: mirror.wanted(local, context, paths, listing))
    if not wanted:
        return
    missing = await _fetch(place, mirror, context, wanted, notes, strict=strict)
    if missing:
        # A run may close its files for reading; the tree is ours.
        await place.ask(OPEN_UP, context)
        missing = await _fetch(place, mirror, context, missing, notes, strict=strict)
    if missing:
        raise Unavailable(
            f"{shown(missing[0])} did not come back from the place", hint="the tree changes, or cannot be read there"
        )


async def _fetch(
    place: RemotePlace, mirror: Mirror, context: Context, wanted: list[bytes], notes: list[str], *, strict: bool
) -> list[bytes]:
    """Bring these paths here; those that did not come."""
    names = b"".join(b"./" + path + b"\0" for path in wanted)
    loop = asyncio.get_running_loop()

    def link(path: bytes, text: bytes) -> bool:
        if not leads_out(path, text):
            return True
        known = mirror.top / os.fsdecode(path)
        if known.is_symlink() and os.fsencode(known.readlink()) == text:
            return False  # it came from here, and is no change
        if strict:
            raise Refused(
                f"the link {shown(path)} names {shown(text)}, outside of the tree: it is not brought back",
                hint="remove it at the place, have git ignore it, or exclude it",
            )
        notes.append(f"not kept, for it leads out of the tree: the link {shown(path)} to {shown(text)}")
        return False

    async def talk(session: Session) -> set[bytes]:
        def receive(local: Place, context: Context) -> set[bytes]:
            receiving = Receiving(local.tree, frozenset(wanted), check=context.check, link=link)
            receiving.run(Incoming(session, loop, context.check))
            return receiving.received

        _, received = await asyncio.gather(feed_bytes(session, names), mirror.held(receive))
        await answered(session)
        return received

    script = place.script(PULL, context)
    received = await converse(place.link, script, context, talk)
    return [path for path in wanted if path not in received]


def _alike(path: bytes, stamp: str, sent: Sent, ours: Outgoing) -> bool:
    """Whether what stands there is known to be what stands here."""
    known = sent.get(path)
    return known is not None and known[0] == stamp and path in ours and known[1] == ours[path].version


def _topmost(paths: Iterable[bytes]) -> list[bytes]:
    """Without those that stand below another."""
    found: list[bytes] = []
    for path in sorted(paths, key=lambda path: path.split(b"/")):
        if not found or not path.startswith(found[-1] + b"/"):
            found.append(path)
    return found
