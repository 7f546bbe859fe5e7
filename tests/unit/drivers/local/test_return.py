"""Changes come back, three-way; what does not come back is kept; a torn return goes on."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Life, print_of, sh
from leasehold.drivers import Mode, ReleaseMode, SyncConflict, durable, sync
from leasehold.drivers.git import Git
from leasehold.drivers.local import git_return
from leasehold.drivers.local.kept_ref import KEPT_FOR

BOTH = pytest.mark.parametrize("mode", [Mode.GIT_WORKTREE, Mode.COPY])
ODD = os.fsdecode(b"odd \xff\nname")
STATUS = "git status --porcelain=v1 -uall -z | tr '\\0' '\\n'"


def change_all(tree: Path) -> None:
    """Every kind of change that a run can make."""
    sh(
        tree,
        """
        echo changed > a; chmod -x run.sh; chmod +x b; rm -r sub; ln -sf b link
        head -c 6000 /dev/zero | tr '\\0' '\\375' > blob; echo 'a new one' > 'new one'
        mkdir -p deep/er; echo d > deep/er/file; ln -s ../a deep/link
        echo x > ignored; mkdir -p build; echo x > build/x
        """,
    )
    (tree / ODD).write_text("odd")


def traces(repo: Path) -> list[str]:
    """What stands beside the user's files while one is written."""
    return [path for path in print_of(repo) if ".leasehold" in path]


def files(top: Path) -> dict[str, str]:
    """A tree without git's own and without what it ignores."""
    seen = print_of(top)
    return {path: facts for path, facts in seen.items() if path.split("/")[0] not in (".git", "build", "ignored")}


@BOTH
async def test_every_kind_of_change_comes_back(bench: Bench, repo: Path, mode: Mode) -> None:
    git_before = print_of(repo / ".git")
    life = await bench.ready(repo, mode)
    change_all(life.tree)
    report = await life.sync_back()
    assert files(repo) == files(life.tree)
    assert not {"sub", "ignored", "build"} & set(print_of(repo)), "an emptied folder goes too"
    assert (report.applied, report.deleted, report.commits, report.branch) == (9, 1, 0, None)
    assert report.summary == "9 files brought back; 1 file deleted"
    assert (await life.sync_back()).summary == "nothing to bring back"
    assert (await life.release()).kept == ()
    assert print_of(repo / ".git") == git_before
    assert traces(repo) == []


@BOTH
async def test_what_the_user_changed_elsewhere_stays(bench: Bench, repo: Path, mode: Mode) -> None:
    sh(repo, "echo dirty > b; echo mine > untracked; git add b")
    life = await bench.ready(repo, mode)
    sh(repo, "echo later > sub/c; rm blob; echo dirtier > b")
    life.sh("echo run > a")
    assert (await life.sync_back()).applied == 1
    assert sh(repo, "cat a sub/c b untracked") == "run\nlater\ndirtier\nmine"
    assert not (repo / "blob").exists()


@BOTH
async def test_what_provisioning_made_and_excludes_stay_behind(bench: Bench, repo: Path, mode: Mode) -> None:
    life = await bench.begin(repo, mode, excludes=("*.tmp", "cache/"))
    life.sh("echo provisioned > a; echo made > made; mkdir -p node; echo m > node/m; rm sub/c")
    await life.baseline()
    life.sh("echo run > b; echo more >> made; echo t > x.tmp; mkdir -p cache/d; echo c > cache/d/c")
    with pytest.raises(SyncConflict) as raised:
        await life.sync_back()
    assert raised.value.paths == ("made",), "it was made there and changed there, and is not here"
    assert sh(repo, "cat a b; git status --porcelain") == "one\ntwo\nthree\nrun\n M b"
    await life.release()


