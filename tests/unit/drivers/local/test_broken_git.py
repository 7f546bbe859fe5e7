"""What a run does to its own repository: the place ends all the same, and nothing of the work is lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, kept_file, sh
from leasehold.drivers import Mode, Released, ReleaseMode, SyncConflict
from leasehold.drivers.local import place as place_module

BOTH = pytest.mark.parametrize("mode", [Mode.COPY, Mode.GIT_WORKTREE])


def holding(repo: Path, released: Released, name: str) -> set[str | None]:
    """What all that was kept holds under a name."""
    return {kept_file(repo, kept, name) for kept in released.kept} - {None}


@BOTH
@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf .git",
        "rm -rf .git; git init -q",
        "rm -rf .git; git init -q; git add -A; git commit -qm other; echo later > made",
        "rm -rf .git; mkdir .git; echo torn > .git/HEAD",
    ],
)
async def test_a_repository_that_was_removed_or_made_anew(bench: Bench, repo: Path, mode: Mode, harm: str) -> None:
    life = await bench.ready(repo, mode)
    life.sh(f"echo mine > b; git commit -qam mine; echo work > a; echo new > made; {harm}")
    released = await life.release()
    assert holding(repo, released, "a") >= {"work"}
    assert holding(repo, released, "made") & {"new", "later"}
    if mode is Mode.GIT_WORKTREE:
        assert holding(repo, released, "b") == {"mine"}
        assert any(
            "mine" in sh(repo, f"git log --format=%s {kept.where}") for kept in released.kept if "refs/" in kept.where
        )
    assert bench.places() == set()
    assert (
        sh(repo, "git fsck --strict --no-dangling; git worktree list | wc -l; git branch --list 'leasehold/*'") == "1"
    )
    assert released.notes or mode is Mode.COPY


@BOTH
async def test_a_tree_without_its_repository_belongs_to_none_around_it(
    bench: Bench, repo: Path, tmp_path: Path, mode: Mode
) -> None:
    sh(tmp_path, "git init -q; echo '*' > .gitignore")
    life = await bench.ready(repo, mode)
    life.sh("echo work > a; rm -rf .git")
    assert holding(repo, await life.release(), "a") == {"work"}


async def test_a_copy_that_was_pruned_still_compares(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo, Mode.COPY)
    life.sh(
        "echo amended > b; git commit -qa --amend -m amended; git reflog expire --expire=all --all;"
        " git gc -q --prune=now; echo work > a"
    )
    released = await life.release()
    assert (released.notes, [kept.where for kept in released.kept]) == ((), ["refs/leasehold/lease1"])
    assert kept_file(repo, released.kept[0], "a") == "work"
    assert "amended" in sh(repo, "git log --format=%s refs/leasehold/lease1; git fsck --strict --no-dangling")


async def test_tags_of_anything_are_kept(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo, Mode.COPY)
    life.sh(
        "echo held | git hash-object -w --stdin > blob-id; git tag held $(cat blob-id); rm blob-id;"
        " git tag -a -m nested annotated held; git tag tree 'HEAD^{tree}'; git tag -a -m words words;"
        " git commit -q --allow-empty -m only; git tag -a -m last last; git reset -q --hard HEAD^"
    )
    released = await life.release()
    assert released.notes == ()
    [kept] = released.kept
    log = sh(repo, f"git log --format=%s {kept.where}").splitlines()
    assert "only" in log
    assert "leasehold: what a ref of the run's holds" in log
    assert "held" in sh(repo, f"git log --format= -p --all {kept.where}")
    assert sh(repo, "git fsck --strict --no-dangling; git tag") == ""


async def test_what_a_conflict_has_kept_is_kept_again_once_it_is_gone(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo, Mode.COPY)
    life.sh("echo run > a")
    sh(repo, "echo user > a")
    with pytest.raises(SyncConflict):
        await life.sync_back()
    sh(repo, "git update-ref -d refs/leasehold/lease1")
    [kept] = (await life.release()).kept
    assert kept_file(repo, kept, "a") == "run"


async def test_what_is_kept_already_is_kept_for_its_whole_time_again(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo, Mode.COPY)
    life.sh("echo run > a")
    sh(repo, "echo user > a")
    with pytest.raises(SyncConflict):
        await life.sync_back()
    old = "GIT_COMMITTER_DATE='@1000000000 +0000' GIT_COMMITTER_EMAIL=leasehold@localhost"
    sh(
        repo,
        f"{old} git update-ref refs/leasehold/lease1"
        f" $({old} git commit-tree -p refs/leasehold/lease1^ -m aged refs/leasehold/lease1^{{tree}})",
    )
    [kept] = (await life.release()).kept
    await (await bench.ready(repo)).release()  # refs whose time is over go here
    assert (kept.where, kept_file(repo, kept, "a")) == ("refs/leasehold/lease1", "run")
    assert sh(repo, f"{kept.how} --name-only") == "a"


async def test_an_archive_that_a_conflict_made_is_kept_again_once_it_is_gone(bench: Bench, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a").write_text("a\n")
    life = await bench.ready(plain, Mode.COPY)
    (life.tree / "a").write_text("run\n")
    (plain / "a").write_text("user\n")
    with pytest.raises(SyncConflict):
        await life.sync_back()
    shutil.rmtree(bench.state / "kept")
    [kept] = (await life.release()).kept
    assert kept_file(plain, kept, "a") == "run"


async def test_more_that_is_changed_after_a_conflict_is_kept_too(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo, Mode.COPY)
    life.sh("echo run > a")
    sh(repo, "echo user > a")
    with pytest.raises(SyncConflict):
        await life.sync_back()
    life.sh(
        "git stash -q; echo s > s; git add s; git commit -qm side; git branch side;"
        " git reset -q --hard HEAD^; git stash pop -q"
    )
    kept = (await life.release()).kept
    assert any("side" in sh(repo, f"git log --format=%s {one.where}").splitlines() for one in kept)


async def test_commits_that_came_back_stay_though_the_removal_was_torn(
    bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await bench.ready(repo)
    life.sh("echo work > a; git commit -qam work")
    sh(repo, "git commit -q --allow-empty -m moved")
    assert (await life.sync_back()).branch == "leasehold/lease1"
    remove = place_module.remove_tree

    def torn(path: Path, *args: Any) -> None:
        remove(path, *args)
        if path.name == "baseline.json":
            raise RuntimeError("torn")

    with monkeypatch.context() as patched:
        patched.setattr(place_module, "remove_tree", torn)
        with pytest.raises(RuntimeError, match="torn"):
            await life.release()
    assert (await life.release(ReleaseMode.DESTROY)).kept == ()
    assert sh(repo, "git show leasehold/lease1:a") == "work"
    assert sh(repo, "git for-each-ref refs/leasehold") == ""
