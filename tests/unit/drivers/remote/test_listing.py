"""The list of a far tree, as shell text writes it and as it is read."""

import hashlib

import pytest
from leasehold.drivers.errors import Damaged
from leasehold.drivers.remote.listing import parse

ROW = b"81a4 3 12 2026-01-01 00:00:00.000000001 +0000 2026-01-01 00:00:00.000000001 +0000\n"


def said(*names: bytes, rows: bytes | None = None) -> bytes:
    data = b"".join(name + b"\0" for name in names)
    body = ROW * len(names) if rows is None else rows
    return data + b"\0" + body + hashlib.md5(data).hexdigest().encode() + b"  -\n"


def test_an_empty_tree_is_an_empty_list() -> None:
    assert parse(said()) == {}


def test_names_may_hold_anything() -> None:
    found = parse(said(b"./a", b"./b\nc", b"./d\xff"))
    assert found is not None
    assert list(found) == [b"a", b"b\nc", b"d\xff"]
    assert {facts.size for facts in found.values()} == {3}


def test_a_tree_that_changed_meanwhile_is_looked_at_again() -> None:
    assert parse(said(b"./a", b"./b", rows=ROW)) is None
    assert parse(said(b"./a").replace(b"./a", b"./b", 1)) is None


@pytest.mark.parametrize("name", [b"./../a", b"/etc/passwd", b"./a/../../b", b"./a//b"])
def test_a_path_out_of_the_tree_is_damage(name: bytes) -> None:
    with pytest.raises(Damaged, match="no path of its tree"):
        parse(said(name))


def test_what_is_no_list_is_damage() -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        parse(b"welcome to this host\n")


def test_special_files_are_known() -> None:
    found = parse(said(b"./pipe", rows=ROW.replace(b"81a4", b"11a4")))
    assert found is not None
    assert found[b"pipe"].special