# What was sent, what the run did, what the user did: and what stands here then, or a conflict.
SENT = "printf 'sent' > f"
TABLE: list[tuple[str, str, str, str | None]] = [
    (SENT, "printf run > f", "true", "run"),
    (SENT, "printf run > f", "touch f", "run"),
    (SENT, "printf run > f", "printf run > f", "run"),
    (SENT, "printf run > f", "printf user > f", None),
    (SENT, "printf run > f", "rm f", None),
    (SENT, "printf run > f", "rm f; mkdir f; printf x > f/x", None),
    (SENT, "printf run > f", "rm f; mkdir f", None),
    (SENT, "printf run > f", "ln -sf a f", None),
    (SENT, "printf run > f", "chmod +x f", None),
    (SENT, "printf run > f", "rm f; mkfifo f", None),
    (SENT, "rm f", "true", ""),
    (SENT, "rm f", "rm f", ""),
    (SENT, "rm f", "printf user > f", None),
    (SENT, "chmod +x f", "true", "sent"),
    (SENT, "chmod +x f", "printf user > f", None),
    (SENT, "ln -sf a f", "true", "-> a"),
    (SENT, "ln -sf a f", "ln -sf a f", "-> a"),
    (SENT, "ln -sf a f", "ln -sf b f", None),
    (SENT, "rm f; mkdir f; printf x > f/f", "true", "f/f: x"),
    (SENT, "rm f; mkdir f; printf x > f/f", "printf user > f", None),
    ("ln -s a f", "ln -sf b f", "true", "-> b"),
    ("ln -s a f", "rm f; printf run > f", "true", "run"),
    ("mkdir f; printf s > f/f", "rm -r f; printf run > f", "true", "run"),
    ("mkdir f; printf s > f/f", "rm -r f; printf run > f", "printf mine > f/mine", None),
    ("mkdir f; printf s > f/f", "printf run > f/f", "rm -r f; ln -s sub f", None),
    ("true", "printf run > f", "true", "run"),
    ("true", "printf run > f", "printf run > f", "run"),
    ("true", "printf run > f", "printf user > f", None),
    ("true", "mkdir f; printf run > f/f", "printf user > f", None),
    ("true", "mkdir f; printf run > f/f", "ln -s sub f", None),
    ("true", "mkdir f; printf run > f/f", "mkdir f; printf user > f/g", "f/f: run"),
]


def stands(repo: Path) -> str:
    path = repo / "f"
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if path.is_dir():
        return f"f/f: {(path / 'f').read_text()}"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("mode", [Mode.GIT_WORKTREE, Mode.COPY, None])
@pytest.mark.parametrize(("sent", "run", "user", "here"), TABLE)
async def test_three_ways(
    bench: Bench, repo: Path, mode: Mode | None, sent: str, run: str, user: str, here: str | None
) -> None:
    sh(repo, f"{sent}; git add -A; git commit -q --allow-empty -m sent")
    if mode is None:
        sh(repo, "rm -r .git .gitignore")
    life = await bench.ready(repo, mode or Mode.COPY)
    life.sh(f"{run}; printf other > other")
    untouched = print_of(repo)
    sh(repo, user)
    mine = {path: facts for path, facts in print_of(repo).items() if untouched.get(path) != facts}
    if here is not None:
        await life.sync_back()
        assert stands(repo) == here
        assert (await life.release()).kept == ()
    else:
        with pytest.raises(SyncConflict) as raised:
            await life.sync_back()
        assert {path.split("/")[0] for path in raised.value.paths} == {"f"}
        after = print_of(repo)
        assert {path: after.get(path) for path in mine} == mine
        kept = (await life.release()).kept
        assert len(kept) == 1
        assert kept[0].where in str(raised.value)
        if mode is not None and run != "rm f":
            listed = sh(repo, f"git ls-tree -r --name-only {kept[0].where}")
            assert "f" in {line.split("/")[0] for line in listed.splitlines()}
    assert (repo / "other").read_text() == "other", "what is in no conflict comes back all the same"
    assert traces(repo) == []


async def commits(life: Life) -> str:
    life.sh(
        """
        echo one > a; git commit -qm first a
        git rm -q sub/c; echo new > made; git add made; git commit -qm second made sub/c
        """
    )
    return life.sh("git rev-parse HEAD")


