"""A lease that is held: acquired, used from other processes, ended from other processes."""

import os
import pty
import re
import signal
import subprocess
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSCTTY

from commandline import LEASEHOLD, CommandLine
from stores import both

ID = re.compile(r"[a-z0-9]{16,}\n")


@both
def test_acquire_use_and_release_by_a_prefix_of_the_id(cli: CommandLine) -> None:
    (cli.work / "a.txt").write_text("here\n")
    acquired = cli("acquire", "--mode", "copy", "--provision", "echo provisioned > made", "--run-id", "r1", code=0)
    assert ID.fullmatch(acquired.stdout)
    assert "realize" in acquired.stderr
    lease = acquired.stdout.strip()
    row = cli.lease()
    assert (row["state"], row["owner"], row["run_id"]) == ("targeted", None, "r1")
    ran = cli(
        "exec", lease[:12], "--env", "WORD=hello", "--", "sh", "-c", "cat a.txt made; echo $WORD; cat", stdin="in\n"
    )
    assert (ran.code, ran.stdout, ran.stderr) == (0, "here\nprovisioned\nhello\nin\n", "")
    assert cli("shell", lease, stdin="pwd; exit 5\n").code == 5
    before = cli("show", lease, "--json", code=0).json["expires_at"]
    extended = cli("extend", lease, "48h", code=0).stdout
    after = cli("show", lease, "--json", code=0).json["expires_at"]
    assert after > before
    assert after[:19] in extended
    assert cli("release", lease[:12], code=0).stdout == f"lease {lease} is released\n"
    assert cli("release", lease, code=0).stdout == f"lease {lease} is released already, and nothing is owed\n"
    assert "the lease has ended" in cli("exec", lease, "--", "true", code=125).error


def test_a_prefix_that_fits_several_leases_or_none(cli: CommandLine) -> None:
    for _ in range(2):
        cli("acquire", "--quiet", "--share", code=0)
    assert "more than one lease begins with l" in cli("show", "l", code=1).error
    assert "there is no lease zz" in cli("exec", "zz", "--", "true", code=1).error


@both
def test_a_living_owner_is_asked_and_ends_its_own_lease(cli: CommandLine) -> None:
    claim = {"LEASEHOLD_CLAIM_SECONDS": "1.5"}
    running = cli.start("run", "--", "sh", "-c", "echo up; sleep 300", variables=claim)
    assert running.stdout is not None
    running.stdout.readline()
    lease = cli.lease()["id"]
    assert "is held by process" in cli("exec", lease, "--", "true", code=125, variables=claim).error
    before = cli.lease()["expires_at"]
    assert "lives until" in cli("extend", lease, "90h", code=0, variables=claim).stdout
    assert cli.lease()["expires_at"] > before
    asked = cli("fail", lease, "--reason", "not wanted any more", code=0, variables=claim)
    assert f"asked its owner, process {running.pid}" in asked.stderr
    ran = cli.finish(running)
    assert (ran.code, ran.error) == (125, "error: run_failed: not wanted any more")
    row = cli.lease()
    assert (row["state"], row["error_code"], row["cleanup"]) == ("failed", "run_failed", "succeeded")


def test_an_owner_that_does_not_answer_is_said_so_and_can_be_taken_over(cli: CommandLine) -> None:
    patient, hasty = {"LEASEHOLD_CLAIM_SECONDS": "60"}, {"LEASEHOLD_CLAIM_SECONDS": "1"}
    running = cli.start("run", "--", "sh", "-c", "echo up; sleep 300", variables=patient)
    assert running.stdout is not None
    running.stdout.readline()
    lease = cli.lease()["id"]
    running.send_signal(signal.SIGSTOP)
    error = cli("release", lease, code=1, variables=hasty).error
    assert f"lease {lease} is active (targeted) after 2 s" in error
    assert "--force" in error
    assert cli("show", lease, "--json", code=0).json["end_requested"] == {"end": "release"}
    cli("release", lease, "--force", code=0, variables=hasty)
    running.send_signal(signal.SIGCONT)
    ran = cli.finish(running)
    assert (ran.code, ran.error) == (
        125,
        f"error: lease_owner_lost: lease {lease} is lost: another process moved it on",
    )
    assert (cli.lease()["state"], cli.lease()["cleanup"]) == ("released", "succeeded")
    cli("verify", code=0)


