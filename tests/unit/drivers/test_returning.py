"""Which paths may come back, and which may be written into a user's tree."""

import pytest
from leasehold.drivers.errors import Damaged
from leasehold.drivers.returning import comes_back, demand_written, in_git, is_kept, repository

OWN = [
    b".git",
    b".git/config",
    b"sub/.git/hooks/pre-commit",
    b"sub/.GIT/config",
    b".gIt",
    "a/.g\u200cit/config".encode(),
    "\ufeff.git/config".encode(),
    b"GIT~1/config",
    b"a/.git./config",
    b"a/.git ::$INDEX_ALLOCATION/config",
]


@pytest.mark.parametrize("path", OWN)
def test_a_repositorys_own_folder_is_known_in_every_guise(path: bytes) -> None:
    assert in_git(path)
    with pytest.raises(Damaged):
        demand_written([b"fine", path])


@pytest.mark.parametrize(
    "path", [b".gitignore", b"a.git/x", b".github", b"git/config", b"x/.git-old", b"no\xfftext", b"a\nb"]
)
def test_other_paths_are_files(path: bytes) -> None:
    assert not in_git(path)
    assert comes_back(path)
    demand_written([path])


@pytest.mark.parametrize("path", [b"../out", b"a/../../out", b"/etc/passwd", b"a//b", b"./a", b"..", b""])
def test_a_path_that_leads_out_is_not_written(path: bytes) -> None:
    with pytest.raises(Damaged, match="would not write"):
        demand_written([path])


HOLDING = [b"HEAD", b"index", b"packed-refs", b"refs/heads/a.b/c", b"objects/ab/cdef", b"objects/pack/pack-1.idx"]
ARMING = [
    b"config",
    b"hooks/pre-commit",
    b"info/attributes",
    b"objects/info/alternates",
    b"config.worktree",
    b"modules",
]
ODD = [
    b"refs/heads/x.lock",
    b"refs/.git/config",
    b"objects/../config",
    b"HEAD/x",
    b"Head",
    b"commondir",
    b"worktrees/w",
]


@pytest.mark.parametrize("top", [b"", b"sub/", b"deep/er/"])
def test_of_a_repository_comes_what_holds_commits(top: bytes) -> None:
    for rest in HOLDING:
        assert comes_back(top + b".git/" + rest), rest
        assert not comes_back(top + b".GIT/" + rest), rest
        assert not comes_back(top + b".git/hooks/.git/" + rest), rest
    for rest in ARMING + ODD:
        assert not comes_back(top + b".git/" + rest), rest
    assert is_kept(top + b".git/HEAD")
    assert not is_kept(top + b".git/index")
    assert repository(top + b".git/HEAD") == top.rstrip(b"/")