@BOTH
async def test_commits_are_fast_forwarded(bench: Bench, repo: Path, mode: Mode) -> None:
    sh(repo, "echo loose > b; echo untracked > mine; chmod +x blob; git add blob")
    life = await bench.ready(repo, mode)
    tip = await commits(life)
    life.sh("echo on top > made; echo fresh > fresh")
    report = await life.sync_back()
    assert (report.commits, report.branch) == (2, None)
    assert report.summary == "3 files brought back; 1 file deleted; 2 commits fast-forwarded"
    assert sh(repo, "git rev-parse HEAD; git symbolic-ref HEAD") == f"{tip}\nrefs/heads/main"
    assert sh(repo, STATUS).splitlines() == [" M b", "M  blob", " M made", "?? fresh", "?? mine"]
    assert sh(repo, "cat a b made fresh mine") == "one\nloose\non top\nfresh\nuntracked"
    assert sh(repo, "git log -1 --format=%an") == "User"
    assert (await life.release()).kept == ()
    assert sh(repo, "git branch --list 'leasehold/*'; git fsck --no-dangling") == ""


@BOTH
@pytest.mark.parametrize(
    "meanwhile",
    [
        "git commit -q --allow-empty -m moved",
        "git switch -qc elsewhere",
        "git checkout -q --detach",
        "echo dirty > a",
        "echo dirty > a; git add a; git show HEAD:a > a",
        "echo mine > made",
    ],
)
async def test_commits_that_cannot_be_fast_forwarded_stay_on_a_branch(
    bench: Bench, repo: Path, mode: Mode, meanwhile: str
) -> None:
    life = await bench.ready(repo, mode)
    tip = await commits(life)
    life.sh("echo on top > made; echo fresh > fresh")
    sh(repo, meanwhile)
    before = sh(repo, f"git rev-parse HEAD; {STATUS}; cat a sub/c")
    report = await life.sync_back()
    assert (report.commits, report.branch) == (2, "leasehold/lease1")
    assert "2 commits on the branch leasehold/lease1" in report.summary
    assert sh(repo, "cat fresh; rm fresh") == "fresh"
    assert sh(repo, f"git rev-parse HEAD; {STATUS}; cat a sub/c") == before
    assert sh(repo, "git log --format=%s leasehold/lease1 | head -3").splitlines() == [
        "leasehold: uncommitted changes of lease lease1",
        "second",
        "first",
    ]
    assert sh(repo, "git rev-parse leasehold/lease1^; git show leasehold/lease1:made") == f"{tip}\non top"
    assert (await life.release()).kept == ()
    assert sh(repo, "git rev-parse --abbrev-ref leasehold/lease1") == "leasehold/lease1"
    sh(repo, "git stash -q -u; git merge -q -m merged leasehold/lease1")


