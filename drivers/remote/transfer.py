"""A tree between a mirror and its place, both ways; only what differs is sent."""

import asyncio
from collections.abc import Iterable

from leasehold.drivers.blocking import off_loop
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Refused, Unavailable
from leasehold.drivers.local.place import Place
from leasehold.drivers.manifest import Manifest
from leasehold.drivers.remote.asking import converse, feed_bytes
from leasehold.drivers.remote.link import Session
from leasehold.drivers.remote.listing import LIST, Listing, list_tree, parse
from leasehold.drivers.remote.mirror import Mirror, Sent
from leasehold.drivers.remote.place import RemotePlace
from leasehold.drivers.remote.receiving import Receiving, leads_out
from leasehold.drivers.remote.sending import tar_chunks
from leasehold.drivers.remote.streaming import Incoming, feed_chunks
from leasehold.drivers.shown import shown

# What is deleted comes first: a file may stand where a folder goes.
_PUSH = (
    LIST
    + r"""
fence
standing
rm -f "$D/realized"
[ -z "$ANEW" ] || { rm -rf "$D/tree" 2>/dev/null || { chmod -R u+rwX "$D/tree"; try rm -rf "$D/tree"; }; }
[ -d "$D/tree" ] || try mkdir "$D/tree"
p=$D/push.$$
cd "$D/tree" || say unavailable "$D/tree cannot be entered"
{ fed >"$p"; } 2>"$p.said" || say unavailable "$(head -n 1 "$p.said")"
{ xargs -0 rm -rf -- <"$p"; } 2>"$p.said" || say unavailable "$(head -n 1 "$p.said")"
rm -f "$p"
{ fed && : >"$p.all"; } | tar -xopf - 2>"$p.said" ||
  say unavailable "the tree cannot be written: $(head -n 1 "$p.said")"
[ -e "$p.all" ] || say unavailable "the tree did not come whole"
rm -f "$p.all" "$p.said"
try touch "$D/realized"
listed
"""
)

_PULL = r"""
fresh
standing
cd "$D/tree" 2>/dev/null || say gone "the tree of the place $K is gone"
l=$D/asked.$$
fed >"$l" || say unavailable "$D cannot be written"
xargs -0 tar -cf - --no-recursion <"$l" 2>/dev/null
rm -f "$l"
:
"""

_OPEN_UP = r"""
fence
standing
chmod -R u+rwX "$D/tree"
:
"""


async def push(place: RemotePlace, mirror: Mirror, context: Context, *, anew: bool) -> tuple[int, int]:
    """Make the tree at the place what the mirror is; how many entries and bytes were sent.

    ``anew``: nothing is known of what stands there.
    """

    def scan(local: Place, context: Context) -> Manifest:
        return mirror.outgoing(local, context)

    ours = await mirror.held(scan)
    theirs: Listing = {} if anew else await list_tree(place, context)
    sent: Sent = {} if anew else await off_loop(context, lambda _: mirror.sent())
    alike = {path for path, facts in theirs.items() if _alike(path, facts.stamp, sent, ours)}
    wanted = [path for path in ours if path not in alike]
    gone = _topmost(
        path for path in theirs if path not in ours or (path not in alike and theirs[path].kind != ours[path].kind)
    )
    mirror.forget_sent()
    names = b"".join(b"./" + path + b"\0" for path in gone)
    script = place.script(_PUSH, context, ANEW="yes" if anew else "")

    async def talk(session: Session) -> bytes:
        await feed_bytes(session, names)
        await feed_chunks(session, context, tar_chunks(mirror.top, wanted, context.check, context.progress))
        return await session.stdout.read()

    said = await converse(place.link, script, context, talk)
    listing = parse(said)
    if listing is None:
        listing = await list_tree(place, context)
    missing = [path for path in ours if path not in listing]
    if missing:
        raise Unavailable(f"the place lacks {shown(missing[0])}, which was sent")
    rows: Sent = {path: (facts.stamp, ours[path].version if path in ours else None) for path, facts in listing.items()}
    await off_loop(context, lambda _: mirror.write_sent(rows))
    return len(wanted), sum(ours[path].size for path in wanted)


async def pull(place: RemotePlace, mirror: Mirror, context: Context, *, new: bool, strict: bool) -> list[str]:
    """Make the mirror what the tree at the place is; notes on what did not come.

    ``new``: what did not stand there before comes too. ``strict``: a link out of the tree ends it all with
    ``Refused``; else it is left out.
    """
    listing = await list_tree(place, context)
    sent = await off_loop(context, lambda _: mirror.sent())
    changed = [path for path, facts in listing.items() if path not in sent or sent[path][0] != facts.stamp]
    if not new and not mirror.has_git():
        changed = [path for path in changed if path in sent]
    gone = [path for path in sent if path not in listing]
    notes: list[str] = []
    if changed or gone:
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
    for path in changed:
        rows[path] = (rows[path][0], None)
    await off_loop(context, lambda _: mirror.write_sent(rows))
    return notes


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
        await place.ask(_OPEN_UP, context)
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
        known = mirror.top.joinpath(shown(path))
        if known.is_symlink() and str(known.readlink()).encode() == text:
            return False
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
            receiving.run(Incoming(session, loop))
            return receiving.received

        _, received = await asyncio.gather(feed_bytes(session, names), mirror.held(receive))
        await session.stdout.read()
        return received

    script = place.script(_PULL, context)
    received = await converse(place.link, script, context, talk)
    return [path for path in wanted if path not in received]


def _alike(path: bytes, stamp: str, sent: Sent, ours: Manifest) -> bool:
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
