"""What ``leasehold`` shows: records with the keys of the public surface, listings, pictures."""

import os
import pty
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from commandline import LEASEHOLD, CommandLine
from leasehold.orchestrator.cli.commands import COMMANDS
from stores import both, on_sqlite

LEASE_KEYS = """
id company_id run_id issue_id agent_id adapter_type environment provider provider_lease_id policy mode
state status stuck cleanup error_code error_stage error_message cleanup_error_code pending
end_requested owner epoch claimed_until created_at acquired_at expires_at keep_until next_try_at
released_at workspace_realization execution_target metadata
"""
JOURNAL_KEYS = "seq at event kind from to attempt owner epoch error_code duration_ms details"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@both
def test_the_records_of_a_run(cli: CommandLine) -> None:
    given = ("--run-id", "r7", "--issue", "i7", "--agent", "a7", "--adapter", "shell", "--env", "WORD=hello")
    assert cli("run", *given, "--", "sh", "-c", "echo $WORD", code=0).stdout == "hello\n"
    [record] = cli("ls", "--json", "--run", "r7", code=0).json
    assert list(record) == LEASE_KEYS.split()
    shown = cli("show", record["id"], "--journal", "--json", code=0).json
    journal = shown.pop("journal")
    assert shown == record
    assert journal == cli("journal", record["id"], "--json", code=0).json
    assert all(list(row) == JOURNAL_KEYS.split() for row in journal)
    assert [row["seq"] for row in journal] == list(range(1, len(journal) + 1))
    assert (record["issue_id"], record["agent_id"], record["adapter_type"]) == ("i7", "a7", "shell")
    assert list(record["environment"]) == ["id", "name", "driver"]
    assert (record["environment"]["name"], record["provider"], record["mode"]) == ("local", "local", "in_place")
    assert (record["state"], record["status"], record["cleanup"]) == ("released", "released", "succeeded")
    assert (record["pending"], record["stuck"], record["claimed_until"]) == (None, None, None)
    moments = [record[name] for name in ("created_at", "acquired_at", "expires_at", "released_at")]
    moments += [row["at"] for row in journal]
    moments += [row["details"]["deadline"] for row in journal if row["kind"] == "begun"]
    assert all(MOMENT.fullmatch(moment) for moment in moments)
    assert record["workspace_realization"]["mode"] == "in_place"
    assert record["execution_target"]["kind"] == "local"
    assert record["metadata"] == {}
    stranger = {"LEASEHOLD_COMPANY": "another"}
    assert "there is no lease" in cli("show", record["id"], code=1, variables=stranger).error


def test_a_step_under_way_is_shown_as_pending(
    cli: CommandLine, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    told = tmp_path / "told"
    running = cli.start("run", "--mode", "copy", "--provision", f"touch {told}; sleep 300", "--", "true")
    until(told.exists)
    [record] = cli("ls", "--json", "--state", "realized", code=0).json
    assert list(record["pending"]) == ["event", "attempt", "since", "deadline"]
    assert record["pending"]["event"] == "provision"
    assert MOMENT.fullmatch(record["claimed_until"])
    shown = cli("show", record["id"], code=0).stdout
    assert "open step    provision since " in shown
    assert f"owner        process {running.pid} on " in shown
    running.terminate()
    cli.finish(running)


def test_listings_are_filtered_and_fit_a_terminal(cli: CommandLine) -> None:
    assert cli("ls", code=0).stdout == "no lease fits\n"
    cli("run", "--quiet", "--run-id", "good", "--", "true", code=0)
    cli("run", "--quiet", "--run-id", "bad", "--", "false", code=1)
    cli("run", "--quiet", "--run-id", "a-run-with-quite-a-long-name-of-its-own", "nowhere", "--", "true", code=125)
    table = cli("ls", code=0).stdout
    assert table.splitlines()[0].split() == ["LEASE", "ENV", "RUN", "STATE", "STATUS", "AGE", "WHY"]
    assert "\x1b" not in table
    assert [row["run_id"] for row in cli("ls", "--json", "--status", "failed", "--env", "local", code=0).json] == [
        "bad"
    ]
    assert "no lease is stuck" in cli("ls", "--stuck", code=0).stdout
    drawn = on_terminal(cli, 100, "ls")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)
    assert "\x1b[" in drawn
    assert max(len(line) for line in plain.splitlines()) <= 100
    assert all(lease["id"] in plain for lease in cli.leases())
    assert "\x1b[3" not in on_terminal(cli, 100, "ls", variables={"NO_COLOR": "1"})


