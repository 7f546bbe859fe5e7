"""Removal of folders that others remove as well."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from leasehold.drivers.removal import remove_empty


def test_empty_folders_are_removed_up_to_the_top_by_many_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=20)
    kept = tmp_path / "top" / "kept"
    kept.mkdir(parents=True)
    (kept / "file").touch()

    def end(_: int) -> None:
        for turn in range(200):
            folder = tmp_path / "top" / f"{turn}" / "branches"
            folder.mkdir(parents=True, exist_ok=True)
            together.wait()
            remove_empty(folder, tmp_path / "top")
            together.wait()
            remove_empty(kept, tmp_path / "top")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(end, range(4)))
    assert [path.name for path in (tmp_path / "top").rglob("*")] == ["kept", "file"]
