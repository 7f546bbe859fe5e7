"""Running git: what passes to it, how it fails, and how it ends."""

import os
import threading
import time
from pathlib import Path

import pytest
from bench import print_of, repository, sh
from leasehold.drivers import Refused, Stopped
from leasehold.drivers.git import Git, GitFailed
from leasehold.drivers.git_versions import identify
from leasehold.drivers.snapshot import Snapshots

ODD = b'odd \xff\n\t"name\\'


def go_on() -> None:
    return


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "work space")


def test_it_says_what_git_said(repo: Path) -> None:
    git = Git(repo, go_on)
    assert git.text("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git.maybe("rev-parse", "--verify", "--quiet", "nothing") is None
    with pytest.raises(GitFailed, match="git rev-parse: fatal: Needed a single revision") as raised:
        git.run("rev-parse", "--verify", "nothing")
    assert raised.value.code == 128
    assert git.run("diff", "--quiet", ok=(0, 1)).code == 0


def test_names_are_bytes(repo: Path) -> None:
    (repo / os.fsdecode(ODD)).write_text("x")
    git = Git(repo, go_on)
    assert git.run("ls-files", "-z", "--others").names == [ODD]
    versions = identify(git, 40)([ODD, b"link", b"run.sh", b"sub", b"sub/none", b"a/below", b"link/below"])
    assert {path: found[:1] if found else None for path, found in versions.items()} == {
        ODD: "-",
        b"link": "l",
        b"run.sh": "x",
        b"sub": "d",
        b"sub/none": None,
        b"a/below": "b",
        b"link/below": "b",
    }
    listed = sh(repo, "git ls-tree HEAD link").split()[2]
    assert versions[b"link"] == f"l{listed}"


def test_the_callers_variables_of_git_do_not_pass(repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "of the caller")
    git = Git(repo, go_on)
    assert git.text("rev-parse", "--show-toplevel") == str(repo)
    assert git.text("config", "user.name") == "of the caller"


def test_no_user_is_needed_for_a_commit_of_ours(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git = Git(repo, go_on)
    commit = git.text("commit-tree", "HEAD^{tree}", "-m", "ours")
    assert git.text("log", "-1", "--format=%an <%ae> %cn", commit) == "Leasehold <leasehold@localhost> Leasehold"


def test_without_git_or_folder_it_is_refused(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="the folder is gone"):
        Git(tmp_path / "nowhere", go_on).run("status")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="git is not installed"):
        Git(repo, go_on).run("status")


def test_a_command_that_is_stopped_ends_with_all_below_it(repo: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    stop = threading.Event()

    def wait_for_start() -> None:
        started.read_text()
        stop.set()

    def check() -> None:
        if stop.is_set():
            raise Stopped("now")

    waiter = threading.Thread(target=wait_for_start)
    waiter.start()
    script = f"!echo $$ > '{tmp_path}/pid'; echo > '{started}'; exec sleep 600"
    begun = time.monotonic()
    with pytest.raises(Stopped):
        Git(repo, check).run("-c", f"alias.slow={script}", "slow")
    waiter.join()
    assert time.monotonic() - begun < 20
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_much_input_that_git_is_slow_to_take_goes_on(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe whose reader is slower than the look at the deadline: the rest was never sent."""
    monkeypatch.setattr("leasehold.drivers.git._POLL", 0.001)
    data = b"x" * (32 * 1024 * 1024)
    assert Git(repo, go_on).run("hash-object", "--stdin", stdin=data).text


def test_much_input_and_output_do_not_hang(repo: Path) -> None:
    data = b"x" * (8 * 1024 * 1024)
    git = Git(repo, go_on)
    identity = git.run("hash-object", "-w", "--stdin", stdin=data).text
    assert git.run("cat-file", "blob", identity).out == data
    git.run("cat-file", "blob", identity, out=repo / "out")
    assert git.run("hash-object", "--stdin", stdin=repo / "out").text == identity


def test_a_snapshot_touches_neither_index_nor_repository(repo: Path, tmp_path: Path) -> None:
    sh(repo, "echo changed > a; echo new > new; git add b; rm sub/c; echo i > ignored; touch blob")
    before = print_of(repo)
    snapshots = Snapshots(Git(repo, go_on), tmp_path / 'obj "quoted": ects')
    snapshot = snapshots.take()
    assert print_of(repo) == before
    assert (snapshot.head, snapshot.ref) == (sh(repo, "git rev-parse HEAD"), "refs/heads/main")
    assert {change.path: change.new is not None for change in snapshots.changes("HEAD", snapshot.tree)} == {
        b"a": True,
        b"new": True,
        b"sub/c": False,
    }
    assert snapshots.take() == snapshot
    assert snapshots.staged() == sh(repo, "git rev-parse HEAD^{tree}")
    assert print_of(repo) == before


def test_a_snapshot_sees_a_change_of_the_same_size_and_moment(repo: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(Git(repo, go_on), tmp_path / "objects")
    seen: set[str] = set()
    for number in range(20):
        (repo / "b").write_text(str(number % 10))
        sh(repo, "git update-index -q --refresh || true") if number % 5 == 0 else None
        seen.add(snapshots.take().tree)
    assert len(seen) == 10


def test_a_repository_of_sha256_does_as_well(tmp_path: Path) -> None:
    repo = tmp_path / "modern"
    repo.mkdir()
    sh(repo, "git init -q --object-format=sha256 -b main; echo a > a; ln -s a l; git add -A; git commit -qm one")
    snapshots = Snapshots(Git(repo, go_on), tmp_path / "objects")
    (repo / "a").unlink()
    (change,) = snapshots.changes("HEAD", snapshots.take().tree)
    patched = snapshots.patched("HEAD", [change])
    assert snapshots.changes("HEAD", patched) == [change]
    listed = sh(repo, "git ls-tree HEAD l").split()[2]
    assert identify(Git(repo, go_on), 64)([b"l"]) == {b"l": f"l{listed}"}


def test_snapshots_are_handed_over_whole(repo: Path, tmp_path: Path) -> None:
    other = repository(tmp_path / "other")
    snapshots = Snapshots(Git(repo, go_on), tmp_path / "objects")
    (repo / "a").write_text("changed")
    commit = snapshots.commit(snapshots.take().tree, [sh(repo, "git rev-parse HEAD")], "ours\n")
    snapshots.send(Git(other, go_on), [commit], [])
    assert sh(other, f"git show {commit}:a; git fsck --connectivity-only {commit}") == "changed"
