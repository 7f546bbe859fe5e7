"""What was kept and is over is removed, also by two leases at once."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import repository, sh
from leasehold.drivers.git import IDENTITY, Git
from leasehold.drivers.keeping import KEPT_FOR, remove_old_archives
from leasehold.drivers.local.kept_ref import REFS, remove_old_refs

MANY = 30


def old_refs(repo: Path) -> None:
    long_ago = f"{time.time() - KEPT_FOR - 60:.0f} +0000"
    sh(
        repo,
        f"""
        export GIT_COMMITTER_EMAIL={IDENTITY} GIT_COMMITTER_DATE='{long_ago}'
        kept=$(git commit-tree -m kept HEAD^{{tree}})
        for n in $(seq {MANY}); do git update-ref {REFS}lease$n $kept; done
        """,
    )


def test_refs_are_removed_by_two_at_once(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    old_refs(repo)
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(remove_old_refs, Git(repo, lambda: None)) for _ in range(2)]:
            done.result(60)
    remove_old_refs(Git(repo, lambda: None))
    assert sh(repo, f"git for-each-ref {REFS}") == ""


def test_a_ref_that_is_locked_is_left(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    old_refs(repo)
    sh(repo, "git pack-refs --all; touch .git/packed-refs.lock")
    remove_old_refs(Git(repo, lambda: None).under("core.packedRefsTimeout=0"))
    assert sh(repo, f"git for-each-ref {REFS} | wc -l") == str(MANY)


def test_archives_are_removed_by_two_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for number in range(2000):
        archive = folder / f"lease{number}.tar.gz"
        archive.touch()
        os.utime(archive, (0, 0))
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(remove_old_archives, tmp_path) for _ in range(4)]:
            done.result(60)
    assert list(folder.iterdir()) == []
