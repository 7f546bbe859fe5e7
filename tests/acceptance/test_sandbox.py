"""A sandbox from outside: ``leasehold`` on bubblewrap."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine, gone


@pytest.fixture(autouse=True)
def box(cli: CommandLine, require: Callable[[str], str]) -> None:
    """An environment of the driver ``sandbox``, whose default provider is bubblewrap."""
    require("bwrap")
    cli("env", "add", "box", "--driver", "sandbox", code=0)


def test_the_record_names_driver_and_provider(cli: CommandLine, repository: Path) -> None:
    shown = cli("env", "show", "box", "--json", code=0).json
    assert (shown["driver"], shown["provider"]) == ("sandbox", "bubblewrap")
    cli("run", "box", "--", "true", code=0)
    [lease] = cli("ls", "--json", code=0).json
    record = cli("show", lease["id"], "--json", code=0).json
    assert (record["environment"]["driver"], record["provider"]) == ("sandbox", "bubblewrap")
    assert record["workspace_realization"]["transport"] == "sandbox"
    assert record["execution_target"]["kind"] == "remote"
    assert cli("env", "probe", "box", "--json", code=0).json["ok"] is True


@pytest.mark.parametrize("mode", ["copy", "git_worktree"])
def test_what_a_good_run_changes_comes_back_and_what_a_bad_one_does_is_kept(
    cli: CommandLine, repository: Path, mode: str
) -> None:
    script = "echo changed > a.txt; echo new > made; echo gone > ~/note; exit {}"
    assert cli("run", "box", "--mode", mode, "--", "sh", "-c", script.format(0), code=0).stdout == ""
    assert ((repository / "a.txt").read_text(), (repository / "made").read_text()) == ("changed\n", "new\n")
    failed = cli("run", "box", "--mode", mode, "--", "sh", "-c", "echo worse > a.txt; exit 7", code=7)
    assert (repository / "a.txt").read_text() == "changed\n"
    kept = [line for line in failed.stderr.splitlines() if "refs/leasehold/" in line]
    assert kept, failed.stderr


def test_a_file_that_changed_on_both_sides_is_named_and_kept_twice(cli: CommandLine, repository: Path) -> None:
    cli("env", "add", "open", "--driver", "sandbox", "--set", f'writable=["{repository}"]', code=0)
    script = f"echo theirs > a.txt; echo ours > {repository}/a.txt"
    ran = cli("run", "open", "--mode", "copy", "--", "sh", "-c", script, code=125)
    assert ran.error.startswith("error: workspace_sync_failed: ")
    assert "a.txt" in ran.error
    assert (repository / "a.txt").read_text() == "ours\n"
    [lease] = cli("ls", "--status", "retained", "--json", code=0).json
    tree = Path(cli("show", lease["id"], "--json", code=0).json["workspace_realization"]["cwd"])
    assert (tree / "a.txt").read_text() == "theirs\n"


def test_provision_and_a_later_command_share_the_place(cli: CommandLine, repository: Path) -> None:
    cli("env", "add", "limited", "--driver", "sandbox", "--set", "memory=512m", "--set", "pids=300", code=0)
    ran = cli(
        *("run", "limited", "--provision", "mkdir -p ~/bin; echo 'echo tool' > ~/bin/tool; echo x > /tmp/x", "--"),
        *("sh", "-c", "sh ~/bin/tool; cat /tmp/x; exit 3"),
        code=3,
    )
    assert ran.stdout == "tool\nx\n"


def test_a_killed_caller_leaves_nothing_that_cleanup_does_not_end(
    cli: CommandLine, repository: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    script = "env -i setsid sleep 600 & echo up; exec sleep 600"
    process = cli.start("run", "box", "--ttl", "1h", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    [lease] = cli("ls", "--json", code=0).json
    until(lambda: bool(_commands_of(lease["id"])))
    ours = _commands_of(lease["id"])
    process.send_signal(signal.SIGKILL)
    until(lambda: all(map(gone, ours)))
    cli("fail", lease["id"], "--force", "--reason", "its caller was killed", code=0)
    assert not [path for path in (cli.state_folder / "places").iterdir() if path.name != ".fences"]


def _commands_of(lease_id: str) -> list[int]:
    """The processes of this lease's place that sleep."""
    found = subprocess.run(["pgrep", "-x", "sleep"], capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found if lease_id.encode() in _environment(pid)]


def _environment(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
