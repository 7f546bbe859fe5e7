"""Signals to a running ``leasehold``: the command ends, the lease says why, and nothing is left."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine, gone
from leasehold.orchestrator.cli.program import program
from leasehold.orchestrator.lease import Lease
from stores import both

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
# it says its own id and that of a child that hides from its group
UP = "sh -c 'setsid sleep 300 & echo $$ $!; wait'"


def worktrees(repository: Path) -> str:
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    return listed.stdout


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_run_that_is_signalled_ends_its_command_and_its_lease(
    cli: CommandLine, repository: Path, number: signal.Signals, code: int
) -> None:
    before = worktrees(repository)
    running = cli.start("run", "--mode", "git_worktree", "--", "bash", "-c", f"trap '' {number.name}; {UP}")
    assert running.stdout is not None
    pids = [int(word) for word in running.stdout.readline().split()]
    running.send_signal(number)
    ran = cli.finish(running)
    assert ran.code == code
    assert "error:" not in ran.stderr
    assert all(gone(pid) for pid in pids)
    lease = cli.lease()
    assert (lease["state"], lease["error_code"], lease["cleanup"]) == ("failed", "lease_cancelled", "succeeded")
    assert worktrees(repository) == before
    cli("verify", code=0)


def test_a_terminal_that_is_closed_ends_the_run_like_any_signal(cli: CommandLine, repository: Path) -> None:
    before = worktrees(repository)
    ours, theirs = os.openpty()
    command = [*cli.program, "run", "--mode", "git_worktree", "--", "sh", "-c", "echo up; exec sleep 300"]
    variables = {**cli.environment(), "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=repository, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as running:
        os.close(theirs)
        seen = b""
        while b"up\r\n" not in seen:
            seen += os.read(ours, 4096)
        os.close(ours)
        running.send_signal(signal.SIGHUP)
        assert running.wait(60) == 129
    lease = cli.lease()
    assert (lease["state"], lease["error_code"], lease["cleanup"]) == ("failed", "lease_cancelled", "succeeded")
    assert worktrees(repository) == before


def test_a_signal_while_it_provisions_ends_the_provisioning(
    cli: CommandLine, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    told = tmp_path / "told"
    running = cli.start("run", "--mode", "copy", "--provision", f"echo $$ > {told}; sleep 300", "--", "true")
    until(lambda: told.exists() and told.read_text().endswith("\n"))
    running.send_signal(signal.SIGINT)
    assert cli.finish(running).code == 130
    assert gone(int(told.read_text()))
    lease = cli.lease()
    assert (lease["state"], lease["error_code"], lease["cleanup"]) == ("failed", "lease_cancelled", "succeeded")
    journal = cli("journal", lease["id"], "--json", code=0).json
    assert ("provision", "abandoned") in [(row["event"], row["kind"]) for row in journal]


def test_a_signalled_run_keeps_its_place_where_that_was_asked_for(cli: CommandLine) -> None:
    running = cli.start("run", "--mode", "copy", "--keep", "on-failure,1h", "--", "sh", "-c", "echo up; sleep 300")
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    ran = cli.finish(running)
    assert ran.code == 143
    lease = cli.lease()
    assert lease["cleanup"] == "retained"
    assert ran.stderr.splitlines()[-1].endswith(f"leasehold shell {lease['id']}")


def test_a_signalled_exec_lets_go_of_the_lease_again(cli: CommandLine) -> None:
    lease = cli("acquire", "--quiet", code=0).stdout.strip()
    running = cli.start("exec", lease, "--", "sh", "-c", "echo $$; sleep 300")
    assert running.stdout is not None
    pid = int(running.stdout.readline())
    running.send_signal(signal.SIGINT)
    assert cli.finish(running).code == 130
    assert gone(pid)
    row = cli.lease()
    assert (row["state"], row["owner"], row["pending_event"]) == ("targeted", None, None)


@both
def test_a_run_that_is_killed_leaves_what_fail_can_end(
    cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    before = worktrees(repository)
    claim = {"LEASEHOLD_CLAIM_SECONDS": "1"}
    running = cli.start("run", "--mode", "git_worktree", "--", "bash", "-c", UP, variables=claim)
    assert running.stdout is not None
    pids = [int(word) for word in running.stdout.readline().split()]
    lease = cli.lease()["id"]
    running.kill()
    running.wait(30)
    until(lambda: all(gone(pid) for pid in pids))
    cli("verify", code=0)
    until(lambda: cli("ls", "--stuck", "--json", code=0).json != [])
    stuck = cli("ls", "--stuck", code=0).stdout
    assert f"{lease}  targeted  owner_lost" in stuck
    assert f"leasehold replay {lease}" in stuck
    cli("fail", lease, "--reason", "its host died", code=0)
    row = cli.lease()
    assert (row["state"], row["error_code"], row["cleanup"]) == ("failed", "lease_owner_lost", "succeeded")
    assert row["error_message"] == "its host died"
    assert worktrees(repository) == before
    cli("verify", code=0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_while_acquire_lets_go_leaves_no_lease_that_nobody_knows(
    cli: CommandLine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    for name, value in cli.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(cli.work)
    detach = Lease.detach

    async def signalled(self: Lease) -> None:
        if when == "after":
            await detach(self)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(Lease, "detach", signalled)
    assert program(["acquire", "--mode", "copy", "--quiet"]) == 143
    said, lease = capfd.readouterr().out.strip(), cli.lease()
    if when == "after":
        assert (said, lease["state"], lease["owner"]) == (lease["id"], "targeted", None)
        cli("release", said, code=0)
    else:
        assert (said, lease["state"], lease["error_code"]) == ("", "failed", "lease_cancelled")
    assert cli.lease()["cleanup"] == "succeeded"