async def test_commits_on_a_branch_of_the_runs_own_are_there_already(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    life.sh("git switch -qc feature; echo f > a; git commit -qam f; echo loose > b")
    report = await life.sync_back()
    assert (report.commits, report.branch, report.applied) == (1, "feature", 1)
    assert (await life.release()).kept == ()
    assert sh(repo, "git branch --format='%(refname:short)'").split() == ["feature", "main"]


async def test_an_amended_commit_of_the_users_is_no_fast_forward(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    life.sh("echo x > a; git commit -qa --amend -m amended")
    report = await life.sync_back()
    assert report.branch == "leasehold/lease1"
    assert sh(repo, "git log --format=%s main; cat a") == "one\none\ntwo\nthree"


@BOTH
async def test_changes_that_were_not_brought_back_are_kept_and_the_command_restores_them(
    bench: Bench, repo: Path, mode: Mode
) -> None:
    sh(repo, "echo dirty > b; echo mine > untracked")
    life = await bench.ready(repo, mode)
    change_all(life.tree)
    expected = files(life.tree)
    released = await life.release()
    assert [kept.where for kept in released.kept] == ["refs/leasehold/lease1"]
    assert abs(released.kept[0].until - KEPT_FOR - time.time()) < 3600
    assert bench.places() == set()
    sh(repo, f"{released.kept[0].how} | git apply")
    expected["untracked"] = files(repo)["untracked"]
    assert files(repo) == expected
    assert sh(repo, "git fsck --strict --no-dangling; git worktree list | wc -l") == "1"


@BOTH
async def test_commits_that_were_not_brought_back_are_kept(bench: Bench, repo: Path, mode: Mode) -> None:
    life = await bench.ready(repo, mode)
    tip = await commits(life)
    if mode is Mode.COPY:
        life.sh("git switch -qc side; echo s > s; git add s; git commit -qm side; git switch -q main; git stash list")
    released = await life.release()
    assert [kept.where for kept in released.kept] == ["refs/leasehold/lease1"]
    assert tip in sh(repo, "git rev-list refs/leasehold/lease1").splitlines()
    if mode is Mode.COPY:
        assert "side" in sh(repo, "git log --format=%s refs/leasehold/lease1").splitlines()
    assert sh(repo, "git branch --list 'leasehold/*'; git status --porcelain") == ""
    sh(repo, f"{released.kept[0].how} | git apply")
    assert sh(repo, "cat a made") == "one\nnew"


@BOTH
async def test_without_a_baseline_what_differs_from_what_was_realized_is_kept(
    bench: Bench, repo: Path, mode: Mode
) -> None:
    life = await bench.begin(repo, mode)
    life.sh("echo work > a")
    assert len((await life.release()).kept) == 1
    assert sh(repo, "git show refs/leasehold/lease1:a") == "work"


@BOTH
async def test_what_a_run_closed_for_reading_is_kept_all_the_same(bench: Bench, repo: Path, mode: Mode) -> None:
    life = await bench.ready(repo, mode)
    life.sh("echo new > sub/c; mkdir sub/d; echo x > sub/d/x; echo y > a; chmod 000 a sub/d/x sub/d sub")
    await life.release()
    assert sh(repo, "git show refs/leasehold/lease1:a refs/leasehold/lease1:sub/d/x") == "y\nx"


@BOTH
async def test_a_kept_place_keeps_its_changes_when_it_ends(bench: Bench, repo: Path, mode: Mode) -> None:
    life = await bench.ready(repo, mode)
    life.sh("echo work > a")
    released = await life.release(ReleaseMode.KEEP)
    assert released.kept == ()
    assert sh(bench.folder, f"{released.open_with}; cat a") == "work"
    assert len((await life.release()).kept) == 1


@BOTH
async def test_refs_whose_time_is_over_go_with_the_next_lease(bench: Bench, repo: Path, mode: Mode) -> None:
    old, mine = "refs/leasehold/old", "refs/leasehold/mine"
    sh(repo, f"git update-ref {mine} HEAD")
    dates = "GIT_COMMITTER_DATE='@1000000000 +0000' GIT_COMMITTER_EMAIL=leasehold@localhost"
    sh(repo, f"git update-ref {old} $({dates} git commit-tree -m old HEAD^{{tree}})")
    await (await bench.ready(repo, mode)).release()
    assert sh(repo, "git for-each-ref --format='%(refname)' refs/leasehold") == mine


class Torn(RuntimeError):
    """Where a test ends a return."""


def always(*_: Any) -> bool:
    return True


def mutates(_: Git, verb: str, *__: Any) -> bool:
    return verb in ("read-tree", "update-ref", "unpack-objects", "update-index")


def ends_a_plan(path: Path, *_: Any) -> bool:
    return path.name == "sync.json"


def tear_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], bool]:
    """Have the return die at its n-th step that writes anything. Says whether it did."""
    steps = iter(range(1, 10_000))
    torn: list[str] = []

    def count(name: str) -> None:
        if next(steps) == step:
            torn.append(name)
            raise Torn(name)

    def before(owner: Any, name: str, writes: Callable[..., bool] = always) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **fields: Any) -> Any:
            if writes(*args):
                count(name)
            return original(*args, **fields)

        monkeypatch.setattr(owner, name, call)

    before(sync, "_write")
    before(sync, "_delete")
    before(durable, "write_whole")
    before(Path, "replace")
    before(Path, "unlink", ends_a_plan)
    before(Git, "run", mutates)
    return lambda: bool(torn)


