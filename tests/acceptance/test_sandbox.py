"""A sandbox from outside: ``leasehold`` on bubblewrap."""

from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine
from stores import on_sqlite

pytestmark = on_sqlite  # a sandbox knows no store


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


def test_provision_and_a_later_command_share_the_place(cli: CommandLine, repository: Path) -> None:
    cli("env", "add", "limited", "--driver", "sandbox", "--set", "memory=512m", "--set", "pids=300", code=0)
    ran = cli(
        *("run", "limited", "--provision", "mkdir -p ~/bin; echo 'echo tool' > ~/bin/tool; echo x > /tmp/x", "--"),
        *("sh", "-c", "sh ~/bin/tool; cat /tmp/x; exit 3"),
        code=3,
    )
    assert ran.stdout == "tool\nx\n"
