"""The end of a command: nothing of it runs on."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from leasehold.drivers.command import Command, Outcome, Result
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.target import Target

# A command with every way to get out of sight: a child in a session of its own, one without any
# environment, and one that ignores TERM. Each writes its process id to a file.
_HARD_TO_END = """
own() { if command -v setsid >/dev/null; then setsid "$@"; else perl -MPOSIX -e 'setsid(); exec @ARGV' "$@"; fi; }
own sh -c 'echo $$ > pid.session; exec sleep 600' &
env -i PATH="$PATH" sh -c 'echo $$ > pid.bare; exec sleep 600' &
sh -c 'trap "" TERM; echo $$ > pid.deaf; while :; do sleep 1; done' &
echo $$ > pid.own
for f in session bare deaf; do while ! [ -s pid.$f ]; do sleep 0.02; done; done
echo ready
wait
"""
_PIDS = ("pid.own", "pid.session", "pid.bare", "pid.deaf")


class Ending(Suite):
    """At its deadline, on request, or with its caller."""

    @rule
    async def test_a_timeout_ends_the_whole_tree(self, scene: Scene) -> None:
        """At its timeout every process of a command is ended, whatever it does, and that is seen."""
        target = await scene.target()
        result = await scene.run(target, _HARD_TO_END, timeout=2.0)
        assert (result.outcome, result.exit_code, result.survivors) == (Outcome.TIMED_OUT, None, ())
        assert result.stdout.text == "ready\n"
        assert 2.0 <= result.duration < 30.0
        await _gone(scene, target)

    @rule
    async def test_without_a_timeout_the_contexts_deadline_holds(self, scene: Scene) -> None:
        """A command that has no timeout ends by the deadline of its context."""
        target = await scene.target(seconds=4.0)
        result = await target.execute(Command(("sleep", "600")))
        assert (result.outcome, result.survivors) == (Outcome.TIMED_OUT, ())

    @rule
    async def test_a_cancelled_caller_ends_its_command_first(self, scene: Scene) -> None:
        """When its caller is cancelled, a command is ended first, and then the cancellation goes on."""
        target = await scene.target()
        running = await _begun(target)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert running.cancelled()
        await _gone(scene, target)

    @rule
    async def test_closing_a_target_ends_its_commands(self, scene: Scene) -> None:
        """Closing a target ends every command that runs through it."""
        handle, _, realization = await scene.realized()
        target = await scene.target_of(handle, realization)
        running = await _begun(target)
        await target.close()
        result = await running
        assert result.outcome in (Outcome.CANCELLED, Outcome.TARGET_LOST)
        await _gone(scene, await scene.target_of(handle, realization))

    @rule
    async def test_what_a_command_leaves_behind_ends_with_the_target(self, scene: Scene) -> None:
        """After a normal exit, what still runs belongs to the lease: it is told, and ends with it."""
        handle, _, realization = await scene.realized()
        target = await scene.target_of(handle, realization)
        script = (
            "sh -c 'echo $$ > pid.own; exec sleep 600' >/dev/null 2>&1 & while ! [ -s pid.own ]; do sleep 0.02; done"
        )
        result = await scene.run(target, script)
        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 0)
        assert result.survivors
        await target.close()
        await _gone(scene, await scene.target_of(handle, realization), ("pid.own",))


async def _begun(target: Target) -> asyncio.Task[Result]:
    """A command that is hard to end, once all of it runs."""
    ready = asyncio.Event()

    def hear(_: str, data: bytes) -> None:
        if b"ready" in data:
            ready.set()

    command = replace(Command(("sh", "-c", _HARD_TO_END), timeout=60.0), on_output=hear)
    running = asyncio.create_task(target.execute(command))
    await ready.wait()
    return running


async def _gone(scene: Scene, target: Target, files: tuple[str, ...] = _PIDS) -> None:
    """None of the processes whose ids stand in these files runs any more (a zombie does not run)."""
    script = """
    for f in "$@"; do
      [ -s "$f" ] || { echo "$f is missing"; continue; }
      p=$(cat "$f")
      case $(ps -o stat= -p "$p") in ''|Z*) ;; *) echo "$f: $p runs" ;; esac
    done"""

    async def none_runs() -> bool:
        result = await target.execute(Command(("sh", "-c", script, "sh", *files), timeout=30.0))
        return result.ok and not result.stdout.data

    await scene.eventually(none_runs, 5.0)
