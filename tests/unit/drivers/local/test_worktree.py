"""Worktrees: what comes along, what they hold, and that the user's repository ends as it was."""

import os
import shutil
from pathlib import Path

import pytest
from bench import LEDGER, Bench, both, print_of, repository, sh
from leasehold.drivers import (
    Condition,
    Conflict,
    Gone,
    Mode,
    Problem,
    Refused,
    Stopped,
    TimedOut,
    Unusable,
    Workspace,
)
from leasehold.drivers.local import LocalConfig

ODD = b"odd \xff\nname"


def problems(bench: Bench, path: Path, branch: str | None = None) -> list[Problem]:
    workspace = Workspace(path, Mode.GIT_WORKTREE, branch)
    return bench.driver.validate(bench.request("lease", workspace), LocalConfig())


def make_dirty(repo: Path) -> None:
    """Every kind of uncommitted change at once."""
    sh(
        repo,
        """
        printf 'one\\nTWO\\nthree\\n' > a; git add a; printf 'one\\nTWO\\nthree\\nfour\\n' > a
        git rm -q b; rm sub/c; printf 'staged' > new; git add new
        head -c 5000 /dev/zero | tr '\\0' '\\376' > blob; chmod -x run.sh; ln -sf sub link
        printf 'added only' > intended; git add -N intended
        mkdir build; echo x > build/out; echo i > ignored; printf 'untracked' > 'an untracked file'
        """,
    )
    (repo / os.fsdecode(ODD)).write_bytes(b"odd")


STATUS = "git status --porcelain=v1 -uall"


async def test_a_life_without_changes_leaves_the_repository_byte_for_byte(bench: Bench, repo: Path) -> None:
    make_dirty(repo)
    before = print_of(repo)
    life = await bench.ready(repo)
    assert print_of(repo) != before, "the worktree is known to the repository while it stands"
    await life.run("echo x > ignored; mkdir -p build; echo y > build/z; git status >/dev/null; git diff >/dev/null")
    released = await life.release()
    assert (released.was_there, released.kept, released.notes) == (True, (), ())
    assert print_of(repo) == before
    assert bench.places() == set()


async def test_uncommitted_changes_of_tracked_files_come_along_staged_as_they_are(bench: Bench, repo: Path) -> None:
    make_dirty(repo)
    life = await bench.begin(repo)
    ours = [line for line in sh(repo, STATUS).splitlines() if not line.startswith("??")]
    intended = " A intended"
    assert life.sh(STATUS).splitlines() == [line for line in ours if line != intended] + ["?? intended"]
    assert life.sh("git diff HEAD --binary -- . ':!intended'") == sh(repo, "git diff HEAD --binary -- . ':!intended'")
    assert life.sh("git diff --cached --binary") == sh(repo, "git diff --cached --binary")
    assert (life.tree / "link").readlink() == Path("sub")
    assert not os.access(life.tree / "run.sh", os.X_OK)
    assert life.realization.summary == (
        f"worktree on leasehold/lease1 from {sh(repo, 'git rev-parse HEAD')[:10]}; "
        "carried over: 8 uncommitted changes; "
        "not carried over: 2 untracked files (--untracked takes them along)"
    )
    assert life.sh("git fsck --strict --no-dangling") == ""
    await life.release()


async def test_untracked_files_come_along_on_request_and_ignored_ones_never(bench: Bench, repo: Path) -> None:
    make_dirty(repo)
    (repo / "left out.log").write_text("x")
    life = await bench.begin(repo, untracked=True, excludes=("*.log",))
    names = {os.fsencode(path.name) for path in life.tree.iterdir()}
    assert {ODD, b"an untracked file"} <= names
    assert not names & {b"ignored", b"build", b"left out.log"}
    assert "carried over: 2 untracked files" in life.realization.summary
    assert (await life.release()).kept == ()


async def test_an_unresolved_merge_comes_along_as_its_files_stand(bench: Bench, repo: Path) -> None:
    sh(repo, "git switch -qc other; echo other > a; git commit -qam other; git switch -q main")
    sh(repo, "echo mine > a; git commit -qam mine; git merge other >/dev/null || true")
    before = print_of(repo)
    life = await bench.ready(repo)
    assert "<<<<<<<" in (life.tree / "a").read_text()
    await life.release()
    assert print_of(repo) == before


