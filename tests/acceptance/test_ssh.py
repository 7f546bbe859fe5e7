"""``leasehold run`` over ssh, as a person would: a project of others, changes both ways, deaths and bad hosts."""

import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine, gone
from sshd import Sshd
from stores import on_sqlite

pytestmark = [pytest.mark.timeout(180), on_sqlite]

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def server(ssh_server: Sshd) -> Sshd:
    return ssh_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "places"


def add(cli: CommandLine, server: Sshd, root: Path, **settings: object) -> None:
    """The environment ``far``, on that server."""
    words = [f"{key}={value}" for key, value in {**server.config(), "root": root, **settings}.items()]
    cli("env", "add", "far", "--driver", "ssh", *(word for pair in words for word in ("--set", pair)), code=0)


def places(root: Path) -> list[str]:
    return [entry.name for entry in root.iterdir() if entry.name != ".fences"] if root.exists() else []


def nothing_left(cli: CommandLine, root: Path) -> None:
    assert places(root) == []
    assert cli("ls", "--stuck", "--json", code=0).json == []
    cli("verify", code=0)


def test_a_change_comes_back(cli: CommandLine, server: Sshd, root: Path, repository: Path) -> None:
    (repository / ".git" / "info" / "exclude").write_text("secret\n")
    (repository / "secret").write_text("of this machine\n")
    add(cli, server, root)
    script = (
        'test "$PWD" != "$OLD" && test ! -e secret && echo more >> a.txt && mkdir new && printf x > "new/ü b" '
        "&& git add -A && git -c user.name=t -c user.email=t@t.invalid commit -qm far && echo loose > loose"
    )
    ran = cli("run", "far", "--", "sh", "-c", script, code=0)
    assert (repository / "a.txt").read_text() == "a\nmore\n", ran.stderr
    assert (repository / "new" / "ü b").read_text() == "x"
    assert (repository / "loose").read_text() == "loose\n"
    assert (repository / "secret").read_text() == "of this machine\n"
    log = subprocess.run(["git", "log", "--format=%s"], cwd=repository, capture_output=True, text=True, check=True)
    assert log.stdout.split() == ["far", "one"]
    nothing_left(cli, root)


@pytest.mark.long
def test_a_command_that_fails_has_its_own_code_and_its_changes_are_kept(
    cli: CommandLine, server: Sshd, root: Path, repository: Path
) -> None:
    add(cli, server, root)
    ran = cli("run", "far", "--", "sh", "-c", "echo there > a.txt; exit 7", code=7)
    assert (repository / "a.txt").read_text() == "a\n"
    assert "refs/leasehold/" in ran.stderr
    nothing_left(cli, root)


@pytest.mark.long
def test_the_streams_and_the_terminal_are_the_commands_own(
    cli: CommandLine, server: Sshd, root: Path, repository: Path
) -> None:
    add(cli, server, root)
    lease = cli("acquire", "far", "--quiet", code=0).stdout.strip()
    ran = cli("exec", lease, "--", "sh", "-c", "cat; echo err >&2; exit 3", stdin="in\n")
    assert (ran.code, ran.stdout, ran.stderr) == (3, "in\n", "err\n")
    ran = cli("shell", lease, stdin="pwd; exit 4\n")
    assert (ran.code, ran.stdout.strip()) == (4, str(root / places(root)[0] / "tree"))
    cli("release", lease, code=0)
    nothing_left(cli, root)


@pytest.mark.long
def test_changes_are_kept_by_a_machine_that_has_no_mirror_of_the_place(
    cli: CommandLine, server: Sshd, root: Path, repository: Path, state_folder: Path, tmp_path: Path
) -> None:
    add(cli, server, root)
    lease = cli("acquire", "far", "--quiet", code=0).stdout.strip()
    cli("exec", lease, "--", "sh", "-c", "echo there > a.txt; echo new > b.txt", code=0)
    (state_folder / "mirrors").rename(tmp_path / "another-machine")
    cli("fail", lease, "--reason", "test", code=0)
    [archive] = (state_folder / "kept").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert {"changed/a.txt", "changed/b.txt"} <= set(names)
    assert "changed/run.sh" not in names
    nothing_left(cli, root)


