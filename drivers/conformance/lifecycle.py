"""The life of a place, each verb once and again."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.conformance.tree import seen_in
from leasehold.drivers.driver import holds_subjects
from leasehold.drivers.errors import DriverError, Stale
from leasehold.drivers.place import Absent, Condition, Found, Handle, ReleaseMode
from leasehold.drivers.workspace import Realization


class Lifecycle(Suite):
    """Same key, same place; and what is gone is gone."""

    @rule
    async def test_the_same_key_gives_the_same_place(self, scene: Scene) -> None:
        """However often acquire is called with a key, one place stands under it."""
        workspace, key = scene.workspace(), scene.new_key()
        first = await scene.acquire(workspace, key)
        scene.driver = self.make_driver()
        assert (await scene.acquire(workspace, key)).place == first.place

    @rule
    async def test_the_same_key_at_once_gives_one_place(self, scene: Scene) -> None:
        """Two calls with one key at the same time give one place."""
        workspace, key = scene.workspace(), scene.new_key()
        handles = await asyncio.gather(*(scene.acquire(workspace, key) for _ in range(3)))
        assert len({handle.place for handle in handles}) == 1
        if scene.can.tagged:
            assert len(await scene.owned()) == 1

    @rule
    async def test_different_keys_give_different_places(self, scene: Scene) -> None:
        """A place belongs to one key."""
        first = await scene.acquire(scene.workspace("first"))
        second = await scene.acquire(scene.workspace("second"))
        assert first.place != second.place
        await scene.release(first)
        assert (await scene.driver.inspect(second, scene.context())).condition is Condition.READY

    @rule
    async def test_a_tree_may_be_named_late(self, scene: Scene) -> None:
        """A place is given before its tree is known; nothing is refused or held for the tree until then."""
        scene.require(scene.mode is not Mode.GIT_WORKTREE, "a tree that is named late")
        workspace, key = scene.workspace(), scene.new_key()
        late = replace(scene.request(replace(workspace, path=Path())), late=True)
        assert scene.driver.validate(late, scene.config) == []
        if holds_subjects(scene.driver):
            assert scene.driver.subjects(late, scene.config) == ()
        handle = await scene.driver.acquire(key, late, scene.tags(key), scene.context())
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY
        realization = await scene.driver.realize(handle, workspace, scene.context())
        await scene.target_of(handle, realization)
        assert await scene.release(handle)

    @rule
    async def test_a_handle_is_all_that_another_process_needs(self, scene: Scene) -> None:
        """A handle is plain JSON, and a new driver that is given it finds the place."""
        handle, workspace, realization = await scene.realized()
        again = Handle.from_json(json.loads(json.dumps(handle.to_json())))
        record = Realization.from_json(json.loads(json.dumps(realization.to_json())))
        scene.driver = self.make_driver()
        assert (await scene.driver.inspect(again, scene.context())).condition is Condition.READY
        await scene.target_of(again, record)
        assert (await scene.driver.realize(again, workspace, scene.context())).cwd == realization.cwd
        assert await scene.release(again)

    @rule
    async def test_recover_finds_a_place_by_its_key_alone(self, scene: Scene) -> None:
        """Whoever has the key finds the place, with the handle that acquire gave."""
        key = scene.new_key()
        handle = await scene.acquire(scene.workspace(), key)
        scene.driver = self.make_driver()
        scene.newer()
        answer = await scene.recover(key)
        assert isinstance(answer, Found)
        assert answer.handle.place == handle.place
        assert await scene.release(answer.handle)

    @rule
    async def test_recover_says_absent_of_what_never_was(self, scene: Scene) -> None:
        """Nothing stands under a key that was never used, and the key may be used afterwards."""
        key = scene.new_key()
        assert isinstance(await scene.recover(key), Absent)
        assert await scene.owned() == []
        handle = await scene.acquire(scene.workspace(), key)
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY

    @rule
    async def test_a_released_place_is_gone(self, scene: Scene) -> None:
        """After a release, inspect says gone, recover says absent, and nothing is listed."""
        key = scene.new_key()
        handle = await scene.acquire(scene.workspace(), key)
        assert await scene.release(handle)
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.GONE
        assert isinstance(await scene.recover(key), Absent)
        assert await scene.owned() == []

    @rule
    async def test_releasing_what_is_gone_succeeds(self, scene: Scene) -> None:
        """A second release is a success that says that nothing was there."""
        handle, _, _ = await scene.realized()
        assert await scene.release(handle)
        assert not await scene.release(handle)
        scene.driver = self.make_driver()
        assert not await scene.release(handle)

    @rule
    async def test_what_is_made_is_listed_with_its_tags(self, scene: Scene) -> None:
        """A place bears ledger, lease and key from the first moment on, for its own ledger's eyes."""
        scene.require(scene.can.tagged, "tags")
        key = scene.new_key()
        handle = await scene.acquire(scene.workspace(), key)
        resource = await scene.only()
        assert (resource.driver, resource.place) == (scene.driver.name, handle.place)
        assert resource.handle.place == handle.place
        tags = resource.tags
        assert (tags.ledger, tags.lease_id, tags.key) == (scene.ledger, scene.lease_id, key)
        assert tags.expires_at > 0
        assert await scene.owned("another") == []
        everything = [found async for found in scene.driver.owned(None, scene.context())]
        assert handle.place in {found.place for found in everything}

    @rule
    async def test_destroying_what_was_listed_ends_it(self, scene: Scene) -> None:
        """A sweep's destroy needs the listing alone, and may come twice."""
        scene.require(scene.can.tagged, "tags")
        handle, _, _ = await scene.realized()
        resource = await scene.only()
        scene.driver = self.make_driver()
        await scene.driver.destroy(resource, scene.context())
        await scene.driver.destroy(resource, scene.context())
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.GONE
        assert await scene.owned() == []

    @rule
    async def test_destroy_looks_at_the_tags_again(self, scene: Scene) -> None:
        """What bears other tags than were listed stays: it may be another's by now."""
        scene.require(scene.can.tagged, "tags")
        handle = await scene.acquire(scene.workspace())
        resource = await scene.only()
        other = replace(resource, tags=replace(resource.tags, ledger="another", lease_id="another"))
        with suppress(DriverError):
            await scene.driver.destroy(other, scene.context())
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY

    @rule
    async def test_realizing_twice_gives_the_same(self, scene: Scene) -> None:
        """Realize may be run again, and gives the same record."""
        handle, workspace, first = await scene.realized()
        second = await scene.driver.realize(handle, workspace, scene.context())
        assert (second.cwd, second.mode, second.authoritative_root) == (
            first.cwd,
            first.mode,
            first.authoritative_root,
        )
        await scene.target_of(handle, second)

    @rule
    async def test_realizing_again_makes_anew_what_was_left(self, scene: Scene) -> None:
        """What an earlier realize left half-made counts for nothing."""
        scene.require_group("files")
        scene.require(scene.mode is not Mode.IN_PLACE, "a tree of its own in this mode")
        handle, workspace, realization = await scene.realized()
        target = await scene.target_of(handle, realization)
        await target.write("README", b"half")
        await target.write("junk", b"junk")
        again = await scene.driver.realize(handle, workspace, scene.context())
        target = await scene.target_of(handle, again)
        assert await target.read("README") == (workspace.path / "README").read_bytes()
        assert (await scene.run(target, "ls")).stdout.text.split() == ["README", "run.sh", "sub"]

    @rule
    async def test_a_whole_life_leaves_the_workspace_as_it_was(self, scene: Scene) -> None:
        """Nothing of the caller's is changed or deleted by acquire, realize and release."""
        handle, workspace, _ = await scene.realized()
        before = seen_in(workspace.path)
        assert await scene.release(handle)
        assert seen_in(workspace.path) == before
        assert before

    @rule
    async def test_a_missing_workspace_cannot_be_realized(self, scene: Scene) -> None:
        """A workspace that vanished is a driver error, not a crash, and the place can still be released."""
        scene.require_group("files")
        workspace = scene.workspace()
        handle = await scene.acquire(workspace)
        workspace.path.rename(scene.folder / "moved")
        await scene.refused(scene.driver.realize(handle, workspace, scene.context()))
        await scene.release(handle)

    @rule
    async def test_a_kept_place_stands_until_it_is_destroyed(self, scene: Scene) -> None:
        """A place kept for a person stands, says how to open it, and can be destroyed later."""
        scene.require(scene.can.keeps, "keeping")
        handle, _, _ = await scene.realized()
        released = await scene.driver.release(handle, ReleaseMode.KEEP, scene.context())
        assert released.was_there
        assert released.open_with
        await scene.driver.release(handle, ReleaseMode.KEEP, scene.context())
        observed = await scene.driver.inspect(handle, scene.context())
        assert observed.condition in (Condition.READY, Condition.STOPPED)
        assert await scene.release(handle)
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.GONE

    @rule
    async def test_a_parked_place_serves_again(self, scene: Scene) -> None:
        """A parked place is found by the next owner, realized again, and used."""
        scene.require(scene.can.parks, "parking")
        key = scene.new_key()
        workspace = scene.workspace()
        handle = await scene.acquire(workspace, key)
        await scene.driver.realize(handle, workspace, scene.context())
        await scene.driver.release(handle, ReleaseMode.PARK, scene.context())
        scene.newer()
        assert await scene.recover(key) == Found(handle)
        realization = await scene.driver.realize(handle, workspace, scene.context())
        await scene.target_of(handle, realization)
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY
        assert await scene.release(handle)

    @rule
    async def test_a_newer_epoch_shuts_the_older_out(self, scene: Scene) -> None:
        """Where fencing is enforced, no verb of an older epoch has an effect after a newer one's recover.

        The error says which epoch the place has seen.
        """
        scene.require(scene.fenced, "enforced fencing")
        key, old = scene.new_key(), scene.epoch
        workspace = scene.workspace()
        handle = await scene.acquire(workspace, key)
        scene.newer()
        await scene.recover(key)
        context = scene.context(epoch=old)
        for late in (
            scene.driver.acquire(key, scene.request(workspace), scene.tags(key, old), context),
            scene.driver.realize(handle, workspace, context),
            scene.driver.release(handle, ReleaseMode.DESTROY, context),
        ):
            error = await scene.refused(late, Stale)
            assert isinstance(error, Stale)
            assert error.seen == scene.epoch, "which epoch was seen tells a store that was restored from a backup"
        assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY

    @rule
    async def test_a_late_acquire_is_refused_after_recover_said_absent(self, scene: Scene) -> None:
        """Where fencing is enforced, a key that was found absent stays so for older epochs."""
        scene.require(scene.fenced, "enforced fencing")
        key, old = scene.new_key(), scene.epoch
        scene.newer()
        assert isinstance(await scene.recover(key), Absent)
        request, context = scene.request(scene.workspace()), scene.context(epoch=old)
        await scene.refused(scene.driver.acquire(key, request, scene.tags(key, old), context), Stale)
        assert isinstance(await scene.recover(key), Absent)

    @rule
    async def test_a_verb_that_may_not_go_on_ends_at_once(self, scene: Scene) -> None:
        """A verb whose deadline has passed, or that is told to stop, ends soon: done, or with a driver error."""
        workspace, key = scene.workspace(), scene.new_key()
        stopped, late = scene.context(), scene.context(seconds=0)
        stopped.stop.set()
        for context in (stopped, late):
            async with asyncio.timeout(10):
                with suppress(DriverError):
                    await scene.driver.acquire(key, scene.request(workspace), scene.tags(key), context)