def test_keep_on_failure_keeps_the_place_and_says_what_opens_it(cli: CommandLine, repository: Path) -> None:
    ran = cli(
        "run", "--mode", "git_worktree", "--keep", "on-failure,2h", "--", "sh", "-c", "echo b > b.txt; exit 6", code=6
    )
    lease = cli.lease()
    last = ran.stderr.splitlines()[-1]
    where = re.search(r" in (\S+); open it: leasehold shell (\S+)$", last)
    assert where is not None
    assert where[2] == lease["id"]
    assert (Path(where[1]) / "b.txt").read_text() == "b\n"
    opened = cli("shell", where[2], stdin="pwd; cat b.txt; exit 3\n", code=3)
    assert opened.stdout == f"{where[1]}\nb\n"
    assert cli.lease()["cleanup"] == "retained"
    released = cli("release", where[2], code=0)
    assert f"changes are kept in refs/leasehold/{lease['id']} until" in released.stderr
    assert not Path(where[1]).exists()
    assert (cli.lease()["state"], cli.lease()["cleanup"]) == ("failed", "succeeded")
    cli("verify", code=0)


def test_a_shell_on_a_terminal_has_its_own_job_control(cli: CommandLine) -> None:
    lease = cli("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [LEASEHOLD, "shell", lease],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cli.work,
        env=cli.environment({"SHELL": "/bin/bash", "TERM": "dumb"}),
        preexec_fn=lambda: login(theirs),
    )
    os.close(theirs)
    prompted = re.compile(rb"[#$] \Z")
    read_until(ours, prompted)
    os.write(ours, b"sh -c 'echo up-$((1 + 1)); exec sleep 300'\n")
    read_until(ours, re.compile(rb"up-2\r\n"))
    os.write(ours, b"\x03")
    read_until(ours, prompted)
    os.write(ours, b"exit 7\n")
    assert process.wait(60) == 7
    os.close(ours)
    assert (cli.lease()["state"], cli.lease()["owner"]) == ("targeted", None)


def read_until(terminal: int, wanted: re.Pattern[bytes]) -> None:
    """Read what is drawn until it shows what is wanted."""
    drawn = b""
    while wanted.search(drawn) is None:
        drawn += os.read(terminal, 65536)


def login(terminal: int) -> None:
    """Make the terminal the one that this new session is controlled from."""
    os.setsid()
    ioctl(terminal, TIOCSCTTY, 0)


def test_a_good_run_keeps_nothing(cli: CommandLine) -> None:
    ran = cli("run", "--quiet", "--mode", "copy", "--keep", "on-failure", "--", "true", code=0)
    assert ran.stderr == ""
    assert cli.lease()["cleanup"] == "succeeded"


def test_forgetting_takes_a_place_out_of_our_care_and_says_who_did(cli: CommandLine) -> None:
    cli("run", "--quiet", "--mode", "copy", "--keep", "on-failure", "--", "false", code=1)
    lease = cli.lease()["id"]
    assert cli("forget", lease, "--reason", "copied by hand", code=0).stdout.startswith(f"the place of lease {lease}")
    row = cli("journal", lease, "--json", code=0).json[-1]
    assert (row["event"], row["to"], row["details"]["reason"]) == ("forget", "forgotten", "copied by hand")
    assert "@" in row["details"]["by"]


def test_a_refused_forget_leaves_a_living_lease_to_its_owner(cli: CommandLine) -> None:
    running = cli.start("run", "--", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done")
    assert running.stdout is not None
    running.stdout.readline()
    lease = cli.lease()["id"]
    assert "forget is not possible at targeted" in cli("forget", lease, "--reason", "x", code=1).error
    (cli.work / "go").write_text("")
    assert cli.finish(running).code == 0
