"""Commands: how they are started, what they get, and what comes back."""

import asyncio
import os
from typing import cast

from leasehold.drivers.command import Command, Outcome
from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.driver import Records

_BAD = b"\xff\xfe\x00\x80ok"


class Execution(Suite):
    """A command that fails is a result; a place that fails is an error."""

    @rule
    async def test_the_exit_code_comes_back(self, scene: Scene) -> None:
        """A command's own exit code is the result's, and only 0 is ok."""
        target = await scene.target()
        for code in (0, 1, 42, 255):
            result = await scene.run(target, f"exit {code}")
            assert (result.exit_code, result.signal, result.outcome) == (code, None, Outcome.EXITED)
            assert result.ok == (code == 0)
            assert result.duration >= 0

    @rule
    async def test_a_signal_is_told_apart_from_an_exit_code(self, scene: Scene) -> None:
        """A command that a signal ended has that signal and no exit code."""
        result = await scene.run(await scene.target(), "kill -KILL $$")
        assert (result.exit_code, result.signal, result.outcome) == (None, 9, Outcome.EXITED)

    @rule
    async def test_the_streams_are_kept_apart(self, scene: Scene) -> None:
        """What was written to standard output and to standard error comes back byte for byte, apart."""
        result = await scene.run(await scene.target(), "printf 'a\\n'; printf 'b\\n' >&2; printf c")
        assert (result.stdout.data, result.stderr.data, result.dropped) == (b"a\nc", b"b\n", 0)

    @rule
    async def test_bad_bytes_come_back(self, scene: Scene) -> None:
        """Bytes that are no text are kept, and reading them as text never fails."""
        result = await scene.run(await scene.target(), "cat", stdin=_BAD)
        assert result.stdout.data == _BAD
        assert result.stdout.text.endswith("ok")

    @rule
    async def test_output_beyond_the_limit_is_counted(self, scene: Scene) -> None:
        """Both streams are drained to their end: the limit is kept and the rest is counted."""
        script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 3"
        result = await scene.run(await scene.target(), script, limit=1000)
        assert result.exit_code == 3
        assert (len(result.stdout.data), result.stdout.dropped) == (1000, 2_999_000)
        assert (len(result.stderr.data), result.stderr.dropped) == (1000, 1_999_000)

    @rule
    async def test_standard_input_is_given_and_ends(self, scene: Scene) -> None:
        """A command reads all of its input and then its end; without any, it reads the end at once."""
        target = await scene.target()
        data = bytes(range(256)) * 4000
        assert (await scene.run(target, "cat", stdin=data)).stdout.data == data
        assert (await scene.run(target, "cat")).stdout.data == b""

    @rule
    async def test_input_that_nobody_reads_harms_nobody(self, scene: Scene) -> None:
        """A command that ends without reading its input ends as it likes."""
        result = await scene.run(await scene.target(), "exit 5", stdin=b"x" * 1_000_000)
        assert result.exit_code == 5

    @rule
    async def test_a_command_starts_in_the_realized_folder(self, scene: Scene) -> None:
        """Without a directory a command starts where the workspace stands; a relative one starts there."""
        target = await scene.target()
        assert (await scene.run(target, "cat README")).stdout.data
        assert (await scene.run(target, "wc -c < data.bin", cwd="sub")).stdout.text.strip() == "256"
        assert (await scene.run(target, "pwd", cwd="/")).stdout.text == "/\n"

    @rule
    async def test_variables_are_given(self, scene: Scene) -> None:
        """A command has the context's variables, and its own on top of them."""
        target = await scene.target(variables={"FROM_CONTEXT": "one", "BOTH": "context"})
        env = {"FROM_COMMAND": "a 'b' \"c\" $d\nü", "BOTH": "command"}
        result = await scene.run(target, 'printf %s "$FROM_CONTEXT|$FROM_COMMAND|$BOTH"', env=env)
        assert result.stdout.text == f"one|{env['FROM_COMMAND']}|command"

    @rule
    async def test_the_callers_variables_stay_with_the_caller(self, scene: Scene) -> None:
        """A variable of the caller's process is not passed on unless it was named; a PATH is there."""
        os.environ["CONFORMANCE_HIDDEN"] = "leaked"
        try:
            result = await scene.run(await scene.target(), "env")
        finally:
            del os.environ["CONFORMANCE_HIDDEN"]
        assert "leaked" not in result.stdout.text
        assert "PATH=" in result.stdout.text

    @rule
    async def test_arguments_arrive_unharmed(self, scene: Scene) -> None:
        """No shell reads the arguments on their way."""
        arguments = ("", "a b", "'\"$HOME`*", "-n", "line\nbreak", "ünï", "\\")
        command = Command(("sh", "-c", 'for a; do printf "%s|" "$a"; done', "sh", *arguments), timeout=30)
        result = await (await scene.target()).execute(command)
        assert result.stdout.text == "|".join(arguments) + "|"

    @rule
    async def test_shell_text_is_read_by_a_shell(self, scene: Scene) -> None:
        """Shell text may have pipes, variables and more than one line."""
        command = Command(("x=1\necho $((x + 1)) | cat; false",), shell=True, timeout=30)
        result = await (await scene.target()).execute(command)
        assert (result.stdout.text, result.exit_code) == ("2\n", 1)

    @rule
    async def test_a_program_that_is_not_there_is_a_result(self, scene: Scene) -> None:
        """A program that is not found, or may not be executed, is told by the result's error."""
        target = await scene.target()
        missing = await target.execute(Command(("no-such-program-anywhere",), timeout=30))
        assert (missing.error, missing.ok) == ("not_found", False)
        refused = await target.execute(Command(("./README",), timeout=30))
        assert (refused.error, refused.ok) == ("not_executable", False)

    @rule
    async def test_output_is_heard_while_the_command_runs(self, scene: Scene) -> None:
        """Each chunk is handed on as it arrives, and the result has all of them."""
        target = await scene.target()
        heard: list[tuple[str, bytes]] = []

        async def hear(stream: str, data: bytes) -> None:
            heard.append((stream, data))
            if data == b"one\n":
                await target.write("go", b"")

        script = "echo one; while ! [ -e go ]; do sleep 0.02; done; echo two >&2"
        result = await scene.run(target, script, on_output=hear)
        assert result.ok
        assert heard == [("stdout", b"one\n"), ("stderr", b"two\n")]
        assert (result.stdout.data, result.stderr.data) == (b"one\n", b"two\n")

    @rule
    async def test_commands_run_side_by_side(self, scene: Scene) -> None:
        """Several commands run in one place at the same time."""
        target = await scene.target()
        wait = "touch {}; while ! [ -e {} ]; do sleep 0.02; done; echo {}"
        results = await asyncio.gather(
            scene.run(target, wait.format("a", "b", "first")),
            scene.run(target, wait.format("b", "a", "second")),
        )
        assert [result.stdout.text for result in results] == ["first\n", "second\n"]

    @rule
    async def test_an_exit_status_is_recorded_at_the_place(self, scene: Scene) -> None:
        """A command given a record name leaves its exit status there, for whoever comes later."""
        scene.require(isinstance(scene.driver, Records), "recorded exit statuses")
        driver, later = cast(Records, scene.driver), cast(Records, self.make_driver())
        handle, _, realization = await scene.realized()
        target = await scene.target_of(handle, realization)
        assert await driver.recorded(handle, "provision", scene.context()) is None
        await scene.run(target, "exit 7", record="provision")
        assert await later.recorded(handle, "provision", scene.context()) == 7
        assert await later.recorded(handle, "other", scene.context()) is None

    @rule
    async def test_a_command_in_a_place_that_is_gone_is_an_error(self, scene: Scene) -> None:
        """A place that fails is a driver error, so that it is never taken for the command's own failure."""
        handle, _, realization = await scene.realized()
        target = await scene.target_of(handle, realization)
        scene.require(str(scene.mode) != "in_place", "a tree that goes with its place in this mode")
        await scene.release(handle)
        await scene.refused(target.execute(Command(("true",), timeout=30)))

    @rule
    async def test_a_target_says_where_it_is(self, scene: Scene) -> None:
        """A target is described by plain values that say whether it is local."""
        described = (await scene.target()).describe()
        assert described["kind"] in ("local", "remote")
        assert (described["kind"] == "local") == (scene.can.transport == "local")
