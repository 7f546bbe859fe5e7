"""What nobody's process owns any more, on the command line: sweep, worker, db restored."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from commandline import CommandLine

CLAIM = {"LEASEHOLD_CLAIM_SECONDS": "1"}


def places(cli: CommandLine) -> set[str]:
    return {path.name for path in (cli.state_folder / "places").iterdir() if not path.name.startswith(".")}


def test_a_planted_place_is_found_explained_and_destroyed(cli: CommandLine) -> None:
    held = cli("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    [place] = places(cli)
    orphan = place.replace(held, "l0000000000000000000")
    shutil.copytree(cli.state_folder / "places" / place, cli.state_folder / "places" / orphan)
    tags = cli.state_folder / "places" / orphan / "place.json"
    tags.write_text(tags.read_text().replace(held, "l0000000000000000000"))
    first = cli("sweep", code=0).stdout
    assert f"local place {place}: belongs: lease {held} has it" in first
    assert f"local place {orphan}: unknown: this ledger knows no lease l0000000000000000000" in first
    assert "--unknown would end it" in first
    assert "1 belong to leases, 1 of unknown leases" in first
    assert places(cli) == {place, orphan}
    decisions = cli("sweep", "--unknown", "--apply", "--grace", "0", "--json", code=0).json
    assert {each["place"]: each["decision"] for each in decisions} == {place: "belongs", orphan: "destroyed"}
    assert places(cli) == {place}
    cli("release", held, code=0)
    assert cli("sweep", code=0).stdout == "no place in any environment of this store bears our tags\n"


def test_a_worker_settles_what_a_killed_run_left(
    cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    running = cli.start("run", "--mode", "git_worktree", "--", "sh", "-c", "echo up; sleep 300", variables=CLAIM)
    assert running.stdout is not None
    running.stdout.readline()
    health = cli.work.parent / "health.json"
    worker = cli.start("worker", "--health", str(health), variables=CLAIM)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    until(lambda: cli.lease()["state"] == "failed")
    until(lambda: cli.lease()["cleanup"] == "succeeded")
    worker.send_signal(signal.SIGTERM)
    ended = cli.finish(worker)
    assert ended.code == 0
    assert f"lease {cli.lease()['id']}: owner_lost: failed (lease_owner_lost), cleanup succeeded" in ended.stderr
    assert '"error": null' in health.read_text()
    assert places(cli) == set()
    assert cli("worker", "--once", code=0).stderr == ""


def test_a_restored_store(cli: CommandLine) -> None:
    held = cli("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    plan = cli("db", "restored", code=0).stdout
    assert f"lease {held}: would end the lease as failed, then clean its place up\n" in plan
    assert "1 open lease, 1 place; a new incarnation would begin with --apply" in plan
    assert cli.lease()["state"] == "targeted"
    done = cli("db", "restored", "--apply", "--json", code=0).json
    assert done["applied"]
    assert [(each["lease_id"], each["done"]) for each in done["leases"]] == [(held, True)]
    assert (cli.lease()["state"], cli.lease()["cleanup"]) == ("failed", "succeeded")
    assert "nothing is wrong" in cli("verify", code=0).stdout


def test_a_driver_that_cannot_be_asked_is_named_with_its_environment(cli: CommandLine) -> None:
    cli("acquire", "--quiet", "--mode", "copy", code=0)
    cli("env", "add", "far", "--driver", "ssh", "--set", "host=127.0.0.1", "--set", "port=1", code=0)
    swept = cli("sweep", code=0).stdout
    assert "\nssh: left: it could not be asked (environment far): it is not well: " in swept
    assert swept.endswith("\n1 belong to leases, 1 driver could not be asked\n")
    plan = cli("db", "restored", code=0).stdout
    assert "(environment far)" in plan
    assert plan.splitlines()[-1].startswith("1 open lease, 1 place, 1 driver could not be asked; a new incarnation")


def test_wrong_usage(cli: CommandLine) -> None:
    assert "not a duration" in cli("sweep", "--grace", "soon", code=2).error
    assert "--sweep" in cli("worker", "--sweep", "now", code=2).error


def test_a_store_that_was_lost(cli: CommandLine) -> None:
    """What its leases left is found by a new store that knows no environment, and ended once its epochs are newer."""
    for _ in range(2):
        cli("acquire", "--quiet", "--mode", "copy", code=0)
    ledger = next(iter(places(cli))).partition("-")[0]
    fresh = {"LEASEHOLD_STORE": f"sqlite:///{cli.home}/fresh.db"}
    cli("db", "upgrade", code=0, variables=fresh)
    shown = cli("sweep", code=0, variables=fresh).stdout
    assert "2 of other ledgers" in shown
    assert f"--ledger {ledger} would name it" in shown
    ended = ("sweep", "--apply", "--grace", "0", "--ledger", ledger)
    refused = cli(*ended, code=1, variables=fresh).error
    assert "store_behind" in refused
    assert "leasehold db restored" in refused
    assert len(places(cli)) == 2
    cli("db", "restored", "--apply", code=0, variables=fresh)
    assert "2 destroyed" in cli(*ended, code=0, variables=fresh).stdout
    assert places(cli) == set()
