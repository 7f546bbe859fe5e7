"""Files go into a place and come out of it whole."""

from leasehold.drivers.conformance.rule import rule
from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite
from leasehold.drivers.conformance.tree import seen_in

_BYTES = bytes(range(256)) * 300


class Files(Suite):
    """Put, get, read, write."""

    @rule
    async def test_the_workspace_stands_in_the_place(self, scene: Scene) -> None:
        """After realize, the workspace's files are there with their bytes and their executable bits."""
        _, workspace, _ = realized = await scene.realized()
        target = await scene.target_of(realized[0], realized[2])
        for name, data in seen_in(workspace.path).items():
            assert await target.read(name) == data
        assert (await scene.run(target, "./run.sh")).stdout.text == "ran\n"

    @rule
    async def test_what_is_written_is_read(self, scene: Scene) -> None:
        """Any bytes come back as they were, also by a relative path with blanks in a new folder."""
        target = await scene.target()
        for name in ("plain", "new folder/näme with 'quotes'"):
            await target.write(name, _BYTES)
            assert await target.read(name) == _BYTES
        await target.write("plain", b"")
        assert await target.read("plain") == b""

    @rule
    async def test_a_read_can_be_limited(self, scene: Scene) -> None:
        """No more than the limit is read."""
        target = await scene.target()
        await target.write("long", _BYTES)
        assert await target.read("long", 10) == _BYTES[:10]

    @rule
    async def test_commands_see_what_was_written_and_nothing_beside(self, scene: Scene) -> None:
        """A written file is there whole for commands, and no file of the writing stays beside it."""
        target = await scene.target()
        await target.write("box/data", b"hello")
        result = await scene.run(target, "cat box/data; ls -A box")
        assert result.stdout.text == "hellodata\n"

    @rule
    async def test_a_file_goes_in_and_out_with_its_mode(self, scene: Scene) -> None:
        """A file keeps its bytes and its executable bit both ways."""
        target = await scene.target()
        source = scene.folder / "tool"
        source.write_bytes(b"#!/bin/sh\necho tool\n")
        source.chmod(0o755)
        await target.put(source, "bin/tool")
        assert (await scene.run(target, "./bin/tool")).stdout.text == "tool\n"
        await target.get("bin/tool", scene.folder / "back")
        assert (scene.folder / "back").read_bytes() == source.read_bytes()
        assert (scene.folder / "back").stat().st_mode & 0o111 == 0o111

    @rule
    async def test_a_folder_goes_in_and_out(self, scene: Scene) -> None:
        """A folder is copied with all that is in it, both ways."""
        target = await scene.target()
        source = scene.folder / "source"
        (source / "deep" / "er").mkdir(parents=True)
        (source / "deep" / "er" / "x").write_bytes(_BYTES)
        (source / "y").write_bytes(b"y")
        await target.put(source, "sent")
        assert (await scene.run(target, "wc -c < sent/deep/er/x")).stdout.text.strip() == str(len(_BYTES))
        await target.get("sent", scene.folder / "back")
        assert seen_in(scene.folder / "back") == seen_in(source)

    @rule
    async def test_a_missing_file_is_an_error_that_names_it(self, scene: Scene) -> None:
        """Reading or getting what is not there is a driver error with the file's name."""
        target = await scene.target()
        for missing in (target.read("no-such-file"), target.get("no-such-file", scene.folder / "x")):
            assert "no-such-file" in str(await scene.refused(missing))
        assert not (scene.folder / "x").exists()
