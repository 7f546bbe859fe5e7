"""What a run did to its tree at a place does no harm here."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, print_of, repository, sh
from leasehold.drivers import Mode
from leasehold.drivers.errors import Damaged, Refused
from leasehold.drivers.ssh import SshConfig
from shell import ShellDriver


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    config: Any = SshConfig.model_validate({"host": "here", "root": str(tmp_path / "far")})
    driver: Any = ShellDriver()  # what a bench asks of a local driver, it does too
    return Bench(tmp_path, config, driver)


def forge(index: Path, *names: bytes) -> None:
    """Put names into an index that git would not."""
    data = index.read_bytes()[:-20]
    assert data[4:8] == struct.pack(">I", 2)
    one = data[12:52] + hashlib.sha1(b"none", usedforsecurity=False).digest()
    entries = b""
    for name in sorted(names):
        entry = one + struct.pack(">H", len(name)) + name
        entries += entry + b"\0" * (8 - len(entry) % 8)
    count = struct.unpack(">I", data[8:12])[0] + len(names)
    made = data[:8] + struct.pack(">I", count) + entries + data[12:]
    index.write_bytes(made + hashlib.sha1(made, usedforsecurity=False).digest())


@pytest.mark.parametrize("name", [b"../tree/evil", b".git/hooks/pre-commit", b"sub/.GIT/config"])
async def test_an_index_that_git_would_not_write_brings_nothing(bench: Bench, tmp_path: Path, name: bytes) -> None:
    source = repository(tmp_path / "home" / "work")
    life = await bench.ready(source, Mode.COPY)
    before = print_of(tmp_path / "home")
    (life.tree / "evil").write_text("theirs\n")
    forge(life.tree / ".git" / "index", name)
    with pytest.raises(Damaged, match="would not write"):
        await life.sync_back()
    assert print_of(tmp_path / "home") == before
    released = await life.release()
    assert "would not write" in released.notes[0]
    assert "changed/evil" in sh(tmp_path, f"tar -tzf {released.kept[0].where}").splitlines()
    assert print_of(tmp_path / "home") == before


async def test_commits_with_names_that_git_would_not_write_bring_nothing(bench: Bench, tmp_path: Path) -> None:
    source = repository(tmp_path / "home" / "work")
    life = await bench.ready(source, Mode.COPY)
    before = print_of(tmp_path / "home")
    life.sh(
        """
        blob=$(echo theirs | git hash-object -w --stdin)
        hooks=$(printf '100755 blob %s\\tpre-commit\\n' $blob | git mktree)
        inner=$(printf '040000 tree %s\\thooks\\n' $hooks | git mktree)
        tree=$({ git ls-tree HEAD; printf '040000 tree %s\\t.git\\n' $inner; } | git mktree)
        git update-ref HEAD $(git commit-tree $tree -p HEAD -m armed)
        """
    )
    with pytest.raises(Damaged, match=r"\.git/hooks/pre-commit"):
        await life.sync_back()
    assert print_of(tmp_path / "home") == before


ARM = (
    "printf '[filter \"z\"]\\nclean = touch BAD; cat\\n' >> .git/config; echo '* filter=z' > .git/info/attributes; "
    "printf '#!/bin/sh\\ntouch BAD\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
)


@pytest.mark.parametrize("folder", ["new", "old"])
async def test_a_repository_within_a_repository_arms_nothing(bench: Bench, tmp_path: Path, folder: str) -> None:
    """Neither here, nor where a person unpacks what was kept: commits come, programs do not."""
    source = repository(tmp_path / "work")
    sh(source, "git init -q old; cd old; echo s > s; git add s; git commit -qm s")
    life = await bench.ready(source, Mode.COPY)
    life.sh(
        f"[ -d {folder} ] || git clone -q . {folder}; cd {folder}; echo x > s; git add s; git commit -qm x; {ARM}; "
        f"cd ..; git add {folder}; touch -d 2001-01-01 {folder}/s"
    )
    await life.sync_back()
    assert "BAD" not in (source / "old/.git/config").read_text()
    kept = [one for one in (await life.release()).kept if one.where.endswith(".tar.gz")]
    sh(tmp_path, f"{kept[0].how}; [ ! -e lease1/{folder}/.git/config ]; [ ! -e lease1/{folder}/.git/hooks ]")
    sh(source, f"cp -a '{tmp_path}/lease1/.' .")
    assert sh(source / folder, "git log -1 --format=%s; git show HEAD:s") == "x\nx"


async def test_a_repository_within_a_folder_arms_nothing(bench: Bench, tmp_path: Path) -> None:
    """Its files come back, and what git has of it stays here as it is; it is kept."""
    source = tmp_path / "folder"
    repository(source / "sub")
    life = await bench.ready(source, Mode.COPY)
    before = print_of(source / "sub" / ".git")
    life.sh(f"cd sub; echo x > b; git commit -qam x; {ARM}; cd ..; git clone -q sub fresh; cd fresh; {ARM}")
    report = await life.sync_back()
    assert report.summary.endswith("; repositories within left as they are: fresh, sub")
    assert print_of(source / "sub" / ".git") == before
    assert (source / "sub/b").read_text() == (source / "fresh/b").read_text() == "x\n"
    assert not (source / "fresh/.git").exists()
    assert (await life.sync_back()).summary == "repositories within left as they are: fresh, sub"
    [kept] = (await life.release()).kept
    sh(tmp_path, f"{kept.how}; [ ! -e lease1/sub/.git/config ]; [ ! -e lease1/fresh/.git/hooks ]")
    sh(source, f"cp -a {tmp_path}/lease1/. .")
    assert sh(source / "sub", "git reset -q; git log -1 --format=%s; git status --porcelain -uno") == "x"


async def test_links_that_lead_out_by_way_of_each_other_do_not_come(bench: Bench, tmp_path: Path) -> None:
    source = repository(tmp_path / "work")
    (tmp_path / "secret").write_text("ours")
    life = await bench.ready(source, Mode.COPY)
    life.sh("mkdir -p d1/d2; ln -s ../.. d1/d2/q; ln -s d1/d2/q/../../../secret l; ln l out; git add -f l")
    with pytest.raises(Refused, match="outside of the tree"):
        await life.sync_back()
    life.sh("rm l out; ln -s b one; ln one two")
    assert (await life.sync_back()).applied == 3
    assert [(source / name).readlink() for name in ("d1/d2/q", "one", "two")] == [Path("../.."), Path("b"), Path("b")]
    await life.release()
    assert "ours" not in sh(source, "grep -r . --exclude-dir=.git . || true")


async def test_what_is_got_brings_no_link_out(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ours")
    life = await bench.ready(repository(tmp_path / "work"), Mode.COPY)
    life.sh(f"mkdir got; ln -s {tmp_path}/secret got/l; ln got/l got/m; mkdir fine; ln -s a fine/l; ln fine/l fine/m")
    target = await bench.driver.target(life.handle, life.realization, life.context())
    with pytest.raises(Refused, match="outside of what was asked for"):
        await target.get("got", tmp_path / "got")
    assert not (tmp_path / "got").exists()
    await target.get("fine", tmp_path / "fine")
    await target.close()
    assert (tmp_path / "fine/m").readlink() == Path("a")
