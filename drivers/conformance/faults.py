"""The caller dies by SIGKILL at every point of a place's life; whoever comes then leaves nothing."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict, replace

from leasehold.drivers.capabilities import Transport
from leasehold.drivers.conformance.caller import Script, Verb
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.place import Absent, Condition, Found
from leasehold.drivers.workspace import Workspace

_WITHIN = (0.2, 0.5, 0.8)


class Faults(Suite):
    """Invariant 3: no place exists that its key or its tag does not find."""

    @rule
    async def test_killed_around_acquire(self, scene: Scene) -> None:
        """A caller killed before, in or after acquire leaves nothing that recover and release do not end."""
        await _killed_around(scene, "acquire")

    @rule
    async def test_killed_around_realize(self, scene: Scene) -> None:
        """A caller killed before, in or after realize leaves nothing that recover and release do not end."""
        await _killed_around(scene, "realize")

    @rule
    async def test_killed_around_target(self, scene: Scene) -> None:
        """A caller killed before, in or after target leaves nothing that recover and release do not end."""
        await _killed_around(scene, "target")

    @rule
    async def test_killed_around_a_command(self, scene: Scene) -> None:
        """A caller killed before or after a command leaves nothing that recover and release do not end."""
        await _killed_around(scene, "execute")

    @rule
    async def test_killed_around_release(self, scene: Scene) -> None:
        """A caller killed before, in or after release leaves nothing that a second release does not end."""
        await _killed_around(scene, "release")

    @rule
    async def test_killed_around_destroy(self, scene: Scene) -> None:
        """A caller killed before, in or after destroy leaves nothing that a second sweep does not end."""
        scene.require(scene.can.tagged, "tags")
        await _killed_around(scene, "destroy")

    @rule
    async def test_a_sweep_alone_ends_what_a_dead_caller_left(self, scene: Scene) -> None:
        """Without any key, by the tags alone, all that a dead caller made is listed and destroyed."""
        scene.require(scene.can.tagged, "tags")
        for verb in ("acquire", "realize", "execute"):
            workspace, key = scene.workspace(f"swept-{verb}"), scene.new_key()
            await _die(scene, workspace, key, verb, -1.0)
            scene.newer()
            assert [resource.tags.key for resource in await scene.owned()] == [key]
            await scene.sweep()
            assert isinstance(await scene.recover(key), Absent)

    @rule
    async def test_a_place_whose_caller_died_in_realize_can_be_realized(self, scene: Scene) -> None:
        """The next owner realizes what a dead one left half-made, and it works."""
        took = await _took(scene)
        for number, share in enumerate(_WITHIN):
            workspace, key = scene.workspace(f"half-{number}"), scene.new_key()
            await _die(scene, workspace, key, "realize", took["realize"] * share)
            scene.newer()
            answer = await scene.recover(key)
            assert isinstance(answer, Found)
            realization = await scene.driver.realize(answer.handle, workspace, scene.context())
            target = await scene.target_of(answer.handle, realization)
            if "files" not in self.opts_out:
                assert await target.read("README") == (workspace.path / "README").read_bytes()
            await scene.release(answer.handle)

    @rule
    async def test_the_same_key_is_acquired_again_after_a_death(self, scene: Scene) -> None:
        """The next owner acquires the key that a dead one was acquiring, and one place stands under it."""
        took = await _took(scene)
        for number, share in enumerate(_WITHIN):
            workspace, key = scene.workspace(f"again-{number}"), scene.new_key()
            await _die(scene, workspace, key, "acquire", took["acquire"] * share)
            scene.newer()
            handle = await scene.acquire(workspace, key)
            assert (await scene.driver.inspect(handle, scene.context())).condition is Condition.READY
            if scene.can.tagged:
                assert len(await scene.owned()) == 1
            await scene.release(handle)

    @rule
    async def test_no_command_outlives_its_caller(self, scene: Scene) -> None:
        """A command ends when its caller is killed, or at the latest with the release of its place."""
        scene.require_group("execution")
        scene.require(scene.can.transport is Transport.LOCAL, "processes that are seen from here")
        key = scene.new_key()
        pid = int(await _die(scene, scene.workspace(), key, "execute", 1.0))
        scene.newer()
        await scene.end(key)

        async def gone() -> bool:
            return not _runs(pid)

        await scene.eventually(gone)


async def _killed_around(scene: Scene, verb: Verb) -> None:
    """Each death, and what is left when the place was recovered and released under a newer epoch."""
    took = await _took(scene)
    seconds = took["release" if verb == "destroy" else verb]
    within = [] if verb == "execute" else [seconds * share for share in _WITHIN]
    for number, after in enumerate((0.0, -1.0, *within)):
        workspace, key = scene.workspace(f"tree-{number}"), scene.new_key()
        await _die(scene, workspace, key, verb, after)
        scene.newer()
        await scene.end(key)
        when = f"left after a death {after:g} s into {verb}"
        assert isinstance(await scene.recover(key), Absent), when
        assert not scene.can.tagged or await scene.owned() == [], when
        assert not scene.left(), f"{when}: {scene.left()}"
        assert (workspace.path / "README").exists()


async def _took(scene: Scene) -> dict[str, float]:
    """The seconds that each verb takes in a life that nobody ends."""
    script = _script(scene, scene.workspace("whole-life"), scene.new_key())
    took: dict[str, float] = json.loads(await _play(script, 0))
    return took


async def _die(scene: Scene, workspace: Workspace, key: str, verb: Verb, after: float) -> str:
    """A life that ends there; what its caller wrote before."""
    script = replace(_script(scene, workspace, key), verb=verb, after=after)
    return await _play(script, -signal.SIGKILL)


def _script(scene: Scene, workspace: Workspace, key: str) -> Script:
    return Script(
        driver=scene.suite.driver,
        config=scene.plain,
        workspace=workspace.to_json(),
        tags=asdict(scene.tags(key)),
        state_folder=str(scene.folder / "state"),
    )


async def _play(script: Script, ends: int) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "leasehold.drivers.conformance.caller",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    written, said = await child.communicate(script.to_json().encode())
    assert child.returncode == ends, said.decode(errors="replace")
    return written.decode()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
