"""A file is written whole or not at all, whatever its name, and nothing stays beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from leasehold.drivers.durable import write_whole
from leasehold.drivers.local.target import copy_to

LONGEST = "n" * 255


def copied(dest: Path, data: bytes) -> None:
    source = dest.parent.with_name("source")
    source.write_bytes(data)
    copy_to(source, dest)


@pytest.mark.parametrize("write", [write_whole, copied])
def test_the_longest_name_can_be_written_and_nothing_stays_beside(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for data in (b"one", b"two"):
        write(folder / LONGEST, data)
        assert (folder / LONGEST).read_bytes() == data
    assert [path.name for path in folder.iterdir()] == [LONGEST]


@pytest.mark.parametrize("write", [write_whole, copied])
def test_what_fails_leaves_nothing_beside(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "name" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write(folder / "name", b"one")
    assert [path.name for path in folder.iterdir()] == ["name"]
