# ruff: noqa: PTH101, PTH103, PTH120, PTH123, PTH211
"""What a place sends is unpacked guardedly: nothing outside, nothing unasked, no device."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leasehold.drivers.errors import Damaged, Unavailable
from leasehold.drivers.keeping import keep_members
from leasehold.drivers.remote.admission import leads_out
from leasehold.drivers.remote.receiving import Receiving
from leasehold.drivers.remote.sending import tar_chunks

ODD = [b"line\nbreak", b"no\xfftext", b"-dash", b"long/" + b"n" * 180, b"a/b/c"]


def member(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    facts = tarfile.TarInfo(name)
    facts.type, facts.size, facts.linkname = kind, len(data), link
    return facts, data


def stream(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for facts, data in members:
            tar.addfile(facts, io.BytesIO(data))
    return io.BytesIO(buffer.getvalue())


def receive(top: Path, data: io.BytesIO, *asked: bytes, most: int = 1 << 30, links: bool = True) -> Receiving:
    receiving = Receiving(top, frozenset(asked), check=lambda: None, link=lambda path, text: links, most=most)
    receiving.run(data)
    return receiving


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "a//b/../../../out"])
def test_a_path_that_leads_out_is_refused(top: Path, name: str) -> None:
    with pytest.raises(Damaged, match="leads out"):
        receive(top, stream(member(name, data=b"x")), name.encode())
    assert list(top.iterdir()) == []
    assert not (top.parent / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_or_a_pipe_is_refused(top: Path, kind: bytes) -> None:
    with pytest.raises(Damaged, match="a device or a pipe"):
        receive(top, stream(member("a", kind)), b"a")
    assert list(top.iterdir()) == []


def test_what_nobody_asked_for_is_refused(top: Path) -> None:
    with pytest.raises(Damaged, match="nobody asked"):
        receive(top, stream(member("a", data=b"x"), member("b", data=b"x")), b"a")


def test_more_than_the_limit_is_refused(top: Path) -> None:
    with pytest.raises(Damaged, match="more than"):
        receive(top, stream(member("a", data=b"x" * 100)), b"a", most=99)


@pytest.fixture
def small(tmp_path: Path, require: Callable[[str], str]) -> Iterator[Path]:
    """A small file system of its own."""
    require("mount")
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True, timeout=30)
    yield path
    subprocess.run(["umount", "-l", path], check=True, timeout=30)


def test_a_disk_is_not_filled_up(small: Path) -> None:
    with pytest.raises(Unavailable, match=r"no room here for what the place sends: b has 0\.7 MB"):
        receive(small / "tree", stream(member("a", data=bytes(400_000)), member("b", data=bytes(700_000))), b"a", b"b")
    assert [path.name for path in (small / "tree").iterdir()] == ["a"]


def test_an_archive_that_the_disk_has_no_room_for_leaves_nothing(small: Path) -> None:
    facts, data = member("a", data=os.urandom(2_000_000))
    with pytest.raises(OSError, match="No space"):
        keep_members(small, "lease", [(facts, io.BytesIO(data))], [])
    assert list((small / "kept").iterdir()) == []


def test_a_stream_that_is_cut_short_is_no_whole_one(top: Path) -> None:
    data = stream(member("a", data=b"x" * 4000)).getvalue()[:2000]
    with pytest.raises(Unavailable, match="too early"):
        receive(top, io.BytesIO(data), b"a")


def test_nothing_is_written_through_a_link(top: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    members = (member("a", tarfile.SYMTYPE, link="../elsewhere"), member("a/b", data=b"x"))
    receive(top, stream(*members), b"a", b"a/b")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (top / "a" / "b").read_bytes() == b"x"


def test_a_hard_link_is_the_file_that_came_before(top: Path) -> None:
    receive(top, stream(member("a", data=b"x"), member("b", tarfile.LNKTYPE, link="a")), b"a", b"b")
    assert (top / "b").read_bytes() == b"x"
    with pytest.raises(Damaged, match="what it did not send"):
        receive(top, stream(member("c", tarfile.LNKTYPE, link="../../etc/passwd")), b"c")


def test_another_name_of_a_link_is_a_link(top: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ours")
    members = (member("a", tarfile.SYMTYPE, link="../secret"), member("b", tarfile.LNKTYPE, link="a"))
    receive(top, stream(*members), b"a", b"b")
    assert (top / "b").readlink() == Path("../secret")
    receive(top, stream(*members), b"a", b"b", links=False)


def test_another_name_of_a_file_leads_through_no_link(top: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("ours")
    folder = (member("d/x", data=b"theirs"), member("d", tarfile.SYMTYPE, link=".."))
    with pytest.raises(Damaged, match="what it did not send"):
        receive(top, stream(*folder, member("b", tarfile.LNKTYPE, link="d/x")), b"d/x", b"d", b"b")
    assert not (top / "b").exists()


def test_kinds_make_way_for_each_other(top: Path) -> None:
    receive(top, stream(member("a/b", data=b"x"), member("c", data=b"y")), b"a/b", b"c")
    receive(top, stream(member("a", data=b"file"), member("c/d", data=b"z")), b"a", b"c/d")
    assert (top / "a").read_bytes() == b"file"
    assert (top / "c" / "d").read_bytes() == b"z"


def test_what_is_sent_by_us_is_received_as_it_was(tmp_path: Path, top: Path) -> None:
    source = os.fsencode(tmp_path / "source")
    for number, name in enumerate(ODD):
        path = source + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"%d" % number * 3000 * number)
        os.chmod(path, 0o755 if number % 2 else 0o640)
    os.symlink(b"a/b/c", source + b"/link")
    asked = [*ODD, b"link", b"long", b"a", b"a/b"]
    none: Callable[..., None] = lambda *_: None  # noqa: E731
    data = b"".join(tar_chunks(tmp_path / "source", asked, none, none))
    receiving = receive(top, io.BytesIO(data), *asked)
    assert receiving.received == set(asked)
    for number, name in enumerate(ODD):
        path = top / os.fsdecode(name)
        assert path.read_bytes() == b"%d" % number * 3000 * number
        assert path.stat().st_mode & 0o777 == (0o755 if number % 2 else 0o640)
    assert (top / "link").readlink() == Path("a/b/c")


@pytest.mark.parametrize(
    ("path", "text", "out"),
    [
        (b"a", b"b", False),
        (b"a/b", b"../c", False),
        (b"a/b", b"../../c", True),
        (b"a", b"/etc", True),
        (b"a", b"..", True),
        (b"a", b"b/../..", True),
        (b"a/b", b"./../c/d", False),
        (b"a/b/c", b"../../d", False),
        (b"a", b"b/../c", True),
        (b"a/b/c", b".././../../d", True),
        (b"a", b".", False),
    ],
)
def test_a_link_out_of_the_tree_is_known(path: bytes, text: bytes, out: bool) -> None:
    assert leads_out(path, text) is out
