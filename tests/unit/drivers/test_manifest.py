"""Manifests, globs, removal, and files that are written whole."""

import os
import stat
import time
from pathlib import Path

import pytest
from bench import print_of, sh
from leasehold.drivers import Stopped, manifest
from leasehold.drivers.durable import read_json, write_json, write_whole
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.manifest import RACY_NS, differences, scan
from leasehold.drivers.removal import remove_tree
from leasehold.drivers.shown import shown

ODD = b"odd \xff\nname"


def go_on() -> None:
    return


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    sh(top, "echo a > a; mkdir -p d/e; echo x > d/x; chmod +x d/x; ln -s /etc l; mkfifo p; mkdir .git; touch .git/HEAD")
    (top / os.fsdecode(ODD)).write_bytes(b"odd")
    return top


def test_a_manifest_knows_kinds_and_follows_no_link(tree: Path) -> None:
    seen = scan(tree, go_on)
    assert {path: entry.kind for path, entry in seen.manifest.items()} == {
        b"a": "-",
        ODD: "-",
        b"d": "d",
        b"d/e": "d",
        b"d/x": "x",
        b"l": "l",
    }
    assert seen.special == (b"p",)
    assert manifest.from_json(manifest.to_json(seen.manifest)) == seen.manifest
    assert b".git/HEAD" in scan(tree, go_on, with_git=True).manifest


def test_differences_are_what_matters(tree: Path) -> None:
    before = scan(tree, go_on).manifest
    sh(tree, "touch a; chmod 600 a; cp -p a b; rm -r d/e; chmod -x d/x; ln -sfn /usr l")
    assert differences(before, scan(tree, go_on, known=before).manifest) == [b"b", b"d/e", b"d/x", b"l"]


def test_what_is_known_is_not_read_again_and_what_is_too_young_is(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = (tree / "a").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: written)
    assert scan(tree, go_on).manifest[b"a"].stamp == ()
    monkeypatch.setattr(time, "time_ns", lambda: written + 10 * RACY_NS)
    known = scan(tree, go_on).manifest
    assert known[b"a"].stamp
    read: list[bytes] = []

    class Digest:
        def update(self, data: bytes) -> None:
            read.append(data)

        def hexdigest(self) -> str:
            return "read"

    monkeypatch.setattr(manifest.hashlib, "sha256", lambda data=b"": Digest())
    assert scan(tree, go_on, known=known).manifest[b"a"] is known[b"a"]
    assert read == []
    (tree / "a").write_text("b\n")
    assert scan(tree, go_on, known=known).manifest[b"a"].digest == "read"


def test_a_scan_can_be_ended(tree: Path) -> None:
    def check() -> None:
        raise Stopped("now")

    with pytest.raises(Stopped):
        scan(tree, check)


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("*.log", ["x.log", "d/x.log", "d/x.log/below"], ["x.logs", "xlog"]),
        ("node_modules", ["node_modules", "a/node_modules/b"], ["node_modules2"]),
        ("node_modules/", ["node_modules/x", "a/node_modules/b"], []),
        ("/top", ["top", "top/x"], ["a/top"]),
        ("a/b", ["a/b", "a/b/c"], ["x/a/b", "a/bc"]),
        ("a/*/c", ["a/b/c"], ["a/c", "a/b/b/c"]),
        ("a/**/c", ["a/c", "a/b/c", "a/b/b/c"], ["c"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["xx"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("?", ["a", "d/b"], ["ab"]),
        ("[a-c]x", ["ax", "d/cx"], ["dx"]),
        ("[!a]x", ["bx"], ["ax"]),
        ("a.b", ["a.b"], ["axb"]),
        ("(x|y)+", ["(x|y)+"], ["x"]),
        ("ü*", ["ü1"], ["u1"]),
        ("", [], ["a"]),
    ],
)
def test_globs(glob: str, fits: list[str], fits_not: list[str]) -> None:
    excludes = Excludes([glob, "never-there"])
    assert [path for path in fits if path.encode() not in excludes] == []
    assert [path for path in fits_not if path.encode() in excludes] == []
    assert ODD in Excludes(["odd*"])


def test_a_tree_is_removed_whatever_is_in_it(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    sh(tree, f"ln -s '{outside}' d/out; chmod 000 d; mkdir -p $(printf 'n/%.0s' {{1..2500}}); chmod 555 n/n")
    remove_tree(tree, go_on)
    remove_tree(tree, go_on)
    assert set(print_of(tmp_path)) == {"outside", "outside/precious"}


def test_a_removal_can_be_ended_and_goes_on(tree: Path) -> None:
    calls = iter(range(100))

    def check() -> None:
        if next(calls) == 2:
            raise Stopped("now")

    with pytest.raises(Stopped):
        remove_tree(tree, check)
    assert tree.exists()
    remove_tree(tree, go_on)
    assert not tree.exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_whole(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o750)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    write_whole(path, b"three")
    assert path.read_bytes() == b"three"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    write_json(path, {os.fsdecode(ODD): 1})
    assert read_json(path) == {os.fsdecode(ODD): 1}
    assert read_json(tmp_path / "none") is None
    assert read_json(path / "below") is None


def test_a_name_is_shown_as_one_line_of_text() -> None:
    assert shown(ODD) == r"odd \xff\nname"
    assert shown(Path("ü")) == "ü"
    assert shown("\x1b[31m") == r"\x1b[31m"
