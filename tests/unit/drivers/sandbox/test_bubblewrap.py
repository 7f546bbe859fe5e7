"""What bubblewrap's commands see and may do, and that nothing of them stays."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Life, print_of, repository, sh
from commandline import gone
from leasehold.drivers import Command, DriverError, Gone, Mode, Outcome, ReleaseMode, Result, Target
from leasehold.drivers.durable import beside
from leasehold.drivers.sandbox.bubblewrap import BubblewrapConfig, BubblewrapDriver


async def opened(life: Life) -> Target:
    return await life.bench.driver.target(life.handle, life.realization, life.context())


async def ran(target: Target, script: str) -> Result:
    return await target.execute(Command((script,), shell=True, timeout=30))


def folder_of(life: Life) -> Path:
    return life.bench.root / life.handle.place


async def test_commands_see_a_world_of_their_own(bench: Bench, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = bench.folder / "home"
    home.mkdir()
    (home / ".netrc").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    life = await bench.begin(repo, Mode.COPY)
    assert (await life.run('hostname; echo "$HOME"; ls "$HOME"')).split() == ["leasehold", str(home)]
    assert int(await life.run("ls /proc | grep -c '^[0-9]'")) < 10
    assert await life.run("grep CapEff /proc/self/status") == "CapEff:\t0000000000000000\n"
    assert await life.run("for f in /usr /etc /opt /; do touch $f/x 2>/dev/null && echo $f; done; true") == ""
    assert await life.run(f"cat {home}/.netrc {repo}/a {folder_of(life)}/place.json 2>/dev/null; true") == ""
    assert (home / ".netrc").read_text() == "secret"
    await life.release()
    assert bench.places() == set()


async def test_a_probe_tells_of_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("leasehold.drivers.sandbox.bubblewrap.probe._BOUND", 0.2)
    [check] = (await BubblewrapDriver().probe(BubblewrapConfig())).checks
    assert (check.name, check.ok, check.detail) == ("program", False, "bwrap gave no answer within 0.2 s")


ARM = """
git config filter.x.clean "touch $BAD; cat" && git config core.fsmonitor "touch $BAD"
echo '* filter=x' > .gitattributes
git init -q in && cd in && echo s > s && git add s && git -c user.name=n -c user.email=e commit -qm s
git config filter.y.clean "touch $BAD; cat" && echo 's filter=y' > .git/info/attributes && cd .. && git add in
touch -d 2001-01-01 in/s
"""


@pytest.mark.parametrize("mode", [Mode.COPY, Mode.GIT_WORKTREE])
async def test_what_a_command_configures_for_git_runs_in_its_sandbox_alone(
    bench: Bench, repo: Path, tmp_path: Path, mode: Mode
) -> None:
    sh(repo, "git config extensions.worktreeConfig true")
    life = await bench.ready(repo, mode)
    record = "c=$(git rev-parse --git-dir)/config.worktree; printf '[filter \"x\"]\\nclean = touch %s\\n' $BAD > $c"
    await life.run(f"BAD={tmp_path / 'bad'}; {record if mode is Mode.GIT_WORKTREE else ':'}; {ARM} true; echo new > a")
    await life.sync_back()
    assert (repo / "a").read_text() == "new\n"
    await life.run("echo newer > a")
    [ref] = [kept.where for kept in (await life.release()).kept if kept.where.startswith("refs/")]
    assert sh(repo, f"git show '{ref}:a'") == "newer"
    assert sh(tmp_path, "ls bad 2>/dev/null || true") == ""


async def test_tmp_and_home_last_as_long_as_the_lease(bench: Bench, repo: Path) -> None:
    life = await bench.begin(repo, Mode.COPY)
    await life.run("echo kept > /tmp/note; echo kept > ~/note; echo kept > /var/tmp/other")
    assert await life.run("cat /tmp/note ~/note /tmp/other") == "kept\n" * 3
    other = await bench.begin(repo, Mode.COPY)
    assert await other.run("cat /tmp/note /tmp/other 2>/dev/null; ls ~; true") == ""
    await life.release()
    await other.release()
    assert bench.places() == set()


async def test_the_network_is_off_unless_it_is_asked_for(bench: Bench, repo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connect = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{listening.getsockname()[1]}' 2>/dev/null; echo $?"
        life = await bench.begin(repo, Mode.COPY)
        assert await life.run(connect) != "0\n"
        bench.config = BubblewrapConfig(network=True)
        life = await bench.begin(repo, Mode.COPY)
        assert await life.run(connect) == "0\n"


async def test_further_folders_are_seen_by_name(bench: Bench, repo: Path) -> None:
    for name in ("tools", "cache"):
        (bench.folder / name).mkdir()
        (bench.folder / name / "file").write_text(name)
    tools, cache = bench.folder / "tools", bench.folder / "cache"
    bench.config = BubblewrapConfig(read_only=(tools,), writable=(cache,))
    life = await bench.begin(repo, Mode.COPY)
    await life.run(f"cat {tools}/file > {cache}/file; ! touch {tools}/x 2>/dev/null")
    assert (cache / "file").read_text() == "tools"
    bench.config = BubblewrapConfig(read_only=(bench.folder / "nowhere",))
    [problem] = bench.driver.validate(bench.request("lease", life.workspace), bench.config)
    assert (problem.about, "nowhere does not exist" in problem.message) == ("config", True)


async def test_a_worktree_can_commit_and_can_change_nothing_else_of_its_repository(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    before = print_of(repo / ".git" / "hooks") | {"config": (repo / ".git" / "config").read_text()}
    await life.run("echo changed > b; git -c user.name=n -c user.email=e@localhost commit -qam inside")
    for harm in (
        "git config core.fsmonitor /tmp/evil",
        "echo evil > $(git rev-parse --git-common-dir)/hooks/pre-commit",
        "git update-ref refs/heads/main HEAD",
        "rm .git",
        "echo gitdir: /tmp/evil > .git",
        "mv .git elsewhere",
        "echo /tmp/evil > $(git rev-parse --git-dir)/commondir",
    ):
        assert await life.run(f"if {harm}; then echo done; fi 2>/dev/null") == "", harm
    assert print_of(repo / ".git" / "hooks") | {"config": (repo / ".git" / "config").read_text()} == before
    report = await life.sync_back()
    assert (report.commits, (repo / "b").read_text()) == (1, "changed\n")
    assert sh(repo, "git log -1 --format=%s") == "inside"
    await life.release()
    assert bench.places() == set()


COMMIT = "git -c user.name=n -c user.email=e@localhost commit -qam"


async def test_what_a_command_destroys_of_a_repository_is_its_own(bench: Bench, repo: Path) -> None:
    sh(repo, "git branch leasehold/other; echo c > c; git add c; git commit -qm two")
    life = await bench.ready(repo)
    before = {path: facts for path, facts in print_of(repo / ".git").items() if not path.startswith("worktrees")}
    await life.run(f"echo x > b; {COMMIT} inside; git update-ref refs/heads/leasehold/other HEAD")
    bad = f"cd '{repo}/.git/objects'"
    await life.run(f"{bad}; mkdir -p 12; echo no > 12/{'3' * 38}; head -c 99 /dev/urandom > 12/{'4' * 38}")
    await life.run(f"cd '{repo}/.git'; rm -rf objects refs logs packed-refs 2>/dev/null; true")
    after = print_of(repo / ".git")
    assert {path: after.get(path) for path in before} == before
    await life.release()
    after = print_of(repo / ".git")
    assert {path: after.get(path) for path in before if "lease1" not in path} == {
        path: facts for path, facts in before.items() if "lease1" not in path
    }
    assert not list((repo / ".git" / "objects" / "12").glob("[34]*"))
    assert sh(repo, "git fsck --strict --no-dangling 2>&1; git log -1 --format=%s leasehold/other") == "one"
    assert bench.places() == set()


async def test_commits_come_over_each_time(bench: Bench, repo: Path) -> None:
    """Loose and packed, staged alone, and after what we have put on top."""
    life = await bench.ready(repo)
    await life.run(f"echo 1 > b; {COMMIT} first; echo staged > s; git add s; echo later > s")
    assert (await life.sync_back()).commits == 1
    assert (sh(repo, "git log -1 --format=%s"), (repo / "s").read_text()) == ("first", "later\n")
    await life.run(f"echo 2 > b; {COMMIT} second; git repack -adql; echo more >> b")
    sh(repo, "echo mine > a; git commit -qam mine")
    report = await life.sync_back()
    assert (report.commits, report.branch) == (1, "leasehold/lease1")
    assert sh(repo, "git log -3 --format=%s leasehold/lease1").splitlines()[1:] == ["second", "first"]
    assert await life.run("git log -2 --format=%s") == sh(repo, "git log -2 --format=%s leasehold/lease1") + "\n"
    await life.run(f"echo 3 > b; {COMMIT} third")
    await life.release()
    assert "third" in sh(repo, "git log --all --format=%s").splitlines()
    assert sh(repo, "git fsck --strict --no-dangling 2>&1") == ""


async def test_a_branch_of_the_users_is_moved_on_and_no_other(bench: Bench, repo: Path) -> None:
    sh(repo, "git branch feature; git branch other")
    life = await bench.ready(repo, branch="feature")
    await life.run(f"echo x > b; {COMMIT} inside; for b in main other; do git update-ref refs/heads/$b HEAD; done")
    assert await life.run("git log -1 --format=%s main") == "inside\n"
    assert (await life.sync_back()).branch == "feature"
    assert sh(repo, "git for-each-ref --format='%(refname:short) %(subject)' refs/heads").splitlines() == [
        "feature inside",
        "main one",
        "other one",
    ]
    await life.release()


async def test_a_branch_that_moved_here_too_gets_a_namesake(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    await life.run(f"echo x > b; {COMMIT} inside")
    sh(repo, "git update-ref refs/heads/leasehold/lease1 $(git commit-tree HEAD^{tree} -p HEAD -m outside)")
    await life.release(ReleaseMode.KEEP)
    assert sh(repo, "git log -1 --format=%s leasehold/lease1-2") == "inside"
    assert sh(life.tree, "git log -1 --format=%s") == "outside"


@pytest.mark.parametrize(
    "harm",
    [
        f"cd refs/heads/leasehold; rm -rf lease1; mkdir -p lease1/x {beside(Path('lease1'))}",
        "ln -sf /etc/passwd refs/heads/leasehold/lease1; mkfifo objects/pack/x.pack; ln -s / objects/34",
        "mkdir objects/pack; echo x > objects/pack/y.pack; chmod 0 refs/heads/leasehold/lease1 objects/*/* objects/*",
        f"echo {'1' * 40} > refs/heads/leasehold/lease1; echo /etc > objects/info/alternates",
    ],
)
async def test_a_place_ends_whatever_stands_apart(bench: Bench, repo: Path, harm: str) -> None:
    life = await bench.ready(repo)
    await life.run(f"echo x > b; {COMMIT} inside; echo y > b; cd '{repo}/.git'; {harm}")
    [kept] = (await life.release()).kept
    assert sh(repo, f"git show {kept.where}:b") == "y"
    assert sh(repo, "git fsck --strict --no-dangling 2>&1") == ""
    assert bench.places() == set()


async def test_commits_are_kept_where_the_worktree_is_gone(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    await life.run(f"echo x > b; {COMMIT} inside")
    sh(repo, f"rm -rf '{life.tree}'")
    [kept] = (await life.release()).kept
    assert sh(repo, f"git show {kept.where}:b") == "x"
    assert bench.places() == set()


async def test_objects_of_another_repository_do_not_come_by_a_link(bench: Bench, repo: Path, tmp_path: Path) -> None:
    other = repository(tmp_path / "private")
    sh(other, "echo secret > s; git add s; git commit -qm s")
    name = sh(other, "git rev-parse HEAD:s")
    life = await bench.ready(repo)
    await life.run(
        f"cd '{repo}/.git/objects'; ln -s {other}/.git/objects/{name[:2]} .; "
        f"mkdir -p l; ln -s {other}/.git/objects/{name[:2]}/{name[2:]} l/; echo {other}/.git/objects >> info/alternates"
    )
    await life.release()
    assert sh(repo, f"git cat-file -e {name} 2>/dev/null || echo none") == "none"


async def test_a_place_that_is_kept_has_its_commits(bench: Bench, repo: Path) -> None:
    life = await bench.ready(repo)
    await life.run(f"echo x > b; {COMMIT} inside; git checkout -q -b leasehold/new; echo y > b; {COMMIT} new")
    await life.baseline()
    await life.run(f"echo z > b; {COMMIT} newer")
    await life.release(ReleaseMode.KEEP)
    assert sh(life.tree, "git status --porcelain; git log -2 --format=%s") == "newer\nnew"
    assert sh(
        repo, "git fsck --strict --no-dangling 2>&1; git branch --list 'leasehold/*' --format='%(refname:short)'"
    ).split() == [
        "leasehold/lease1",
        "leasehold/new",
    ]


async def test_a_link_of_the_sandboxs_leads_to_nothing_of_ours(bench: Bench, repo: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    life = await bench.begin(repo, Mode.COPY)
    target = await opened(life)
    await ran(target, f"ln -s {secret} leak; mkdir out; ln -s {secret} out/leak")
    with pytest.raises(Gone, match="leak"):
        await target.read("leak")
    await target.write("leak", b"theirs")
    assert secret.read_text() == "secret"
    assert await target.read("leak") == b"theirs"
    with pytest.raises(DriverError):
        await target.get("out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    await target.close()


async def test_a_file_is_read_where_the_command_sees_it(bench: Bench, repo: Path) -> None:
    target = await opened(await bench.begin(repo, Mode.COPY))
    await ran(target, "echo private > /tmp/note")
    assert await target.read("/tmp/note") == b"private\n"
    assert target.describe()["transport"] == "sandbox"
    await target.close()


async def test_nothing_outlives_the_supervisor(bench: Bench, repo: Path) -> None:
    life = await bench.begin(repo, Mode.COPY)
    target = await opened(life)
    running = asyncio.create_task(ran(target, "env -i setsid sleep 600 & sleep 600"))
    supervisor = await named(life)
    below = await sleepers(supervisor, 2)
    os.kill(supervisor, signal.SIGKILL)
    assert (await running).outcome is Outcome.TARGET_LOST
    await until(lambda: all(map(gone, below)))
    assert (await ran(target, "echo again")).stdout.text == "again\n"
    await target.close()
    await life.release()
    assert bench.places() == set()


async def test_what_was_let_go_runs_on_and_ends_with_the_lease(bench: Bench, repo: Path) -> None:
    life = await bench.begin(repo, Mode.COPY)
    target = await opened(life)
    assert (await ran(target, "sleep 600 >/dev/null 2>&1 & echo $! > pid")).survivors
    [left] = await sleepers(await named(life), 1)
    await target.detach()
    assert not gone(left)
    begun = time.monotonic()
    life.bench.driver = BubblewrapDriver()
    await life.release()
    assert time.monotonic() - begun < 4.0, "its supervisor was asked, and answered"
    assert gone(left)


@pytest.mark.parametrize(
    ("limits", "script"),
    [
        ({"memory": "64m"}, "head -c 200m /dev/zero | tail >/dev/null"),
        ({"pids": 20}, "for i in $(seq 40); do sleep 30 & done"),
    ],
    ids=["memory", "pids"],
)
async def test_limits_hold_for_all_that_runs(
    bench: Bench, repo: Path, limits: dict[str, str | int], script: str, limited: None
) -> None:
    bench.config = BubblewrapConfig.model_validate(limits)
    assert bench.driver.capabilities(bench.config).limits == "enforced"
    life = await bench.begin(repo, Mode.COPY)
    target = await opened(life)
    assert not (await ran(target, f"set -e -o pipefail; {script}")).ok
    await target.close()
    groups = groups_of(life)
    assert all(group.is_dir() for group in groups)
    await life.release()
    assert not any(group.exists() for group in groups)
    assert bench.places() == set()


async def test_a_share_of_a_processor_is_set_for_all_that_runs(bench: Bench, repo: Path, limited: None) -> None:
    bench.config = BubblewrapConfig(cpus=0.2)
    life = await bench.begin(repo, Mode.COPY)
    target = await opened(life)
    assert (await ran(target, "true")).ok
    [group] = groups_of(life)
    assert str(await named(life)) in (group / "cgroup.procs").read_text().split()
    quota = group / "cpu.cfs_quota_us" if (group / "cpu.cfs_quota_us").exists() else group / "cpu.max"
    assert quota.read_text().split()[0] == "20000"
    await target.close()
    await life.release()
    assert not group.exists()


@pytest.fixture
def limited() -> None:
    """Limits need control groups that can be made."""
    config = BubblewrapConfig(memory="64m", pids=20, cpus=1.0)  # pyright: ignore[reportArgumentType]
    if BubblewrapDriver().capabilities(config).limits != "enforced":
        pytest.skip("no control group can be made here")


def groups_of(life: Life) -> list[Path]:
    record = folder_of(life) / "cgroups.json"
    return [Path(name) for name in json.loads(record.read_text())]


async def named(life: Life) -> int:
    """The supervisor's process, as we know it."""
    lock = folder_of(life) / "supervision" / "supervisor.lock"

    def found() -> list[int]:
        pids = [int(line.split()[0]) for line in lock.read_text().splitlines()] if lock.exists() else []
        return [pid for pid in pids if pid != 1]

    await until(lambda: bool(found()))
    return found()[-1]


async def sleepers(supervisor: int, count: int) -> list[int]:
    """The processes below a supervisor that have come to sleep, once there are so many."""

    def below(pid: int) -> list[int]:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return []
        return [found for child in map(int, children) for found in (child, *below(child))]

    def asleep() -> list[int]:
        return [pid for pid in below(supervisor) if name_of(pid) == "sleep"]

    await until(lambda: len(asleep()) == count)
    return asleep()


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


async def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end, "it did not happen within 20 s"
        await asyncio.sleep(0.02)