@pytest.mark.long
def test_secrets_are_in_no_argument_list_and_no_record(
    cli: CommandLine, server: Sshd, root: Path, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("tok3n-value\n")
    add(cli, server, root, variables=json.dumps({"TOKEN": f"file:{tmp_path}/token"}))
    script = 'printf %s "$TOKEN" | wc -c; cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "tok3n[-]value"'
    ran = cli("run", "far", "--", "sh", "-c", script)
    assert ran.stdout.split() == ["11", "0"]
    key = server.identity.read_text().splitlines()[1]
    for path in [*cli.state_folder.rglob("*"), *root.rglob("*")]:
        if path.is_file():
            data = path.read_bytes()
            assert b"tok3n-value" not in data, path
            assert key.encode() not in data, path


# --- hosts that are not as they should be


def refused(cli: CommandLine, code: str, *words: str) -> None:
    """A run ends with this code in one clear line, and runs nothing."""
    ran = cli("run", "far", "--", "echo", "ran")
    assert ran.code == 125, ran.stderr
    assert "ran" not in ran.stdout
    assert code in ran.error
    for word in words:
        assert word in ran.error, ran.error


def test_a_host_with_another_key_is_refused(cli: CommandLine, server: Sshd, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    kind, key, *_ = (server.folder / "identity.pub").read_text().split()
    other.write_text(f"[{server.host}]:{server.port} {kind} {key}\n")
    add(cli, server, root, known_hosts=other)
    refused(cli, "lease_acquire_failed", "key")
    assert places(root) == []
    probed = cli("env", "probe", "far", code=1)
    assert "known_hosts" in probed.stdout


def test_an_unknown_host_is_refused(cli: CommandLine, server: Sshd, root: Path, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    add(cli, server, root, known_hosts=tmp_path / "known_hosts")
    refused(cli, "lease_acquire_failed", "key")


def test_a_login_that_is_refused_is_told(cli: CommandLine, server: Sshd, root: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    add(cli, server, root, identity=f"file:{tmp_path}/other")
    refused(cli, "lease_acquire_failed", "Permission denied")
    probed = cli("env", "probe", "far", code=1)
    assert "authorized_keys" in probed.stdout


def test_a_host_that_is_down_is_told(cli: CommandLine, server: Sshd, root: Path) -> None:
    add(cli, server, root, port=1)
    refused(cli, "lease_acquire_failed", "refused")


@pytest.mark.long
@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
@pytest.mark.parametrize(("option", "said"), [("size=1m", "No space left"), ("ro", "Read-only")])
def test_a_root_that_is_full_or_read_only_is_told(
    cli: CommandLine, server: Sshd, root: Path, repository: Path, option: str, said: str
) -> None:
    root.mkdir()
    (repository / "big").write_bytes(os.urandom(3_000_000))
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(root)], check=True, timeout=10)
    try:
        add(cli, server, root)
        code = "workspace_realization_failed" if "size" in option else "lease_acquire_failed"
        refused(cli, code, said)
        if "size" in option:
            nothing_left(cli, root)
    finally:
        subprocess.run(["umount", str(root)], check=True, timeout=10)


def test_a_link_out_of_the_tree_does_not_come_back(
    cli: CommandLine, server: Sshd, root: Path, repository: Path
) -> None:
    add(cli, server, root)
    ran = cli("run", "far", "--", "sh", "-c", "ln -s /etc/passwd out; ln -s ../../up up; ln -s a.txt fine; echo b > b")
    assert ran.code == 125
    assert "workspace_sync_failed" in ran.error
    assert "outside of the tree" in ran.error
    assert sorted(entry.name for entry in repository.iterdir()) == [".git", "a.txt"]
    cli("release", cli.lease()["id"], code=0)
    nothing_left(cli, root)


@pytest.mark.long
def test_special_files_stay_and_odd_names_come_back(
    cli: CommandLine, server: Sshd, root: Path, repository: Path
) -> None:
    add(cli, server, root)
    script = (
        "mkfifo pipe; printf 1 > 'line\nbreak'; printf 2 > \"$(printf 'no\\377text')\"; "
        "printf 3 > -dash; printf 4 > ' blank '"
    )
    cli("run", "far", "--", "sh", "-c", script, code=0)
    found = sorted(os.listdir(os.fsencode(repository)))  # noqa: PTH208
    assert found == [b" blank ", b"-dash", b".git", b"a.txt", b"line\nbreak", b"no\xfftext"]
    nothing_left(cli, root)


@pytest.mark.long
def test_a_repository_that_a_run_has_armed_runs_nothing_here(
    cli: CommandLine, server: Sshd, root: Path, repository: Path, tmp_path: Path
) -> None:
    add(cli, server, root)
    bad = tmp_path / "armed"
    script = (
        f"git config core.fsmonitor 'touch {bad}'; git config filter.x.clean 'touch {bad}; cat'; "
        f"echo '* filter=x' > .gitattributes; printf '#!/bin/sh\\ntouch {bad}\\n' > .git/hooks/post-index-change; "
        "chmod +x .git/hooks/post-index-change; "
        "git init -q in; cd in; echo s > s; git add s; git -c user.name=n -c user.email=e commit -qm s; "
        f"git config filter.y.clean 'touch {bad}; cat'; echo 's filter=y' > .gitattributes; cd ..; git add in; "
        f"touch -d 2001-01-01 in/s; echo more >> a.txt; rm -f {bad}"
    )
    cli("run", "far", "--", "sh", "-c", script, code=0)
    assert (repository / "a.txt").read_text() == "a\nmore\n"
    assert not bad.exists()
    nothing_left(cli, root)


@pytest.mark.long
def test_a_provision_command_that_daemonises_ends_with_its_lease(
    cli: CommandLine, server: Sshd, root: Path, repository: Path, tmp_path: Path, until: Until
) -> None:
    add(cli, server, root)
    told = tmp_path / "told"
    daemon = f"setsid sh -c 'echo $$ > {told}; exec sleep 300' > /dev/null 2>&1 < /dev/null &"
    cli("run", "far", "--provision", f"{daemon} sleep 0.5", "--", "true", code=0)
    until(lambda: gone(int(told.read_text())))
    nothing_left(cli, root)


@pytest.mark.long
def test_a_host_that_reboots_under_a_lease_loses_the_command_and_leaves_nothing(
    cli: CommandLine, root: Path, repository: Path, tmp_path: Path
) -> None:
    server = Sshd(tmp_path / "rebooting")
    server.start()
    try:
        add(cli, server, root)
        running = cli.start("run", "far", "--", "sh", "-c", "echo there > a.txt; echo up; sleep 300")
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        server.stop(everything=True)
        ran = cli.finish(running)
        assert ran.code == 125, (ran.code, ran.stderr)
        lease = cli.lease()["id"]
        server.start()
        cli("replay", lease, "--force")
        cli("release", lease)
        nothing_left(cli, root)
    finally:
        server.stop()