def test_a_narrow_terminal_leaves_out_columns_before_it_breaks_words(cli: CommandLine) -> None:
    cli("run", "--quiet", "--", "false", code=1)
    lease = cli.lease()
    for columns, least in ((80, {"STATE", "STATUS"}), (60, {"STATUS"})):
        heads, *rows = drawn_plain(cli, columns, "ls")
        assert {"LEASE", "WHY", *least} <= {*heads.split()}
        assert all(len(row) <= columns for row in rows)
        [row] = [row for row in rows if lease["id"] in row]
        assert {"failed", "run_failed"} <= {*row.split()}
        assert ("RUN" in heads.split()) == (lease["run_id"] in row)
        heads, *rows = drawn_plain(cli, columns, "journal", lease["id"])
        assert columns - heads.index("DETAILS") >= 20
        assert any("run_failed" in row for row in rows)
    assert cli("ls", code=0).stdout.split()[:7] == ["LEASE", "ENV", "RUN", "STATE", "STATUS", "AGE", "WHY"]


def drawn_plain(cli: CommandLine, columns: int, *arguments: str) -> list[str]:
    """The lines that are drawn on a terminal of that width, without their colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", on_terminal(cli, columns, *arguments)).splitlines()


def test_a_journal_names_its_zone_and_the_day_where_it_is_another(cli: CommandLine) -> None:
    cli("run", "--quiet", "--", "true", code=0)
    lease = cli.lease()["id"]
    heads, row, *_ = cli("journal", lease, code=0).stdout.splitlines()
    assert heads.split()[1:3] == ["AT", "(UTC)"]
    at = cli("journal", lease, "--json", code=0).json[0]["at"]
    assert row.split()[1] in (at[11:-1], at[:10])  # by midnight it is yesterday


def on_terminal(cli: CommandLine, columns: int, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """What is drawn on a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = cli.environment({"TERM": "xterm-256color", **(variables or {})})
    process = subprocess.Popen(
        [LEASEHOLD, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cli.work, env=environment
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break  # the last who held the terminal has gone
        if not piece:
            break
        drawn += piece
    os.close(ours)
    process.wait(30)
    return drawn.decode().replace("\r\n", "\n")


def test_pictures(cli: CommandLine, tmp_path: Path) -> None:
    cli("run", "--quiet", "--", "false", code=1)
    lease = cli.lease()["id"]
    assert cli("diagram", lease, code=0).stdout.startswith("stateDiagram-v2\n")
    assert "run_failed" in cli("diagram", lease, "--format", "dot", code=0).stdout
    for name, beginning in (("m.svg", b"<svg"), ("m.png", b"\x89PNG"), ("m.dot", b"digraph")):
        assert cli("diagram", "-o", str(tmp_path / name), code=0).stdout == ""
        assert (tmp_path / name).read_bytes().startswith(beginning)
    assert "cannot be written" in cli("diagram", "-o", str(tmp_path / "no" / "m.svg"), code=1).error


def test_environments(cli: CommandLine) -> None:
    assert "there is no environment yet" in cli("env", "list", code=0).stdout
    made = cli("env", "add", "box", "--driver", "scripted", "--policy", "retain_on_failure", "--ttl", "5m", code=0)
    assert made.stdout.startswith("environment box (scripted) is ready")
    taken = cli("env", "add", "box", "--driver", "local", code=2).error
    assert taken.startswith('error: an environment "box" exists already')
    [record] = cli("env", "list", "--json", code=0).json
    assert record == cli("env", "show", "box", "--json", code=0).json
    assert (record["policy"], record["ttl"], record["status"]) == ("retain_on_failure", 300.0, "active")
    assert cli("env", "probe", "box", "--json", code=0).json["ok"] is True
    cli("env", "add", "ill", "--driver", "scripted", "--set", 'script=[{"verb":"probe","what":"lie","answer":"sick"}]')
    assert cli("env", "probe", "ill", code=1).stdout != ""
    cli("env", "archive", "box", code=0)
    assert cli("run", "box", "--", "true", code=125).error == (
        'error: environment_inactive: Environment "box" is not active (status: archived); leasehold env add box '
        "--driver scripted takes its name up again, with settings anew; leasehold env list shows the others"
    )


def test_an_archived_environment_may_be_added_again(cli: CommandLine) -> None:
    cli("run", "--quiet", "--", "true", code=0)
    before = cli("env", "archive", "local", "--json", code=0).json
    error = cli("run", "--quiet", "--", "true", code=125).error
    again = re.search(r"; leasehold (env add local --driver local) takes", error)
    assert again is not None
    cli(*again[1].split(), "--ttl", "5m", code=0)
    after = cli("env", "show", "local", "--json", code=0).json
    assert (after["id"], after["status"], after["ttl"]) == (before["id"], "active", 300.0)
    cli("run", "--quiet", "--", "true", code=0)
    assert "exists already" in cli("env", "add", "local", "--driver", "local", code=2).error
    made = cli("env", "add", "a name/x", "--driver", "local", code=0).stdout
    assert made.endswith("try it: leasehold env probe 'a name/x'\n")


def test_drivers_doctor_and_version(cli: CommandLine) -> None:
    names = {row["name"]: row for row in cli("drivers", "--json", code=0).json}
    assert names["local"]["capabilities"]["modes"] == ["in_place", "copy", "git_worktree"]
    assert "local" in cli("drivers", code=0).stdout
    health = cli("doctor", "--json", code=0).json
    assert health["ok"] is True
    details = {check["name"]: check["detail"] for check in health["checks"]}
    assert {"leasehold", "store", "local: git", "local: root"} <= set(details)
    for name in {"local: root", "bubblewrap: root"} & set(details):
        assert details[name].startswith(f"{cli.state_folder}/places, ")
    probed = {check["name"]: check["detail"] for check in cli("env", "probe", "local", "--json", code=0).json["checks"]}
    assert probed["root"].startswith(f"{cli.state_folder}/places, ")
    lines = [" ".join(line.split()) for line in cli("doctor", code=0).stdout.splitlines()]
    assert any(line.startswith(f"store ok {cli.url}: at version") for line in lines)
    assert cli("--version", code=0).stdout.startswith("leasehold 0")


@on_sqlite
def test_doctor_where_no_store_can_be_made(cli: CommandLine) -> None:
    (cli.home / "file").write_text("")
    nowhere = {"LEASEHOLD_STORE": "", "LEASEHOLD_STATE_FOLDER": f"{cli.home}/file/lh"}
    why = f"the store's folder cannot be made: {cli.home}/file/lh: Not a directory"
    ran = cli("doctor", code=1, variables=nowhere)
    assert why in ran.stdout
    assert "does not work: store" in ran.stdout
    error = cli("run", "--", "true", code=125, variables=nowhere).error
    assert (
        error == f"error: {why}; name another with LEASEHOLD_STATE_FOLDER, or a store with LEASEHOLD_STORE or --store"
    )


def test_doctor_shows_where_settings_are_and_slips_in_their_names(cli: CommandLine) -> None:
    ran = cli("doctor", code=0, variables={"LEASEHOLD_CLAIM_SECOND": "3", "LEASEHOLD_PLACE": "x"})
    file = f"{cli.home}/.config/leasehold/leasehold.toml"
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert (
        f"settings ok LEASEHOLD_* variables, then {file}, which is not there; state folder {cli.state_folder}" in lines
    )
    [slip] = [line for line in lines if line.startswith("LEASEHOLD_")]
    assert "there is no such setting: the variable does nothing; mean LEASEHOLD_CLAIM_SECONDS, or unset it" in slip


@on_sqlite
def test_doctor_on_a_store_that_is_damaged(cli: CommandLine) -> None:
    cli.store.write_bytes(b"no database at all, but some text that is long enough to be read as one")
    ran = cli("doctor", code=1)
    assert "the store is damaged" in ran.stdout
    assert "does not work: store" in ran.stdout


def test_drivers_check_tells_each_verdict_as_it_comes(cli: CommandLine) -> None:
    checking = cli.start("drivers", "check", "local")
    assert checking.stdout is not None
    for _ in range(3):
        assert re.fullmatch(r"(ok|skipped) +[a-z]+: .+ \(\d+\.\d s\).*\n", checking.stdout.readline())
    checking.send_signal(signal.SIGINT)
    assert cli.finish(checking).code == 130


def test_help_teaches_and_every_command_has_one(cli: CommandLine) -> None:
    text = cli("--help", code=0).stdout
    assert cli(code=0).stdout == text
    for part in ("Run something:", "End what is held:", "Examples:", "leasehold run --mode git_worktree"):
        assert part in text
    names = re.findall(r"^  ([a-z]+) {2,}[A-Z]", text, re.MULTILINE)
    assert len(names) == len(COMMANDS)
    for name in ("run", "acquire", "ls", "env"):
        assert cli(name, "--help", code=0).stdout.startswith(f"Usage: leasehold {name} ")


def test_help_imports_no_more_than_it_needs() -> None:
    heavy = ("sqlalchemy", "pydantic", "rich", "asyncio", "leasehold.states", "leasehold.orchestrator.orchestrator")
    program = (
        "import sys; from leasehold.orchestrator.cli.program import program; "
        f"program(['--help']); print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
