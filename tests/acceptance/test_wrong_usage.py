"""What is asked wrongly: one line that names it, exit code 2 (1 for an object that does not exist), no trace."""

import os
import subprocess
from collections.abc import Sequence

import pytest
from commandline import LEASEHOLD, CommandLine
from leasehold.orchestrator.cli.program import program

RUN = ("--", "true")
WRONG: Sequence[tuple[Sequence[str], str]] = (
    (("lss",), "No such command 'lss'. Did you mean 'ls'?; leasehold --help"),
    (("--no-such-option",), "No such option: --no-such-option"),
    (("run",), "no command was given; write it after --"),
    (("run", "--"), "no command was given; write it after --"),
    (("run", "ls", "-l"), "No such option: -l; the command goes after --, as in: leasehold run -- make test"),
    (
        ("run", "a", "b"),
        "Got unexpected extra argument(s) (b); the command goes after --, as in: leasehold run -- make",
    ),
    (
        ("exec", "lx", "make"),
        "Got unexpected extra argument(s) (make); the command goes after --, as in: leasehold exec LEASE -- make test",
    ),
    (("exec",), "Missing argument 'LEASE'; leasehold exec --help"),
    (("run", "--env"), "Option '--env' requires an argument; leasehold run --help"),
    (("run", "-q", "--env", *RUN), "Option '--env' requires an argument; leasehold run --help"),
    (("ls", "--store"), "Option '--store' requires an argument; leasehold ls --help"),
    (("run", "--mode", "sideways", *RUN), "there is no mode 'sideways'; use one of: in_place, copy, git_worktree"),
    (("run", "--policy", "never", *RUN), "there is no policy 'never'; use one of: ephemeral"),
    (("run", "--sync-back", "maybe", *RUN), "there is no sync_back 'maybe'; use one of: on-success, always, never"),
    (("run", "--ttl", "soon", *RUN), "not a duration: 'soon'; write 90, 90s, 5m, 2h or 7d"),
    (("run", "--timeout", "0", *RUN), "a duration is more than nothing"),
    (("run", "--keep", "always", *RUN), "--keep does not know 'always'; write on-failure"),
    (("run", "--keep", "on-failure,", *RUN), "--keep does not know 'on-failure,'"),
    (("run", "--keep", "on-failure", "--policy", "ephemeral", *RUN), "--keep and --policy exclude each other"),
    (("run", "--env", "NOT_SET_ANYWHERE", *RUN), "--env NOT_SET_ANYWHERE: the variable is not set here"),
    (("run", "--env", "1X=2", *RUN), "--env takes NAME or NAME=VALUE"),
    (("exec", "lx"), "no command was given; write it after --"),
    (("ls", "--state", "asleep"), "there is no state 'asleep'; use one of: requested, resolved"),
    (("ls", "--status", "odd"), "there is no status 'odd'; use one of: active, retained"),
    (("fail", "lx"), "Missing option '--reason'"),
    (("fail", "lx", "--reason", " "), "--reason is empty"),
    (("extend", "lx", "-5"), "No such option: -5"),
    (("diagram", "--format", "gif"), "there is no format 'gif'; use one of: mermaid, dot, svg, png"),
    (("worker", "--health", "no/x"), "--health no/x: there is no folder "),
    (("worker", "--once", "--health", "x"), "--once writes no health file; leave --health out"),
    (("env", "add", "x"), "Missing option '--driver'"),
    (("env", "add", "x", "--driver", "abacus"), "driver abacus is not installed; install it, or use one of: local"),
    (("env", "add", "x", "--driver", "plugin"), "--driver plugin needs --set plugin=NAME"),
    (("env", "add", "x", "--driver", "sandbox", "--set", "provider=local"), "local is no sandbox; use --driver local"),
    (("env", "add", "x", "--driver", "sandbox", "--set", "provider=abacus"), "driver abacus is not installed"),
    (("env", "add", "x", "--driver", "sandbox", "--set", "memory=lots"), "--set memory: Value error, a size is bytes"),
    (("env", "add", "x", "--driver", "sandbox", "--set", "image=x"), "--set image: Extra inputs are not permitted"),
    (("env", "add", "x", "--driver", "local", "--set", "colour=red"), "--set colour: Extra inputs are not permitted"),
    (("env", "add", "x", "--driver", "scripted", "--set", "keyed=perhaps"), "--set keyed: Input should be a valid"),
    (("env", "add", "x", "--driver", "local", "--set", "root"), "--set takes KEY=VALUE"),
    (
        ("env", "add", "x", "--driver", "local", "--set", 'variables={"TOKEN": "hunter2"}'),
        "--set variables.TOKEN: Value error, a secret is named by env:NAME, file:PATH or cmd:COMMAND",
    ),
    (("env", "add", " x", "--driver", "local"), "not a name for an environment"),
    (("--store", "/tmp/x.db", "ls"), "not a store URL: /tmp/x.db; use sqlite:////path/to/file.db"),
    (("--store", "oracle://u:secret@h/x", "ls"), "a store of kind oracle is not supported"),
)
MISSING: Sequence[tuple[Sequence[str], str]] = (
    (("show", "lx"), "there is no lease lx; leasehold ls shows what there is"),
    (("release", "lx"), "there is no lease lx"),
    (("env", "show", "nowhere"), 'Environment "nowhere" not found; leasehold env list shows what there is'),
    (("drivers", "check", "nowhere"), "there is no environment nowhere, and driver nowhere is not installed"),
)
SETTINGS = (
    ("LEASEHOLD_CLAIM_SECONDS", "many", "setting claim_seconds: Input should be a valid number"),
    ("LEASEHOLD_TTL_SECONDS", "-1", "setting ttl_seconds: Input should be greater than 0"),
)


