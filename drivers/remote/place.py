"""The folder of a lease at a place, and what is written down in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Gone, Refused
from leasehold.drivers.place import KEY, Tags
from leasehold.drivers.remote.asking import MOST_ANSWERED, ask
from leasehold.drivers.remote.link import Link, Session
from leasehold.drivers.remote.prelude import place_script, plain_script

# What is refused in a pipeline ends no more than its part of it: what stands behind must end the script, too.
_MAKE = r"""
fence
[ ! -d "$D" ] || [ -n "$(ls -A "$D")" ] || rmdir "$D"
if [ -e "$D" ]; then
  [ -f "$D/place.json" ] || say conflict "$D is there, but it is no place of ours"
else
  rm -rf "$R/.$K.new"
  try mkdir "$R/.$K.new"
  printf '%s\n' "$J" | try dd of="$R/.$K.new/place.json" conv=fsync || exit
  try mv "$R/.$K.new" "$D"
  find "$R/.fences" -type f -mtime +7 2>/dev/null | while IFS= read -r f; do
    [ -d "$R/${f##*/}" ] || rm -f "$f"
  done
fi
printf '%s\n' "$D"
cat "$D/place.json"
"""

TELL = r"""
told() {
  printf '%s\n' "$D" "$(head -n 1 "$D/place.json")"
  [ ! -f "$D/realized" ] || echo realized
  echo
}
tag() {
  printf '%s\n' "$J" | try dd of="$D/.place.json.new" conv=fsync || exit
  try mv "$D/.place.json.new" "$D/place.json"
}
"""
"""Shell text: ``told`` tells what stands, as ``RemotePlace.told`` takes it; ``tag`` writes the tags ``$J``."""

_TAG = TELL + "fence\nstanding\ntag\n"

_FIND = (
    TELL
    + r"""
fence full
[ ! -d "$D" ] || [ -n "$(ls -A "$D")" ] || rmdir "$D"
if [ -e "$D" ]; then
  [ -f "$D/place.json" ] || say conflict "$D is there, but it is no place of ours"
  told
elif [ -n "$REFUSE" ]; then
  rm -rf "$R/.$K.new"
  stays=stays
  mark || say unavailable "$R/.fences cannot be written"
fi
"""
)

_LOOK = r"""
[ -f "$D/place.json" ] || exit 0
printf '%s\n' "$D"
cat "$D/place.json"
[ -f "$D/realized" ] && [ ! -d "$D/tree" ] && echo lost
:
"""

_REMOVE = r"""
fence full
remove() { rm -rf "$1" 2>/dev/null || { chmod -R u+rwX "$1" 2>/dev/null; try rm -rf "$1"; }; }
if [ -f "$D/place.json" ]; then
  for e in "$D"/* "$D"/.[!.]* "$D"/..?*; do
    [ "$e" = "$D/place.json" ] || { [ -e "$e" ] || [ -L "$e" ]; } && [ "$e" != "$D/place.json" ] && remove "$e"
  done
  try rm -f "$D/place.json"
fi
rm -rf "$R/.$K.new"
[ ! -d "$D" ] || rmdir "$D" 2>/dev/null
[ "$stays" = stays ] || rm -f "$F"
:
"""

_LIST = r"""
case $R in '~') R=$HOME ;; '~/'*) R=$HOME/${R#'~/'} ;; /*) ;; *) R=$HOME/$R ;; esac
for f in "$R"/*/place.json; do
  [ -f "$f" ] || continue
  d=${f%/place.json}
  printf '%s\n' "$d"
  head -n 1 "$f"
  echo