@pytest.mark.parametrize(
    "mode",
    [pytest.param(Mode.GIT_WORKTREE, marks=pytest.mark.long), pytest.param(Mode.COPY, marks=pytest.mark.long), None],
)
async def test_a_return_that_is_torn_at_any_step_goes_on(
    bench: Bench, repo: Path, mode: Mode | None, tmp_path: Path
) -> None:
    if mode is None:
        sh(repo, "rm -r .git")
    sh(repo, f"cp -a . '{tmp_path}/original'")
    step, torn = 0, True
    while torn:
        step += 1
        sh(repo, f"find . -mindepth 1 -delete; cp -a '{tmp_path}/original/.' .")
        life = await bench.ready(repo, mode or Mode.COPY)
        if mode is not None:
            await commits(life)
        life.sh("echo run > b; chmod +x blob; rm -f sub/c link; mkdir -p x; echo x > x/y; ln -s a x/l")
        with pytest.MonkeyPatch.context() as patch:
            was_torn = tear_at(patch, step)
            with suppress(Torn):
                await life.sync_back()
            torn = was_torn()
        await life.sync_back()
        seen = files(repo)
        assert seen == files(life.tree)
        if mode is not None:
            assert sh(repo, "git log -1 --format=%s; git diff --cached --name-only") == "second"
        assert (await life.release()).kept == ()
        assert traces(repo) == []
    assert step > 8


async def test_a_torn_return_leaves_nothing_beside_the_users_files(
    bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await bench.ready(repo)
    life.sh("echo run > a")

    real, remove = Path.replace, Path.unlink

    def die(path: Path, to: Path) -> Path:
        if path.parent == repo:
            raise Torn(path.name)
        return real(path, to)

    def stay(path: Path, missing_ok: bool = False) -> None:  # as where the process is killed
        if path.parent != repo:
            remove(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", stay)
        with pytest.raises(Torn):
            await life.sync_back()
    assert traces(repo)
    assert len((await life.release()).kept) == 1
    assert traces(repo) == []
    assert sh(repo, "git status --porcelain") == ""


async def test_a_file_that_changes_while_others_come_back_is_seen(
    bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await bench.ready(repo)
    life.sh("echo run > a; echo run > b")
    real = git_return.bring

    def bring(items: Any, source: Path, dest: Path, identify: Any, check: Any, *, prune: bool) -> Any:
        def asked(paths: Any) -> Any:
            found = identify(paths)
            if len(paths) > 1:
                (dest / "b").write_text("the user")
            return found

        return real(items, source, dest, asked, check, prune=prune)

    monkeypatch.setattr(git_return, "bring", bring)
    with pytest.raises(SyncConflict) as raised:
        await life.sync_back()
    assert raised.value.paths == ("b",)
    assert sh(repo, "cat a b") == "run\nthe user"


async def test_a_conflict_that_the_user_solves_comes_to_an_end(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    life.sh("echo run > a; echo run > b")
    sh(repo, "echo mine > a")
    for _ in range(2):
        with pytest.raises(SyncConflict, match="refs/leasehold/lease1") as raised:
            await life.sync_back()
        assert raised.value.paths == ("a",)
        assert "diff --binary" in raised.value.hint
    sh(repo, "git show refs/leasehold/lease1:a > a")
    await life.sync_back()
    assert (await life.release()).kept == ()


async def test_a_line_of_a_mode_without_git(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/f").write_text("f")
    life = await bench.ready(tmp_path / "plain", Mode.IN_PLACE)
    assert (await life.sync_back()).summary == "the workspace was used in place: nothing to bring back"
    await life.release()
