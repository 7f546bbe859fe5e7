"""What one company has does not exist for another: every command answers as it does for a name of nothing."""

import pytest
from commandline import CommandLine
from leasehold.orchestrator.cli.commands import COMMANDS, Command

# what each command is told about the other company's lease L, environment E and run R
NAMING = {
    "run": ["E", "--", "true"],
    "acquire": ["E"],
    "exec": ["L", "--", "true"],
    "shell": ["L"],
    "release": ["L", "--force"],
    "fail": ["L", "--reason", "x", "--force"],
    "extend": ["L", "1h"],
    "forget": ["L", "--reason", "x"],
    "ls": ["--env", "E", "--run", "R"],
    "show": ["L", "--journal"],
    "journal": ["L"],
    "diagram": ["L"],
    "env show": ["E"],
    "env probe": ["E"],
    "env archive": ["E"],
    "drivers check": ["E"],
    "replay": ["L", "--force"],
}
# those of the last line are the duties of whoever runs the ledger, as verify is
NAMELESS = {"prune", "env list", "env add", "drivers", "doctor", "verify", "db upgrade", "db current"} | {
    "worker",
    "sweep",
    "db restored",
}
OTHER = {"LEASEHOLD_COMPANY": "other"}


def leaves(commands: tuple[Command, ...], above: str = "") -> set[str]:
    found: set[str] = set()
    for command in commands:
        name = f"{above} {command.name}".strip()
        found |= leaves(command.commands, name) | ({name} if command.target else set())
    return found


def test_every_command_is_listed_here() -> None:
    assert leaves(COMMANDS) == NAMING.keys() | NAMELESS


@pytest.fixture
def names(cli: CommandLine) -> dict[str, str]:
    """The names of what a company has: a held lease, an environment and a run."""
    environment = cli("env", "add", "theirs", "--driver", "local", "--json", code=0).json
    lease = cli("acquire", "theirs", "--quiet", "--run-id", "their-run", "--mode", "copy", code=0).stdout.strip()
    return {"L": lease, "E": environment["id"], "R": "their-run"}


def test_no_command_reaches_or_betrays_what_another_company_has(cli: CommandLine, names: dict[str, str]) -> None:
    nothing = {"L": "l" + "z" * (len(names["L"]) - 1), "E": "a" + "0" * (len(names["E"]) - 1), "R": "no-such-run"}
    before = cli("show", names["L"], "--journal", "--json", code=0).json
    for command, words in NAMING.items():
        told: list[str] = []
        for given in (names, nothing):
            arguments = [*command.split(), *(given.get(word, word) for word in words)]
            ran = cli(*arguments, variables=OTHER)
            shown = f"{ran.code}\n{ran.stdout}\n{ran.error if 'error: ' in ran.stderr else ''}"
            for name, value in given.items():
                shown = shown.replace(value, f"<{name}>")
            told.append(shown)
        assert told[0] == told[1], command
    assert cli("ls", "--json", "--env", names["E"], variables=OTHER, code=0).json == []
    after = cli("show", names["L"], "--journal", "--json", code=0).json
    for each in (before, after):
        each["claimed_until"] = None
    assert after == before
    cli("release", names["L"], code=0)
