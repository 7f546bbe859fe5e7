"""A run that was killed, settled on the command line."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from commandline import CommandLine
from killing import killed
from stores import on_sqlite


def test_kill_look_plan_replay(cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]) -> None:
    lease = killed(cli, until)
    stuck = cli("ls", "--stuck", code=0).stdout
    assert f"leasehold replay {lease}" in stuck
    plan = cli("replay", lease, "--dry-run", code=0).stdout
    assert "owner_lost" in plan
    assert "  would end the lease as failed, then clean its place up\n" in plan
    assert cli.lease()["state"] == "targeted"
    done = cli("replay", lease, code=0).stdout
    assert "now: failed (lease_owner_lost), cleanup succeeded" in done
    assert cli("ls", "--stuck", code=0).stdout == "no lease is stuck\n"
    assert "nothing is left to settle" in cli("replay", lease, code=0).stdout
    assert cli("replay", "--stuck", code=0).stdout == "no lease is stuck\n"
    assert "nothing is wrong" in cli("verify", code=0).stdout


def test_all_that_is_stuck_and_resumed_as_json(
    cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    lease = killed(cli, until)
    [planned] = cli("replay", "--stuck", "--dry-run", "--resume", "--json", code=0).json
    assert (planned["lease_id"], planned["open"], planned["moves"], planned["done"]) == (
        lease,
        "targeted",
        ["leave"],
        False,
    )
    [done] = json.loads(cli("replay", "--stuck", "--resume", "--json", code=0).stdout)
    assert (done["moves"], done["done"]) == (["leave"], True)
    assert "is not stuck: nobody holds it" in cli("replay", lease, code=1).error
    assert cli("exec", lease, "--", "cat", "a.txt", code=0).stdout == "a\n"
    cli("release", lease, code=0)


def test_what_cannot_be_replayed(cli: CommandLine) -> None:
    assert "no lease was named" in cli("replay", code=2).error
    assert "exclude each other" in cli("replay", "x", "--stuck", code=2).error
    assert "--force takes one lease" in cli("replay", "--stuck", "--force", code=2).error
    assert "there is no lease zz" in cli("replay", "zz", code=1).error
    running = cli.start("run", "--", "sh", "-c", "echo up; sleep 300")
    assert running.stdout is not None
    running.stdout.readline()
    assert "is held by process" in cli("replay", cli.lease()["id"], code=1).error


@on_sqlite
def test_a_dead_owner_is_not_said_to_live_while_its_claim_holds(cli: CommandLine) -> None:
    running = cli.start("run", "--", "sh", "-c", "echo up; sleep 300")
    cli.until_said(running, "up")
    running.kill()
    running.wait(30)
    lease, gone = cli.lease()["id"], f"process {running.pid} on {socket.gethostname()}, which is gone; its claim"
    over = cli("show", lease, "--json", code=0).json["claimed_until"]
    assert cli("replay", lease, code=1).error == (
        f"error: lease {lease} is held by {gone} is over at {over}; --force takes it over at once"
    )
    assert f"owner        {gone} holds until {over[:19]}Z\n" in cli("show", lease, code=0).stdout
    assert "now: failed" in cli("replay", lease, "--force", code=0).stdout


def test_the_recorded_demonstration_plays() -> None:
    """Every step of the README's picture, again."""
    recorder = Path(__file__).parents[2] / "docs" / "record.py"
    played = subprocess.run([sys.executable, recorder], capture_output=True, text=True, timeout=120, check=False)
    assert played.returncode == 0, played.stderr
    assert played.stdout.endswith("1 lease checked: nothing is wrong\n")
