"""A run may write programs into its copy's repository: git on our side starts none of them."""

from pathlib import Path

import pytest
from bench import Bench, print_of, sh
from leasehold.drivers import Mode
from leasehold.drivers.errors import Damaged

# Each is a way in which git is told to start a program, or to obey another file; ``$BAD`` is what must not be made.
ARMS = {
    "filter": "git config filter.x.clean \"touch '$BAD'; cat\"; echo '* filter=x' > .gitattributes",
    "process": "git config filter.x.process \"touch '$BAD'\"; echo '* filter=x' > .git/info/attributes",
    "monitor": "git config core.fsmonitor \"touch '$BAD'\"",
    "hook": 'printf \'#!/bin/sh\\ntouch "%s"\\n\' "$BAD" > .git/hooks/post-index-change; chmod +x .git/hooks/*',
    "diff": "git config diff.external \"touch '$BAD'\"; git config diff.x.textconv \"touch '$BAD'\"",
    "include": 'printf \'[filter "x"]\\nclean = touch "%s"; cat\\n\' "$BAD" > cfg; '
    "git config include.path ../cfg; echo '* filter=x' > .gitattributes",
    "worktree config": "git config extensions.worktreeConfig true; "
    "git config --worktree filter.x.clean \"touch '$BAD'; cat\"; echo '* filter=x' > .gitattributes",
    "lazy objects": "git config extensions.partialClone o; git config remote.o.url . ; "
    "git config remote.o.promisor true; git config remote.o.uploadpack \"touch '$BAD'; git-upload-pack\"",
    "nested": "git init -q in; cd in; echo s > s; git add s; git commit -qm s; "
    "git config filter.y.clean \"touch '$BAD'; cat\"; echo 's filter=y' > .git/info/attributes; cd ..; "
    "git add in; touch -d 2001-01-01 in/s",
}


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
async def test_nothing_that_a_run_configured_in_its_copy_runs_here(
    bench: Bench, repo: Path, tmp_path: Path, arm: str
) -> None:
    bad = tmp_path / "bad"
    life = await bench.ready(repo, Mode.COPY)
    life.sh(f"BAD='{bad}'; {arm}; echo more >> a; touch b; echo new > new; rm -f '{bad}'")
    await life.sync_back()
    assert (repo / "a").read_text().endswith("three\nmore\n")
    assert (repo / "new").read_text() == "new\n"
    life.sh("echo still >> b")
    released = await life.release()
    assert sh(tmp_path, "ls bad 2>/dev/null || true") == ""
    [ref] = [kept.where for kept in released.kept if kept.where.startswith("refs/")]  # what is nested, in an archive
    assert sh(repo, f"git show '{ref}:b'") == "b\nstill"
    assert bench.places() == set()


async def test_the_users_own_configuration_holds(bench: Bench, repo: Path) -> None:
    """Also where it is included, relative to the repository that it was copied from."""
    sh(repo, "git config include.path ../own; echo '*.txt filter=shout' > .git/info/attributes; echo own >> .gitignore")
    (repo / "own").write_text('[filter "shout"]\n\tclean = tr a-z A-Z\n')
    sh(repo, "git add -A; git commit -qm own")
    life = await bench.ready(repo, Mode.COPY)
    life.sh("echo loud > loud.txt; git config --unset include.path")
    await life.sync_back()
    assert (repo / "loud.txt").read_text() == "loud\n"
    life.sh("echo louder > loud.txt")
    [kept] = (await life.release()).kept
    assert sh(repo, f"git show '{kept.where}:loud.txt'") == "LOUDER"


@pytest.mark.parametrize("head", ["ln -sf /etc/hostname .git/HEAD", "echo 'ref: elsewhere' > .git/HEAD"])
async def test_a_head_that_git_would_not_write_ends_nothing(bench: Bench, repo: Path, head: str) -> None:
    life = await bench.ready(repo, Mode.COPY)
    before = print_of(repo)
    life.sh(f"echo more >> a; {head}")
    with pytest.raises(Damaged, match="HEAD"):
        await life.sync_back()
    assert print_of(repo) == before