async def test_excluded_changes_stay_behind(bench: Bench, repo: Path) -> None:
    sh(repo, "echo x > sub/c; echo x > b; git add b")
    life = await bench.begin(repo, excludes=("sub/",))
    assert life.sh(STATUS) == "M  b"
    await life.release()


async def test_the_users_hooks_do_not_run(bench: Bench, repo: Path, tmp_path: Path) -> None:
    ran = tmp_path / "a hook ran"
    for hook in (
        "post-checkout",
        "pre-commit",
        "post-commit",
        "reference-transaction",
        "post-index-change",
        "post-merge",
    ):
        (repo / ".git/hooks" / hook).write_text(f"#!/bin/sh\necho {hook} >> '{ran}'\nexit 1\n")
        (repo / ".git/hooks" / hook).chmod(0o755)
    life = await bench.ready(repo)
    (life.tree / "a").write_text("changed")
    assert (await life.release()).kept
    assert not ran.exists()


async def test_a_hook_of_the_users_may_run_us(
    bench: Bench, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    before = print_of(other)
    life = await bench.ready(repo)
    assert life.realization.local["repository"] == str(repo)
    await life.release()
    assert print_of(other) == before


async def test_a_subfolder_stands_below_the_same_subfolder(bench: Bench, repo: Path) -> None:
    life = await bench.begin(repo / "sub")
    assert life.realization.cwd == str(bench.root / f"{LEDGER}-lease1-1/tree/sub")
    assert await life.run("cat c; ls ..") == "c\na\nb\nblob\nlink\nrun.sh\nsub\n"
    await life.release()


async def test_a_workspace_that_is_a_link_is_the_folder(bench: Bench, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repo)
    assert problems(bench, tmp_path / "link") == []
    life = await bench.begin(tmp_path / "link")
    assert life.realization.authoritative_root == str(repo)
    await life.release()


async def test_a_detached_head_is_a_start_like_another(bench: Bench, repo: Path) -> None:
    sh(repo, "git checkout -q --detach")
    before = print_of(repo)
    life = await bench.ready(repo)
    assert life.sh("git symbolic-ref HEAD") == "refs/heads/leasehold/lease1"
    await life.release()
    assert print_of(repo) == before


async def test_a_linked_worktree_is_a_workspace_like_another(bench: Bench, repo: Path, tmp_path: Path) -> None:
    sh(repo, f"git worktree add -q -b side '{tmp_path}/side'; echo side > '{tmp_path}/side/a'")
    before = print_of(repo), print_of(tmp_path / "side")
    life = await bench.ready(tmp_path / "side")
    assert (life.tree / "a").read_text() == "side\n"
    await life.release()
    assert (print_of(repo), print_of(tmp_path / "side")) == before


async def test_the_worktree_is_locked_with_the_lease_and_no_prune_takes_it(bench: Bench, repo: Path) -> None:
    life = await bench.begin(repo)
    assert "locked leasehold lease lease1" in sh(repo, "git worktree list --porcelain").splitlines()
    sh(repo, "git worktree prune; git gc -q --prune=now")
    assert life.sh("git rev-parse HEAD") == sh(repo, "git rev-parse HEAD")
    await life.release()


async def test_two_at_once_on_one_repository(bench: Bench, repo: Path) -> None:
    before = print_of(repo)
    lives = await both(*[bench.ready(repo) for _ in range(6)])
    assert len({life.tree for life in lives}) == 6
    await both(*[life.run("echo x > ignored") for life in lives])
    assert all(released.was_there for released in await both(*[life.release() for life in lives]))
    assert print_of(repo) == before


async def test_a_named_branch_is_worked_on_itself_and_stays(bench: Bench, repo: Path) -> None:
    sh(repo, "git branch feature; echo dirty > a")
    subjects = bench.driver.subjects(
        bench.request("lease1", Workspace(repo / "sub", Mode.GIT_WORKTREE, "feature")), LocalConfig()
    )
    assert subjects[0].startswith("branch:")
    assert subjects[0].endswith(f":{repo / '.git'}:feature")
    shared = bench.request("lease1", Workspace(repo, Mode.GIT_WORKTREE, "feature"), share=True)
    assert bench.driver.subjects(shared, LocalConfig()) == ()
    assert problems(bench, repo, "feature") == []
    life = await bench.ready(repo, branch="feature")
    assert (life.tree / "a").read_text() == "one\ntwo\nthree\n"
    assert problems(bench, repo, "feature") == [], "who holds it is the lease's to say"
    with pytest.raises(Refused, match="feature"):
        await bench.begin(repo, branch="feature")
    life.sh("echo more > a; git commit -qam more; echo loose > b")
    tip = life.sh("git rev-parse HEAD")
    report = await life.sync_back()
    assert (report.commits, report.branch, report.applied) == (1, "feature", 0)
    released = await life.release()
    assert [kept.where for kept in released.kept] == ["refs/leasehold/lease1"]
    assert sh(repo, "git diff --name-only refs/leasehold/lease1^ refs/leasehold/lease1") == "b"
    assert sh(repo, "git rev-parse feature") == tip
    assert (repo / "a").read_text() == "dirty\n"


async def test_commits_on_a_named_branch_alone_keep_nothing(bench: Bench, repo: Path) -> None:
    sh(repo, "git branch feature")
    life = await bench.ready(repo, branch="feature")
    life.sh("echo more > a; git commit -qam more")
    assert (await life.release()).kept == ()
    assert sh(repo, "git log --format=%s feature").splitlines() == ["more", "one"]


async def test_submodules_and_repositories_within_do_no_harm(bench: Bench, repo: Path, tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner")
    sh(repo, f"git -c protocol.file.allow=always submodule --quiet add '{inner}' module; git commit -qm module")
    sh(repo, "git init -q nested; echo n > nested/n; echo m > module/a")
    before = print_of(repo)
    life = await bench.ready(repo, untracked=True)
    assert (life.tree / "nested/n").read_text() == "n\n"
    assert (await life.release()).kept == ()
    assert print_of(repo) == before


async def test_what_a_run_makes_in_a_repository_of_its_own_is_kept_in_an_archive(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    life.sh("git init -q fresh; echo x > fresh/x; git -C fresh add x; git -C fresh commit -qm x; git init -q empty")
    kept = (await life.release()).kept
    assert [Path(one.where).name for one in kept] == ["lease1.tar.gz"]
    (bench.folder / "out").mkdir()
    sh(bench.folder / "out", f"{kept[0].how}; mv lease1/* .")
    assert sh(bench.folder / "out/fresh", "git log --format=%s; cat x") == "x\nx"


async def test_realizing_again_makes_anew_what_was_left(bench: Bench, repo: Path) -> None:
    before = print_of(repo)
    life = await bench.begin(repo)
    life.sh("echo half > a; echo junk > junk")
    await life.realize()
    assert life.sh(STATUS) == ""
    assert (await life.release()).kept == ()
    assert print_of(repo) == before


async def test_realizing_again_after_a_run_keeps_its_changes_first(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    life.sh("echo work > a")
    await life.realize()
    assert "earlier changes are kept in refs/leasehold/lease1" in life.realization.summary
    assert sh(repo, "git show refs/leasehold/lease1:a") == "work"
    await life.release()


async def test_a_branch_that_is_not_ours_is_no_place_to_begin(bench: Bench, repo: Path) -> None:
    sh(repo, "git branch leasehold/lease1")
    with pytest.raises(Conflict, match="leasehold/lease1"):
        await bench.begin(repo)
    assert sh(repo, "git branch --list 'leasehold/*'") == "  leasehold/lease1"


@pytest.mark.parametrize("gone", ["tree", "place"])
async def test_what_the_user_deleted_is_forgotten_by_the_repository(bench: Bench, repo: Path, gone: str) -> None:
    before = print_of(repo)
    life = await bench.ready(repo)
    place = bench.root / f"{LEDGER}-lease1-1"
    shutil.rmtree(place / "tree" if gone == "tree" else place)
    assert (await bench.driver.inspect(life.handle, life.context())).condition is Condition.GONE
    await life.release()
    assert print_of(repo) == before
    assert bench.places() == set()


@pytest.mark.parametrize("gone", ["tree", "place"])
async def test_commits_of_a_tree_that_the_user_deleted_are_kept(bench: Bench, repo: Path, gone: str) -> None:
    life = await bench.ready(repo)
    life.sh("echo work > a; git commit -qam work")
    place = bench.root / f"{LEDGER}-lease1-1"
    shutil.rmtree(place / "tree" if gone == "tree" else place)
    assert [kept.where for kept in (await life.release()).kept] == ["refs/leasehold/lease1"]
    assert sh(repo, "git show refs/leasehold/lease1:a") == "work"
    assert sh(repo, "git branch --list 'leasehold/*'") == ""
    assert sh(repo, "git worktree list | wc -l") == "1"


async def test_other_worktrees_of_the_user_are_left_alone(bench: Bench, repo: Path, tmp_path: Path) -> None:
    sh(repo, f"git worktree add -q -b side '{tmp_path}/tree'; rm -r '{tmp_path}/tree'")
    life = await bench.ready(repo)
    shutil.rmtree(bench.root / f"{LEDGER}-lease1-1")
    await life.release()
    assert f"worktree {tmp_path}/tree" in sh(repo, "git worktree list --porcelain").splitlines()


async def test_a_lost_repository_loses_no_work(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    (life.tree / "a").write_text("work")
    shutil.rmtree(repo)
    released = await life.release()
    assert released.notes == (f"the repository {repo / '.git'} is gone",)
    (bench.folder / "out").mkdir()
    sh(bench.folder / "out", f"{released.kept[0].how}; mv lease1/* .")
    assert (bench.folder / "out/a").read_text() == "work"
    assert bench.places() == set()


async def test_a_lost_workspace_is_told(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    sh(bench.folder, f"mv '{repo}' moved")
    with pytest.raises(Gone, match="checkout"):
        await life.sync_back()
    with pytest.raises(Unusable, match="is gone"):
        await life.realize()
    sh(bench.folder, f"mkdir '{repo}'")
    with pytest.raises(Unusable, match="no git repository"):
        await life.realize()


async def test_a_place_within_the_repository_is_not_carried_into_itself(bench: Bench, repo: Path) -> None:
    bench.config = LocalConfig(root=repo / "places")
    life = await bench.ready(repo, untracked=True)
    assert not (life.tree / "places").exists()
    assert (await life.release()).kept == ()


async def test_a_git_command_ends_by_the_deadline_and_on_a_stop(bench: Bench, repo: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > '{tmp_path}/pid'; exec sleep 600\n")
    slow.chmod(0o755)
    sh(repo, f"git config filter.slow.smudge \"'{slow}'\"; git config filter.slow.clean cat")
    sh(repo, "echo 'blob filter=slow' > .gitattributes; git add .gitattributes; git commit -qm slow")
    handle = await bench.acquire("lease1", Workspace(repo, Mode.GIT_WORKTREE))
    workspace = Workspace(repo, Mode.GIT_WORKTREE)
    with pytest.raises((TimedOut, Stopped)):
        await bench.driver.realize(handle, workspace, bench.context("lease1", seconds=1.0))
    sh(repo, "git config filter.slow.smudge cat")
    realization = await bench.driver.realize(handle, workspace, bench.context("lease1"))
    assert (Path(realization.cwd) / "blob").exists()


@pytest.mark.parametrize(
    ("script", "branch", "message"),
    [
        ("true", None, "is in no git repository: run git init there, or use the mode copy"),
        ("git init -q", None, "has no commit yet: make a first one"),
        ("git init -q --bare", None, "is no checkout: a bare repository or a .git folder: name a checkout"),
        ("git init -q -b main; git commit -q --allow-empty -m x", "nope", "has no branch nope: make it first"),
        ("git init -q -b main; git commit -q --allow-empty -m x", "main", "switch to another one there"),
    ],
)
def test_what_git_lacks_is_a_problem_seen_before(
    bench: Bench, tmp_path: Path, script: str, branch: str | None, message: str
) -> None:
    folder = tmp_path / "ws"
    folder.mkdir()
    sh(folder, script)
    before = print_of(folder)
    found = problems(bench, folder, branch)
    assert [problem.about for problem in found] == ["workspace"]
    assert found[0].message.endswith(message)
    assert "\n" not in found[0].message
    assert print_of(folder) == before


def test_without_git_it_is_said(bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert [problem.message for problem in problems(bench, repo)] == [
        "git is not installed: install git, or use the mode in_place or copy"
    ]
