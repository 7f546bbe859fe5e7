"""The exit codes of ``run`` and ``exec``, as the table of the public surface has them."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from commandline import LEASEHOLD, CommandLine

SHELL = ("--", "sh", "-c")

ENDS: Sequence[tuple[str, Sequence[str], int, str, str | None]] = (
    # what happens, arguments, exit code, the error line's beginning (empty: none), the lease's code
    ("success", ("--", "true"), 0, "", None),
    ("its own code", (*SHELL, "exit 3"), 3, "", "run_failed"),
    ("its own 125", (*SHELL, "exit 125"), 125, "", "run_failed"),
    ("a signal", (*SHELL, "kill -TERM $$"), 143, "", "run_failed"),
    ("SIGKILL", (*SHELL, "kill -KILL $$"), 137, "", "run_failed"),
    ("its timeout", ("--timeout", "0.3", "--", "sleep", "60"), 124, "the command timed out", "run_failed"),
    ("not found", ("--", "no-such-command"), 127, "no-such-command: command not found", "run_failed"),
    ("not executable", ("--", "/etc/passwd"), 126, "/etc/passwd: not executable", "run_failed"),
    ("environment", ("no-such-place", "--", "true"), 125, "environment_not_found: ", "environment_not_found"),
    (
        "adapter",
        ("--adapter", "x", "--", "true"),
        125,
        "unsupported_adapter_environment: ",
        "unsupported_adapter_environment",
    ),
    (
        "workspace",
        ("--workspace", "no-such-folder", "--", "true"),
        125,
        "workspace_realization_failed: ",
        "workspace_realization_failed",
    ),
    (
        "provision",
        ("--mode", "copy", "--provision", "echo no disk >&2; exit 9", "--", "true"),
        125,
        'workspace_realization_failed: Failed to provision workspace for environment "local" (local): '
        "exit code 9: no disk",
        "workspace_realization_failed",
    ),
    ("expiry", ("--ttl", "1", "--", "sleep", "60"), 125, "lease_expired: ", "lease_expired"),
)


@pytest.mark.parametrize(
    ("arguments", "code", "error", "recorded"), [row[1:] for row in ENDS], ids=[r[0] for r in ENDS]
)
def test_run_ends_with(cli: CommandLine, arguments: Sequence[str], code: int, error: str, recorded: str | None) -> None:
    ran = cli("run", *arguments, code=code)
    lease = cli.lease()
    assert (lease["state"], lease["error_code"]) == ("failed" if recorded else "released", recorded)
    assert lease["cleanup"] in ("succeeded", "not_needed")
    assert ran.stdout == ""
    if error:
        assert ran.error.startswith(f"error: {error}")
    else:
        assert "error:" not in ran.stderr


def scripted(cli: CommandLine, name: str, **config: Any) -> None:
    settings = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in config.items()]
    arguments = [word for setting in settings for word in ("--set", setting)]
    cli("env", "add", name, "--driver", "scripted", "--set", f"root={cli.home}/{name}", *arguments, code=0)


def test_a_cleanup_that_failed_is_a_warning_beside_the_command_s_own_code(cli: CommandLine) -> None:
    scripted(cli, "sticky", script=[{"verb": "release", "call": 1, "message": "the disk is on fire"}])
    ran = cli("run", "sticky", "--", "anything", code=0)
    [warning] = [line for line in ran.stderr.splitlines() if line.startswith("warning: ")]
    lease = cli.lease()
    assert "the disk is on fire" in warning
    assert f"leasehold release {lease['id']}" in warning
    assert (lease["state"], lease["cleanup"]) == ("released", "failed")
    assert cli("release", lease["id"], code=0).stdout == f"lease {lease['id']} is released\n"
    assert cli.lease()["cleanup"] == "succeeded"
    cli("verify", code=0)


def test_a_place_that_fails_under_the_command_is_a_failure_of_the_lifecycle(cli: CommandLine) -> None:
    scripted(cli, "lost", results=[{"outcome": "target_lost"}])
    scripted(cli, "gone", script=[{"verb": "execute", "error": "Gone", "message": "the host went away"}])
    assert cli("run", "lost", "--", "true", code=125).error == (
        "error: run_failed: the place was lost while the command ran"
    )
    assert cli("run", "gone", "--", "true", code=125).error == "error: run_failed: the host went away"
    assert [lease["error_code"] for lease in cli.leases()] == ["run_failed", "run_failed"]


def test_a_sync_back_that_failed_is_a_failure_of_the_lifecycle_and_the_place_is_kept(cli: CommandLine) -> None:
    clash = [{"verb": "sync_back", "error": "SyncConflict", "message": "both sides changed a.txt"}]
    scripted(cli, "clash", syncs_back=True, transport="ssh", script=clash)
    ran = cli("run", "clash", "--mode", "copy", "--", "true", code=125)
    lease = cli.lease()
    assert ran.error.startswith("error: workspace_sync_failed: Failed to sync back")
    assert ran.stderr.splitlines()[-1].endswith(f"open it: leasehold shell {lease['id']}")
    assert (lease["state"], lease["error_code"], lease["cleanup"]) == ("failed", "workspace_sync_failed", "retained")


def test_exec_ends_as_run_does_and_the_lease_stays(cli: CommandLine) -> None:
    lease = cli("acquire", "--quiet", code=0).stdout.strip()
    assert cli("exec", lease, "--", "sh", "-c", "exit 4", code=4).stderr == ""
    cli("exec", lease, "--", "sh", "-c", "kill -INT $$", code=130)
    cli("exec", lease, "--timeout", "0.3", "--", "sleep", "60", code=124)
    cli("exec", lease, "--", "no-such-command", code=127)
    row = cli.lease()
    assert (row["state"], row["owner"]) == ("targeted", None)


def test_streams_that_the_caller_closed_or_that_are_full(cli: CommandLine) -> None:
    def shell(line: str) -> subprocess.CompletedProcess[str]:
        text = f'leasehold() {{ "{LEASEHOLD}" "$@"; }}; {line}'
        return subprocess.run(
            ["bash", "-c", text], cwd=cli.work, env=cli.environment(), capture_output=True, text=True, check=False
        )

    no_errors = shell("leasehold run -- sh -c 'echo out; echo err >&2; exit 4' 2>&-")
    assert (no_errors.returncode, no_errors.stdout, no_errors.stderr) == (4, "out\n", "")
    nothing = shell("leasehold run -- cat <&- >&- 2>&-")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "")
    full = shell("leasehold ls > /dev/full")
    assert full.returncode == 1
    assert full.stderr.startswith("error: [Errno 28] No space left on device; ")
    cli("verify", code=0)
