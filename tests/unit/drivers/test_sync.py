"""The three-way decision, and the applying of it."""

import itertools
import os
from contextlib import suppress
from pathlib import Path

import pytest
from bench import print_of, sh
from leasehold.drivers import Stopped
from leasehold.drivers.durable import beside
from leasehold.drivers.errors import Damaged
from leasehold.drivers.keeping import keep_archive
from leasehold.drivers.local.file_tree import identify
from leasehold.drivers.manifest import differences, scan
from leasehold.drivers.merge import Verdict, judge
from leasehold.drivers.sync import Applied, Item, blocked, bring, remove_traces

VERSIONS = (None, "one", "two", "three")


def go_on() -> None:
    return


@pytest.mark.parametrize(("sent", "there", "here"), list(itertools.product(VERSIONS, repeat=3)))
def test_nothing_that_was_touched_here_is_replaced(sent: str | None, there: str | None, here: str | None) -> None:
    verdict = judge(sent, there, here)
    assert (verdict is Verdict.APPLY) == (here == sent and there != sent)
    assert (verdict is Verdict.CONFLICT) == (here != sent and there != sent and here != there)


class Trees:
    """What was sent, and what it became there, in two folders."""

    def __init__(self, folder: Path, sent: str, run: str) -> None:
        self.there, self.here = folder / "there", folder / "here"
        for path in (self.there, self.here):
            path.mkdir()
            sh(path, sent)
        old = scan(self.there, go_on).manifest
        sh(self.there, run)
        new = scan(self.there, go_on).manifest
        self.items = [
            Item(
                path,
                old[path].version if path in old else None,
                new[path].version if path in new else None,
            )
            for path in differences(old, new)
        ]

    def bring(self, *, stop_after: int | None = None) -> Applied:
        calls = itertools.count()

        def check() -> None:
            if next(calls) == stop_after:
                raise Stopped("now")

        return bring(self.items, self.there, self.here, identify(self.here, go_on), check, prune=False)

    def same(self) -> bool:
        return print_of(self.there) == print_of(self.here)


SENT = "echo a > a; mkdir -p d/e; echo x > d/x; echo y > d/e/y; ln -s a l; echo z > z"
RUN = """
echo A > a; rm -r d; echo d > d; rm l; mkdir l; echo n > l/n; ln -s l s; mkdir -p new/er; echo n > new/er/f; rm z
chmod +x new/er/f
"""


def test_all_kinds_come_over(tmp_path: Path) -> None:
    trees = Trees(tmp_path, SENT, RUN)
    assert trees.bring().conflicts == []
    assert trees.same()
    again = trees.bring()
    assert again.conflicts == []
    assert trees.same()


def test_a_torn_one_goes_on_from_every_point(tmp_path: Path) -> None:
    for count in range(100):
        folder = tmp_path / str(count)
        folder.mkdir()
        trees = Trees(folder, SENT, RUN)
        if count == len(trees.items):
            break
        with pytest.raises(Stopped):
            trees.bring(stop_after=count)
        assert trees.bring().conflicts == []
        assert trees.same()


def test_what_stands_beside_is_overwritten_and_removed(tmp_path: Path) -> None:
    trees = Trees(tmp_path, "echo a > a; mkdir d", "echo b > a; echo n > d/n")
    beside(trees.here / "a").write_text("torn")
    assert trees.bring().written == 2
    assert trees.same()
    beside(trees.here / "d" / "n").write_text("torn")
    remove_traces(trees.items, trees.here)
    assert trees.same()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    trees = Trees(tmp_path, "mkdir d; echo x > d/x", "echo y > d/x; echo n > d/n; mkdir m; echo m > m/m")
    sh(trees.here, f"rm -r d; ln -s '{outside}' d; ln -s '{outside}' m")
    assert trees.bring().conflicts == [b"d/n", b"d/x", b"m", b"m/m"]
    assert print_of(outside) == {}
    assert blocked(trees.here, b"d/x")
    assert not blocked(trees.here, b"none/x")


def test_a_file_keeps_its_permissions_save_whether_it_can_be_executed(tmp_path: Path) -> None:
    trees = Trees(
        tmp_path, "echo a > a; echo b > b; chmod 755 b", "echo A > a; chmod 755 a; chmod 644 b; echo n > n; chmod 640 n"
    )
    (trees.here / "a").chmod(0o640)
    (trees.here / "b").chmod(0o750)
    trees.bring()
    modes = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in trees.here.iterdir()}
    assert modes == {"a": "750", "b": "640", "n": "640"}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(b"odd \xff\nname")
    trees = Trees(tmp_path, "true", "true")
    (trees.there / odd).write_text("x")
    item = Item(os.fsencode(odd), None, scan(trees.there, go_on).manifest[os.fsencode(odd)].version)
    assert Item.from_json(item.to_json()) == item
    trees.items = [item]
    trees.bring()
    assert trees.same()


@pytest.mark.parametrize("path", [b"../out", b"/tmp/out", b"a/../../out", b".git/config", b"sub/.Git/hooks/pre-commit"])
def test_nothing_is_written_outside_or_into_a_repositorys_own_folder(tmp_path: Path, path: bytes) -> None:
    trees = Trees(tmp_path, "echo a > a", "echo A > a")
    (tmp_path / "out").write_text("theirs")
    trees.items.append(Item(path, None, "-0"))
    before = print_of(tmp_path)
    with pytest.raises(Damaged, match="would not write"):
        trees.bring()
    remove_traces(trees.items, trees.here)
    assert print_of(tmp_path) == before


@pytest.mark.parametrize(("path", "swapped"), [(b"d/x", "d"), (b"d/e/y", "d/e"), (b"z", "z")])
def test_nothing_is_read_through_a_link_that_was_put_there_meanwhile(tmp_path: Path, path: bytes, swapped: str) -> None:
    trees = Trees(tmp_path, "true", "mkdir -p d/e; echo x > d/x; echo y > d/e/y; echo z > z")
    sh(tmp_path, "mkdir -p ours/d/e; for f in d/x d/e/y z; do echo secret > ours/$f; done")
    sh(trees.there, f"rm -r {swapped}; ln -s {tmp_path}/ours/{swapped} {swapped}")
    trees.items = [item for item in trees.items if item.path == path]
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        trees.bring()
    assert "secret" not in sh(trees.here, "cat $(find . -type f) /dev/null")
    with suppress(NotADirectoryError):  # a link in the place of the file itself is kept as one
        kept = keep_archive(tmp_path / "state", "lease", trees.there, [path], (), go_on)
        assert sh(tmp_path, f"tar -tvzf {kept.where} changed/z").startswith("l")