@pytest.fixture
def here(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The same surroundings for this process: a table of many rows would start Python many times."""
    for name in [name for name in os.environ if name.startswith("LEASEHOLD_")]:
        monkeypatch.delenv(name)
    for name, value in cli.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(cli.work)
    return cli


@pytest.mark.parametrize(("arguments", "error"), WRONG, ids=[" ".join(row[0])[:40] for row in WRONG])
def test_wrong_usage(
    here: CommandLine, capfd: pytest.CaptureFixture[str], arguments: Sequence[str], error: str
) -> None:
    assert program(list(arguments)) == 2
    out, err = capfd.readouterr()
    assert err.startswith(f"error: {error}")
    assert (out, err.count("\n")) == ("", 1)
    assert "hunter2" not in err
    assert "secret@" not in err
    assert here.leases() == []


def test_wrong_usage_from_outside(cli: CommandLine) -> None:
    assert cli("run", "ls", "-l", code=2).error.startswith("error: No such option: -l; the command goes after --")
    assert cli("show", "lx", code=1).error.startswith("error: there is no lease lx")


@pytest.mark.parametrize(("arguments", "error"), MISSING, ids=[" ".join(row[0]) for row in MISSING])
@pytest.mark.usefixtures("here")
def test_an_object_that_does_not_exist(capfd: pytest.CaptureFixture[str], arguments: Sequence[str], error: str) -> None:
    assert program(list(arguments)) == 1
    assert capfd.readouterr().err.startswith(f"error: {error}")


@pytest.mark.parametrize(("name", "value", "error"), SETTINGS)
@pytest.mark.usefixtures("here")
def test_a_setting_that_cannot_be_meant(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: str
) -> None:
    monkeypatch.setenv(name, value)
    assert program(["ls"]) == 2
    assert capfd.readouterr().err.startswith(f"error: {error}")


def test_a_settings_file_that_is_no_toml(cli: CommandLine) -> None:
    file = cli.home / ".config" / "leasehold" / "leasehold.toml"
    file.parent.mkdir(parents=True)
    file.write_text("claim_seconds = [")
    assert cli("ls", code=2).error.startswith("error: the settings cannot be read: ")

    file.write_text("claim_second = 3")
    assert cli("ls", code=2).error == (
        f"error: {file}: there is no setting claim_second; mean claim_seconds, or leave it out"
    )


@pytest.mark.usefixtures("here")
def test_debug_shows_the_trace_and_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--debug", "show", "lx"], ["show", "lx", "--debug"]):
        assert program(arguments) == 1
        told = capfd.readouterr().err
        assert "Traceback" in told
        assert told.splitlines()[-1].startswith("error: there is no lease lx")


def test_a_reader_that_has_gone_is_no_error(cli: CommandLine) -> None:
    cut_off = subprocess.run(
        ["bash", "-c", f'"{LEASEHOLD}" diagram | true; exit ${{PIPESTATUS[0]}}'],
        capture_output=True,
        text=True,
        env=cli.environment(),
        check=False,
    )
    assert cut_off.stderr == ""
    assert cut_off.returncode in (0, 141)