done
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands under a key: its absolute folder at the place, its tags, and the driver's own data.

    ``realized``: a tree may have been used there. ``lost``: one was realized there, and is gone.
    ``torn``: its tags cannot be read; these are the caller's.
    """

    folder: str
    tags: Tags
    data: Mapping[str, Any]
    realized: bool = False
    lost: bool = False
    torn: bool = False


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """One place: ``<root>/<key>/`` at the far side of a link.

    ``place.json`` bears the tags and is there from the first moment on: the folder is made beside and
    renamed. ``tree/`` is the workspace, ``run/`` what commands leave behind. ``<root>/.fences/<key>`` holds
    the newest epoch that a verb came under, and is locked by each verb: an older one is refused. ``host``
    names the host among all that a user may have places on.
    """

    link: Link
    root: str
    key: str
    host: str = ""

    def __post_init__(self) -> None:
        if not KEY.fullmatch(self.key):
            raise Refused(f"a resource key cannot be a folder's name: {self.key!r}")

    @property
    def where(self) -> str:
        """What tells the places of one host and root from others; empty where the driver does not say."""
        return f"{self.host} {self.root}" if self.host else ""

    def script(self, text: str, context: Context, **variables: object) -> str:
        """Shell text about this place, for the verb under way."""
        seconds = context.remaining()
        return place_script(text, root=self.root, key=self.key, epoch=context.epoch, seconds=seconds, **variables)

    async def ask(
        self,
        text: str,
        context: Context,
        *,
        feed: bytes | None = None,
        most: int = MOST_ANSWERED,
        **variables: object,
    ) -> bytes:
        """Run shell text about this place to its end; what it wrote, which is not more than ``most`` bytes."""
        return await ask(self.link, self.script(text, context, **variables), context, feed=feed, most=most)

    async def make(self, tags: Tags, data: Mapping[str, Any], context: Context) -> Standing:
        """Make the place, or find it and renew its tags. Raises ``Conflict``, ``Damaged``, ``Stale``."""
        said = await self.ask(_MAKE, context, J=_written(tags, data))
        standing = self._read(said)
        assert standing is not None
        standing.tags.demand(f"the place {self.key}", tags.ledger)
        if standing.tags != tags:
            await self.ask(_TAG, context, J=_written(tags, standing.data))
        return replace(standing, tags=tags)

    async def find(self, context: Context, *, refuse: bool = False) -> Standing | None:
        """What stands, under the fence: older epochs are shut out. ``refuse``: also where nothing stands.

        Also what is torn, so that it can be ended: under this key, nobody but us has made it.
        """
        return self._read(await self.ask(_FIND, context, REFUSE="yes" if refuse else ""), torn=context)

    async def demand(self, context: Context) -> Standing:
        """As ``find``. Raises ``Gone`` where nothing stands, ``Damaged`` where it is torn."""
        standing = self._read(await self.ask(_FIND, context, REFUSE=""))
        if standing is None:
            raise Gone(f"the place {self.key} is gone", hint="take a new lease")
        return standing

    async def look(self, context: Context) -> Standing | None:
        """What stands, without the fence."""
        return self._read(await self.ask(_LOOK, context))

    async def told(self, session: Session) -> Standing:
        """What stands, as a script tells it before it goes on. Raises ``Damaged``, ``IncompleteReadError``."""
        try:
            said = await session.stdout.readuntil(b"\n\n")
        except asyncio.LimitOverrunError as error:
            raise Damaged(f"the place {self.key} tells of itself without end", hint="look at it") from error
        standing = self._read(said)
        assert standing is not None
        return standing

    def retagged(self, standing: Standing, context: Context) -> str:
        """The tags with the current lease and epoch, as ``tag`` writes them; empty where they are the same."""
        tags = replace(standing.tags, lease_id=context.lease_id, epoch=context.epoch)
        return "" if tags == standing.tags else _written(tags, standing.data)

    async def renew(self, standing: Standing, context: Context) -> None:
        """Write the current lease and epoch into the tags: a parked place changes hands."""
        if written := self.retagged(standing, context):
            await self.ask(_TAG, context, J=written)

    async def remove(self, context: Context) -> None:
        """Remove the folder with all in it, its tags last; gone already is success."""
        await self.ask(_REMOVE, context)

    def _read(self, said: bytes, *, torn: Context | None = None) -> Standing | None:
        if not said:
            return None
        folder, _, rest = said.decode("utf-8", "surrogateescape").partition("\n")
        text, _, more = rest.partition("\n")
        try:
            standing = _parsed(folder, text)
        except (ValueError, KeyError, TypeError) as error:
            if torn is not None and isinstance(error, ValueError):
                tags = Tags(torn.ledger, torn.lease_id, self.key, torn.epoch, 0)
                return Standing(folder, tags, {}, realized=True, torn=True)
            raise Damaged(
                f"{folder}/place.json cannot be read: {error}", hint="look at the folder, then move it away"
            ) from error
        if standing.tags.key != self.key:
            raise Damaged(f"{folder} bears the key of another place, {standing.tags.key}")
        return replace(standing, realized="realized" in more, lost="lost" in more)


async def standing_under(link: Link, root: str, context: Context) -> AsyncIterator[Standing]:
    """All places below a root. What bears no tags of ours is passed over."""
    said = await ask(link, plain_script(_LIST, R=root), context)
    for part in said.decode("utf-8", "surrogateescape").split("\n\n"):
        folder, _, text = part.strip("\n").partition("\n")
        try:
            standing = _parsed(folder, text)
        except (ValueError, KeyError, TypeError):
            continue
        if folder.endswith(f"/{standing.tags.key}"):
            yield standing


def _written(tags: Tags, data: Mapping[str, Any]) -> str:
    return json.dumps({"version": 1, "tags": asdict(tags), "data": dict(data)}, separators=(",", ":"))


def _parsed(folder: str, text: str) -> Standing:
    value = json.loads(text)
    return Standing(folder, Tags.from_json(value["tags"]), value["data"])
