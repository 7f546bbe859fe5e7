"""Copies: what comes along and what must not, and what is kept of them."""

import json
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, print_of, repository, sh
from leasehold.drivers import Gone, Mode, Stopped, SyncConflict, TimedOut, Unusable, Workspace
from leasehold.drivers.local import LocalConfig

ODD = os.fsdecode(b"odd \xff\nname")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder that is no repository."""
    folder = tmp_path / "plain folder"
    folder.mkdir()
    sh(
        folder,
        """
        echo a > a; echo x > run.sh; chmod 750 run.sh; mkdir -p sub/empty; echo c > sub/c; ln -s /etc/hostname out
        ln -s nowhere dangling; chmod 700 sub; touch -d '2001-02-03 04:05:06.789' a
        """,
    )
    (folder / ODD).write_bytes(b"odd")
    return folder


async def test_a_copy_has_modes_times_links_and_git(bench: Bench, plain: Path, repo: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    assert print_of(life.tree) == print_of(plain)
    assert (life.tree / "a").stat().st_mtime_ns == (plain / "a").stat().st_mtime_ns
    await life.release()
    life = await bench.ready(repo, Mode.COPY)
    assert await life.run("git log --format=%s; git status --porcelain") == "one\n"
    before = print_of(repo)
    life.sh("git branch other; git tag t; git config user.name x")
    assert print_of(repo) == before
    await life.release()


async def test_what_is_excluded_or_no_file_stays_behind_and_is_named(bench: Bench, plain: Path) -> None:
    sh(plain, "mkfifo pipe; mkdir -p node_modules/x sub/node_modules; echo l > x.log; mkdir deep; echo l > deep/x.log")
    life = await bench.ready(plain, Mode.COPY, excludes=("node_modules", "/x.log"))
    gone = {"pipe", "node_modules", "node_modules/x", "sub/node_modules", "x.log"}
    assert set(print_of(plain)) - set(print_of(life.tree)) == gone
    assert "sockets, pipes and devices are not copied: pipe" in life.realization.summary
    assert (await life.release()).kept == ()


async def test_a_copy_leads_into_no_other_repository(bench: Bench, repo: Path, tmp_path: Path) -> None:
    sh(repo, f"git worktree add -q -b side '{tmp_path}/side'")
    life = await bench.ready(tmp_path / "side", Mode.COPY)
    assert not (life.tree / ".git").exists()
    assert "not copied, for it names a repository elsewhere: .git" in life.realization.summary
    life.sh("echo x > a; echo i > ignored; git init -q; git add -A; rm -r .git")
    await life.sync_back()
    assert sh(tmp_path / "side", "git status --porcelain") == " M a"
    await life.release()
    sh(tmp_path / "side", "git checkout -q .")
    assert not (tmp_path / "side/ignored").exists(), "what git ignores stays behind, also without a .git there"
    before = print_of(repo)
    life = await bench.ready(repo, Mode.COPY)
    assert "side" not in await life.run("git worktree list")
    await life.release()
    assert print_of(repo) == before


async def test_a_submodule_in_a_copy_is_the_copys_own(bench: Bench, repo: Path, tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner")
    sh(repo, f"git -c protocol.file.allow=always submodule --quiet add '{inner}' module; git commit -qm module")
    before = print_of(repo)
    life = await bench.ready(repo, Mode.COPY)
    life.sh("cd module; echo x > a; git commit -qam inner")
    assert print_of(repo) == before
    report = await life.sync_back()
    assert report.summary == "submodules left as they are: module"
    life.sh("cd module; echo y > a")
    assert len((await life.release()).kept) == 1


async def test_a_place_within_the_workspace_is_not_copied_into_itself(bench: Bench, plain: Path) -> None:
    bench.config = LocalConfig(root=plain / "places")
    life = await bench.ready(plain, Mode.COPY)
    assert not (life.tree / "places").exists()
    life.sh("echo more > a")
    assert (await life.sync_back()).summary == "1 file brought back"
    await life.release()


async def test_folders_come_back_too(bench: Bench, plain: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    life.sh("rmdir sub/empty; mkdir -p fresh/empty; rm -r sub; echo x > run.sh; chmod 600 run.sh; rm dangling")
    report = await life.sync_back()
    assert {path: facts for path, facts in print_of(plain).items() if path != "run.sh"} == {
        path: facts for path, facts in print_of(life.tree).items() if path != "run.sh"
    }
    assert stat.S_IMODE((plain / "run.sh").stat().st_mode) == 0o640, "only whether it is executable came back"
    assert report.summary == "3 files brought back; 4 files deleted"
    assert (await life.release()).kept == ()


async def test_a_folder_in_which_the_user_made_something_stays(bench: Bench, plain: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    life.sh("rm -r sub")
    (plain / "sub/mine").write_text("mine")
    await life.sync_back()
    assert sorted(path for path in print_of(plain) if path.startswith("sub")) == ["sub", "sub/mine"]
    await life.release()


async def test_what_was_not_brought_back_is_kept_in_an_archive(bench: Bench, plain: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    life.sh("echo work > a; rm run.sh; ln -sf a out; mkdir new; echo n > new/n")
    (life.tree / ODD).write_bytes(b"odder")
    expected = print_of(life.tree)
    (kept,) = (await life.release()).kept
    archive_at = bench.state / "kept/lease1.tar.gz"
    assert kept.where == str(archive_at)
    assert stat.S_IMODE(archive_at.stat().st_mode) == 0o600
    with tarfile.open(kept.where) as archive:
        deleted = archive.extractfile("deleted.json")
        assert deleted is not None
        assert json.load(deleted) == ["run.sh"]
    sh(plain, f"rm run.sh; {kept.how}; cp -a lease1/. .; rm -r lease1")
    assert print_of(plain) == expected
    old = archive_at.stat().st_mtime - 8 * 24 * 3600
    os.utime(archive_at, (old, old))
    await (await bench.begin(plain, Mode.COPY)).release()
    assert not archive_at.exists()


async def test_without_changes_nothing_is_kept(bench: Bench, plain: Path) -> None:
    life = await bench.begin(plain, Mode.COPY)
    life.sh("echo provisioned > made; touch a")
    await life.baseline()
    life.sh("touch a made; chmod 600 a; cp a b; mv b a")
    assert (await life.release()).kept == ()
    assert not (bench.state / "kept").exists()


async def test_a_change_of_the_same_size_in_the_same_moment_is_seen(bench: Bench, plain: Path) -> None:
    life = await bench.begin(plain, Mode.COPY)
    life.sh("printf 1 > made")
    await life.baseline()
    facts = (life.tree / "made").stat()
    (life.tree / "made").write_text("2")
    os.utime(life.tree / "made", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert len((await life.release()).kept) == 1


async def test_a_conflict_keeps_the_runs_version_once(bench: Bench, plain: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    life.sh("echo run > a")
    (plain / "a").write_text("user")
    for _ in range(2):
        with pytest.raises(SyncConflict, match=r"kept/lease1\.tar\.gz") as raised:
            await life.sync_back()
        assert raised.value.paths == ("a",)
    (kept,) = (await life.release()).kept
    assert [path.name for path in (bench.state / "kept").iterdir()] == [Path(kept.where).name]


async def test_folders_that_may_not_be_written_are_ended_too(bench: Bench, plain: Path) -> None:
    life = await bench.ready(plain, Mode.COPY)
    life.sh("mkdir -p locked/in; echo x > locked/in/f; chmod 000 locked/in/f; chmod 555 locked/in; chmod 000 locked")
    assert len((await life.release()).kept) == 1
    assert bench.places() == set()


async def test_a_copy_stops_by_deadline_and_on_request_and_is_made_anew(bench: Bench, plain: Path) -> None:
    for number in range(3000):
        (plain / f"f{number}").write_text("x")
    life = await bench.begin(plain, Mode.COPY)
    with pytest.raises(TimedOut):
        await bench.driver.realize(life.handle, life.workspace, life.context(seconds=0.02))
    context = life.context()
    context.stop.set()
    with pytest.raises(Stopped):
        await bench.driver.realize(life.handle, life.workspace, context)
    await life.realize()
    assert print_of(life.tree) == print_of(plain)
    await life.release()


async def test_what_cannot_be_read_is_told(bench: Bench, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(plain, Mode.COPY)
    handle = await bench.acquire("lease1", workspace)
    real = os.open

    def refuse(path: bytes, *rest: int, **fields: int) -> int:
        if path == os.fsencode(plain / "a"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(Unusable, match="Permission denied"):
            await bench.driver.realize(handle, workspace, bench.context("lease1"))
    await bench.driver.realize(handle, workspace, bench.context("lease1"))


async def test_what_vanishes_under_our_hands_is_told(bench: Bench, repo: Path, plain: Path) -> None:
    for path in (repo, plain):
        life = await bench.ready(path, Mode.COPY)
        (life.tree / "a").write_text("work")
        shutil.rmtree(path)
        with pytest.raises(Gone):
            await life.sync_back()
        (kept,) = (await life.release()).kept
        sh(bench.folder, f"mkdir out; tar -xzf {kept.where} -C out; cat out/changed/a; rm -r out")
    life = await bench.begin(repository(bench.folder / "again"), Mode.COPY)
    shutil.rmtree(life.tree)
    for verb in (life.baseline(), life.sync_back()):
        with pytest.raises(Gone):
            await verb
    assert (await life.release()).kept == ()


async def test_a_repository_without_commits_and_one_that_gets_its_first(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "young").mkdir()
    sh(tmp_path / "young", "git init -q -b main; echo a > a")
    life = await bench.ready(tmp_path / "young", Mode.COPY)
    life.sh("echo b > b")
    assert (await life.sync_back()).summary == "1 file brought back"
    life.sh("git add -A; git commit -qm first; echo c > c")
    report = await life.sync_back()
    assert report.branch == "leasehold/lease1"
    assert sh(tmp_path / "young", "git log --format=%s leasehold/lease1; cat a b c") == "first\na\nb\nc"
    assert (await life.release()).kept == ()


async def test_a_copy_holds_while_git_packs_behind_its_back(
    bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        sh(repo, f"echo {number} > a; git commit -qam {number}; git branch b{number}")
    real = os.scandir
    moments = {os.fsencode(repo / ".git/refs/heads"), os.fsencode(repo / ".git/objects")}

    def scandir(path: bytes) -> Any:
        if path in moments:
            moments.remove(path)
            sh(repo, "git gc -q --prune=now")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        life = await bench.begin(repo, Mode.COPY)
    assert not moments
    assert life.sh("git fsck --strict --no-dangling; git branch | wc -l; git log --oneline | wc -l") == "31\n31"
    await life.release()
