"""Files that git is told not to look at, or cannot take, are neither lost nor in the way."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, sh
from leasehold.drivers import Mode, SyncConflict
from leasehold.drivers.errors import Damaged
from leasehold.drivers.excludes import Excludes
from leasehold.drivers.local import LocalConfig
from leasehold.drivers.local.file_tree import ignored_paths
from leasehold.drivers.manifest import FOLDER, PLAIN
from leasehold.drivers.tree_copying import TreeCopying

BOTH = pytest.mark.parametrize("mode", [Mode.GIT_WORKTREE, Mode.COPY])


def go_on() -> None:
    return


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
@pytest.mark.parametrize("whose", ["user", "run"])
async def test_a_file_hidden_in_an_index_comes_back(bench: Bench, repo: Path, flag: str, whose: str) -> None:
    hide = f"git update-index {flag} a"
    if whose == "user":
        sh(repo, f"echo local > a; {hide}")
    life = await bench.ready(repo, Mode.COPY)
    life.sh(f"{hide}; echo changed > a")
    assert (await life.sync_back()).applied == 1
    assert (repo / "a").read_text() == "changed\n"
    life.sh("echo again > a")
    [kept] = (await life.release()).kept
    assert sh(repo, f"git show {kept.where}:a") == "again"


@BOTH
@pytest.mark.parametrize("index", ["--sparse-index", "--no-sparse-index"])
async def test_files_beside_a_sparse_checkout_come_back(bench: Bench, repo: Path, mode: Mode, index: str) -> None:
    sh(repo, f"git sparse-checkout set --cone {index} sub; [ ! -e out ]")
    sh(repo, "mkdir out; echo o > out/o; git add --sparse out; git commit -qm out; git sparse-checkout reapply")
    life = await bench.ready(repo, mode)
    life.sh("mkdir -p out; echo new > out/new; echo y > sub/y")
    await life.sync_back()
    assert ((repo / "out/new").read_text(), (repo / "sub/y").read_text()) == ("new\n", "y\n")
    assert sh(repo, "git show HEAD:out/o; git status --porcelain --untracked-files=no") == "o"
    life.sh("echo newer > out/new")
    [kept] = (await life.release()).kept
    assert sh(repo, f"git show {kept.where}:out/new") == "newer"
    assert sh(repo, f"git diff --name-only {kept.where}^ {kept.where}") == "out/new"


@BOTH
@pytest.mark.parametrize("harm", ["rm a; mkfifo a", "mkdir 'git~1'; echo x > 'git~1/x'"])
async def test_what_git_cannot_take_is_kept_whole(bench: Bench, repo: Path, mode: Mode, harm: str) -> None:
    life = await bench.ready(repo, mode)
    life.sh(f"echo more > b; {harm}")
    with pytest.raises(Damaged, match="git cannot take the whole tree: error:"):
        await life.sync_back()
    released = await life.release()
    assert "git cannot take the whole tree" in released.notes[0]
    assert "changed/b" in sh(repo, f"tar -tzf {released.kept[0].where}").splitlines()
    assert bench.places() == set()


@BOTH
async def test_permissions_that_the_repository_does_not_go_by_are_no_change(
    bench: Bench, repo: Path, mode: Mode
) -> None:
    sh(repo, "git config core.fileMode false; chmod 755 a b; chmod 644 run.sh")
    life = await bench.ready(repo, mode)
    life.sh("echo changed > a; echo 'echo hi' >> run.sh; git rm -q b; git commit -qam x")
    report = await life.sync_back()
    assert (report.commits, report.branch) == (1, None)
    assert ((repo / "a").read_text(), (repo / "b").exists()) == ("changed\n", False)
    assert sh(repo, "git status --porcelain") == ""
    sh(repo, "echo mine > a")
    life.sh("echo theirs > a")
    with pytest.raises(SyncConflict):
        await life.sync_back()


async def test_links_that_are_files_come_back_as_such(bench: Bench, repo: Path) -> None:
    sh(repo, "git config core.symlinks false; rm link; printf a > link; git status --porcelain >&2")
    life = await bench.ready(repo, Mode.COPY)
    life.sh("printf b > link")
    assert (await life.sync_back()).applied == 1
    assert ((repo / "link").is_symlink(), (repo / "link").read_text()) == (False, "b")
    assert (await life.release()).kept == ()


def test_a_path_that_git_dislikes_hides_no_ignored_one(repo: Path, tmp_path: Path) -> None:
    sh(repo, f"git init -q '{tmp_path}/m'; cd '{tmp_path}/m'; echo m > m; git add m; git commit -qm m")
    sh(repo, f"git -c protocol.file.allow=always submodule --quiet add '{tmp_path}/m' mod; ln -s sub way")
    sh(repo, "echo '!kept' >> .gitignore; echo 'k*' > sub/.gitignore")
    paths = [
        "a",
        "way/1",
        "way/2",
        "ignored",
        "mod/m",
        "mod/x/y",
        "sub/ignored",
        "way/x/3",
        "kept",
        "z/build/x",
        "sub/k",
    ]
    kinds = {os.fsencode(path): PLAIN for path in paths} | {b"build": FOLDER}
    expected = {b"ignored", b"sub/ignored", b"z/build/x", b"sub/k", b"build"}
    assert ignored_paths(repo, kinds, go_on) == expected
    (tmp_path / "none").mkdir()
    assert ignored_paths(tmp_path / "none", kinds, go_on) == set()


@BOTH
async def test_places_within_a_workspace_that_is_reached_by_a_link(bench: Bench, repo: Path, mode: Mode) -> None:
    (repo.parent / "home").symlink_to(repo.parent)
    bench.config = LocalConfig(root=repo.parent / "home" / repo.name / "places")
    life = await bench.ready(repo.parent / "home" / repo.name, mode, untracked=True)
    assert not (life.tree / "places").exists()
    life.sh("echo more > a")
    assert (await life.sync_back()).summary == "1 file brought back"
    await life.release()


def test_what_is_cloned_is_noted_as_it_was_cloned(tmp_path: Path) -> None:
    """Not as the file is by the time that it is read: somebody may write to it meanwhile."""

    class Cloning(TreeCopying):
        def _clone(self, reading: int, writing: int) -> bool:
            os.pwrite(writing, os.pread(reading, 1 << 20, 0), 0)  # as a file system that can would do it
            (source / "a").write_text("later")
            return True

    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("first")
    none: Callable[[str], None] = lambda _: None  # noqa: E731
    copying = Cloning(
        source, tmp_path / "dest", excludes=Excludes(()), spare=tmp_path, digests=True, check=go_on, progress=none
    )
    entry = copying.run().manifest[b"a"]
    assert (tmp_path / "dest/a").read_text() == "first"
    assert entry.digest == "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
