"""A workspace at a place: put there, brought back, and what was not brought back kept."""

import asyncio
import tarfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Gone
from leasehold.drivers.local.tree import Ended
from leasehold.drivers.place import Released
from leasehold.drivers.remote.listing import Listing, list_tree
from leasehold.drivers.remote.mirror import Mirror
from leasehold.drivers.remote.place import RemotePlace, Standing
from leasehold.drivers.remote.remains import quieted
from leasehold.drivers.remote.strayed import NO_MIRROR, keep_strayed
from leasehold.drivers.remote.transfer import Pushed, Used, pull, push, push_anew
from leasehold.drivers.shown import shown
from leasehold.drivers.workspace import Realization, SyncReport, Workspace

_UNREADABLE = "what the place sent cannot be read"


@dataclass(frozen=True, slots=True)
class RemoteTree:
    """The tree of one place, for one verb.

    What stands at the place is first made here, as a mirror: there the local machinery takes baselines,
    compares three ways and keeps. Only what differs travels.
    """

    place: RemotePlace
    context: Context

    async def realize(
        self,
        workspace: Workspace,
        *,
        transport: str,
        provider: str,
        strategy: str,
        remote: Mapping[str, Any],
    ) -> Realization:
        """Put a workspace there; what an earlier call left is made anew."""
        mirror = self._mirror()
        pushed, ended = await (self._again(mirror, workspace) if mirror.stands() else self._anew(mirror, workspace))
        made = pushed.made
        sent = f"sent {pushed.count} entries, {pushed.size / 1e6:.1f} MB to {self.place.link.name}"
        cwd = f"{pushed.standing.folder}/tree"
        return replace(
            made,
            cwd=cwd,
            transport=transport,
            provider=provider,
            summary="; ".join([made.summary, sent, *ended.lines()]),
            local={"path": made.authoritative_root},
            remote={"path": cwd, **remote},
            sync={"strategy": strategy, "prepare": "copy", "sync_back": made.sync["sync_back"]},
        )

    async def _anew(self, mirror: Mirror, workspace: Workspace) -> tuple[Pushed, Ended]:
        try:
            return await push_anew(self.place, mirror, self.context, workspace, used=False), Ended()
        except Used as used:
            ended = await self._strayed(used.standing)
            return await push_anew(self.place, mirror, self.context, workspace, used=True), ended

    async def _again(self, mirror: Mirror, workspace: Workspace) -> tuple[Pushed, Ended]:
        pulling = asyncio.ensure_future(self._pulled(mirror))
        try:
            standing, theirs = await self.place.demand(self.context), await pulling
        finally:
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)
        if theirs is not None:
            await self.place.renew(standing, self.context)
            return await push(self.place, mirror, self.context, workspace, standing, theirs), Ended()
        ended = await self._strayed(standing, _UNREADABLE) if standing.realized else Ended()
        return await push_anew(self.place, mirror, self.context, workspace, used=True), ended

    async def baseline(self, *, look: bool = True) -> None:
        """Remember how the tree stands now, after provisioning; as it was sent, without a ``look``."""
        mirror = self._demanded()
        if look:
            listing = await list_tree(self.place, self.context, remember=True)
            await pull(self.place, mirror, self.context, new=False, strict=False, listing=listing)
        await mirror.baseline()

    async def sync_back(self) -> SyncReport:
        """Bring the run's changes back, three-way."""
        mirror = self._demanded()
        await pull(self.place, mirror, self.context, new=True, strict=True)
        return await mirror.sync_back()

    async def end(
        self, standing: Standing | None, remove: Callable[[], Awaitable[bool]], before: Ended | None = None
    ) -> Released:
        """Keep what was not brought back, here; then ``remove`` the place, and forget its mirror.

        ``remove`` says whether anything was there, ``before`` what was kept and noted already. Raises where
        something cannot be kept: then nothing goes.
        """
        ended = await self._kept(standing)
        return await self.finish((before or Ended()).also(ended), remove)

    async def finish(self, ended: Ended, remove: Callable[[], Awaitable[bool]]) -> Released:
        """``remove`` the place, of which all is kept, and forget its mirror."""
        was_there = await remove()
        await self.forget()
        return Released(was_there, kept=ended.kept, notes=ended.notes)

    async def keep_within(self) -> Ended:
        """End what runs at a contained place, and keep what was not brought back, by what is said within.

        Takes half of the time that is left, and raises a ``DriverError`` for whatever it comes to: a run may have
        made its place say anything, or nothing.
        """
        context = replace(self.context, deadline=time.monotonic() + self.context.remaining() / 2)
        try:
            standing = await self.place.find(context)
            notes = () if standing is None else await quieted(self.place, context, last=True)
            return Ended(notes=notes).also(await RemoteTree(self.place, context)._kept(standing, strict=True))
        except (ValueError, TypeError, LookupError, tarfile.TarError) as error:
            raise Damaged(f"nobody can tell what the place says: {error}") from error

    async def _kept(self, standing: Standing | None, *, strict: bool = False) -> Ended:
        """``strict``: what is damaged there is raised, and not noted."""
        mirror = self._mirror()
        notes: list[str] = []
        if not mirror.stands():
            ended = await mirror.end()
            return await self._strayed(standing, strict=strict) if standing and standing.realized else ended
        if standing is not None and not standing.lost and not mirror.ended():
            try:
                _, notes = await pull(self.place, mirror, self.context, new=True, strict=False)
            except Gone as error:
                notes = [f"nothing more could be kept: {error}"]
            except Damaged as error:
                # No mirror can be made of it. Its files can still be kept as they are.
                ended = await self._strayed(standing, f"{_UNREADABLE} ({error})", strict=strict)
                if ended.kept:
                    return ended
                notes = list(ended.notes)
        return (await mirror.end()).noting(tuple(notes))

    async def forget(self) -> None:
        """Remove what is left of the mirror."""
        await self._mirror().remove()

    async def _strayed(self, standing: Standing, why: str = NO_MIRROR, *, strict: bool = False) -> Ended:
        """Keep what changed at a place that no mirror serves, as on another machine: its files, as they are there.

        A place that sends even then what may not come cannot hold its end up by that, unless it is ``strict``.
        """
        try:
            return await keep_strayed(self.place, standing.tags.lease_id, self.context, why)
        except Damaged as error:
            if strict:
                raise
            return Ended(notes=(f"what the place sent could not be kept: {error}",))

    def _mirror(self) -> Mirror:
        return Mirror(self.place.key, self.context, self.place.where)

    def _demanded(self) -> Mirror:
        mirror = self._mirror()
        if not mirror.stands():
            raise Gone(
                f"the mirror of the place {shown(self.place.key)} is not on this machine",
                hint="only the machine that put the tree there can bring it back",
            )
        return mirror

    async def _pulled(self, mirror: Mirror) -> Listing | None:
        """Bring here what a run changed, so that it is kept; what stands there, none where that is not known."""
        try:
            listing, _ = await pull(self.place, mirror, self.context, new=True, strict=False)
        except (Gone, Damaged):
            return None
        return listing
