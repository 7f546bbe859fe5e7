"""What is left when a lease has ended: where changes were kept, and why a cleanup does not succeed."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine
from killing import CLAIM, killed

REFUSES = json.dumps([{"verb": "release", "message": "Connection refused"}])
KEPT = "changes are kept in refs/leasehold/"


@pytest.fixture
def changed(cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]) -> str:
    """A lease whose run was killed after it had changed its worktree."""
    return killed(cli, until, command="echo more >> a.txt")


def test_replay_says_where_changes_were_kept(cli: CommandLine, changed: str) -> None:
    assert "kept" not in cli("replay", changed, "--dry-run", code=0).stderr
    done = cli("replay", changed, code=0)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{KEPT}{changed} until ")
    assert "; see them: git " in last
    assert cli("replay", changed, code=0).stderr == done.stderr
    assert f"changes kept  refs/leasehold/{changed} until " in cli("show", changed, code=0).stdout


def test_so_does_replay_of_all_that_is_stuck(cli: CommandLine, changed: str) -> None:
    assert (
        cli("replay", "--stuck", code=0).stderr.splitlines()[-1].startswith(f"lease {changed}: {KEPT}{changed} until")
    )


def test_and_its_json(cli: CommandLine, changed: str) -> None:
    [planned] = cli("replay", "--stuck", "--dry-run", "--json", code=0).json
    assert (planned["kept"], planned["notes"], planned["cleanup_message"]) == ([], [], None)
    [done] = cli("replay", "--stuck", "--json", code=0).json
    [kept] = done["kept"]
    assert (kept["where"], list(kept)) == (f"refs/leasehold/{changed}", ["where", "how", "until"])
    assert (done["notes"], done["cleanup_message"]) == ([], None)


def test_a_lease_whose_changes_are_kept_is_not_pruned(cli: CommandLine, changed: str) -> None:
    cli("replay", changed, code=0)
    cli("run", "--quiet", "--", "true", code=0)
    pruned = cli("prune", "--older-than", "0.01s", code=0).stdout.splitlines()
    assert pruned[0].startswith("1 lease deleted ")
    assert pruned[1:] == ["1 lease left whose changes are kept yet; leasehold show LEASE says where"]
    assert cli("prune", "--older-than", "0.01s", "--json", code=0).json == {"deleted": 0, "left": [changed]}
    assert "changes kept" in cli("show", changed, code=0).stdout


def test_a_cleanup_that_fails_says_why_everywhere_and_names_a_way_out(cli: CommandLine, tmp_path: Path) -> None:
    cli("env", "add", "box", "--driver", "scripted", "--set", f"root={tmp_path}", "--set", f"script={REFUSES}", code=0)
    ran = cli("run", "--quiet", "box", "--", "true", code=0)
    lease = cli.lease()["id"]
    warning = "warning: the place is not cleaned up: Connection refused; try again: leasehold release"
    assert ran.stderr == f"{warning} {lease}\n"
    shown = cli("show", lease, code=0).stdout
    assert "cleanup      failed (1 try): lease_release_failed\n" in shown
    assert "last try     Connection refused\n" in shown
    assert "forget" not in shown
    assert "  last try: lease_release_failed: Connection refused\n" in cli("ls", "--stuck", code=0).stdout
    replayed = cli("replay", lease, code=1)
    assert replayed.stderr == f"{warning} {lease}\n"
    [record] = cli("replay", "--stuck", "--json", code=1).json
    assert record["cleanup_message"] == "Connection refused"
    forget = f"if it can never succeed: leasehold forget {lease} --reason WHY"
    assert cli("release", lease, code=1).stderr == f"{warning} {lease}; {forget}\n"
    assert forget in cli("show", lease, code=0).stdout
    assert forget in cli("ls", "--stuck", code=0).stdout


def test_a_cleanup_that_succeeds_in_the_end_is_shown_so(cli: CommandLine, tmp_path: Path) -> None:
    script = json.dumps([{"verb": "release", "message": "Connection refused", "call": 1}])
    cli("env", "add", "box", "--driver", "scripted", "--set", f"root={tmp_path}", "--set", f"script={script}", code=0)
    cli("run", "--quiet", "box", "--", "true", code=0)
    lease = cli.lease()["id"]
    cli("release", lease, code=0)
    shown = cli("show", lease, code=0).stdout
    assert "cleanup      succeeded after 1 try that failed (lease_release_failed)\n" in shown
    assert "last try" not in shown


def test_an_acquire_that_made_nothing_says_so_in_plain_words(cli: CommandLine, tmp_path: Path) -> None:
    script = json.dumps([{"verb": "acquire", "error": "Refused"}])
    cli("env", "add", "box", "--driver", "scripted", "--set", f"root={tmp_path}", "--set", f"script={script}", code=0)
    said = cli("run", "box", "--", "true", code=125).stderr
    assert re.search(r"^leasehold: clean.*: owe nothing, for no place stands$", said, re.MULTILINE)
    assert "absolve" not in said
    assert cli.lease()["cleanup"] == "not_needed"


def test_a_plan_that_its_driver_decides_is_told_for_each_answer(
    cli: CommandLine, until: Callable[[Callable[[], bool]], None]
) -> None:
    running = cli.start("run", "--mode", "copy", "--provision", "sleep 300", "--", "true", variables=CLAIM)
    until(lambda: any(row["pending"] and row["pending"]["event"] == "provision" for row in cli("ls", "--json").json))
    running.kill()
    running.wait(30)
    until(lambda: bool(cli("ls", "--stuck", "--json", code=0).json))
    plan = cli("replay", "--stuck", "--dry-run", "--resume", code=0).stdout.splitlines()
    assert plan[1:3] == ["  open: provision", "  because: The driver is asked first; its answer decides."]
    assert plan[3].startswith("  if the command has ended, and how: would use the exit status that was recorded. ")
    assert plan[4].startswith("  if it cannot say: would make the workspace anew. ")
    cli("replay", "--stuck", code=0)


def test_a_place_that_somebody_else_removed_is_told_of(cli: CommandLine) -> None:
    lease = cli("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    [place] = [path for path in (cli.state_folder / "places").iterdir() if not path.name.startswith(".")]
    shutil.rmtree(place)
    said = cli("release", lease, code=0)
    assert "the place was gone already: what was changed there could not be kept" in said.stderr + said.stdout
    assert cli.lease()["cleanup"] == "succeeded"
    lease = cli("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    assert "gone already" not in cli("release", lease, code=0).stderr
