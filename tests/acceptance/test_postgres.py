"""``leasehold`` on PostgreSQL says and does what it does on SQLite; who uses SQLite pays nothing for it."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
from commandline import LEASEHOLD, CommandLine, Ran
from postgres import PostgresServer


class OnPostgres:
    """``leasehold`` with its store on a server."""

    def __init__(self, cli: CommandLine, url: str) -> None:
        self.cli = cli
        self.url = url

    def __call__(self, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None) -> Ran:
        return self.cli(*arguments, code=code, variables={"LEASEHOLD_STORE": self.url, **(variables or {})})


@pytest.fixture
def shared(cli: CommandLine, postgres: PostgresServer, database: str) -> OnPostgres:
    return OnPostgres(cli, postgres.url(database))


def test_a_run_is_seen_everywhere(shared: OnPostgres) -> None:
    assert shared("run", "--run-id", "r1", "--", "sh", "-c", "echo out; exit 3", code=3).stdout == "out\n"
    [listed] = shared("ls", "--json").json
    assert (listed["state"], listed["error_code"], listed["cleanup"]) == ("failed", "run_failed", "succeeded")
    beginning = listed["id"][:12]
    shown = shared("show", beginning, "--journal", "--json").json
    assert shown["id"] == listed["id"]
    assert [row["seq"] for row in shared("journal", beginning, "--json").json] == [*range(1, len(shown["journal"]) + 1)]
    assert shared("verify").stdout == "1 lease checked: nothing is wrong\n"
    assert "is at version" in shared("db", "current").stdout
    assert f"store              ok  {shared.url}: at version" in shared("doctor").stdout
    assert shared.cli.leases() == []


def test_a_held_lease_is_used_and_ended_by_other_processes(shared: OnPostgres) -> None:
    shared("env", "add", "place", "--driver", "local")
    (shared.cli.work / "a").write_text("a\n")
    lease = shared("acquire", "place", "--mode", "copy").stdout.strip()
    assert shared("exec", lease, "--", "cat", "a").stdout == "a\n"
    shared("extend", lease, "2h")
    assert [row["id"] for row in shared("ls", "--status", "active", "--json").json] == [lease]
    assert shared("ls", "--stuck", "--json").json == []
    shared("release", lease)
    assert shared("ls", "--json").json[0]["state"] == "released"
    assert shared("verify").code == 0


def test_a_bad_store_is_one_line_without_its_password(shared: OnPostgres, postgres: PostgresServer) -> None:
    postgres.roles()
    locked = {"LEASEHOLD_STORE": shared.url.replace("postgres@", "locked:sesame@")}
    said = 'error: the store refused the login: password authentication failed for user "locked"; check the user and'
    for arguments, code in ((("ls",), 1), (("run", "--", "true"), 125), (("db", "current"), 1)):
        ran = shared(*arguments, code=code, variables=locked)
        assert ran.error.startswith(said)
        assert "sesame" not in ran.stderr + ran.stdout
    doctor = shared("doctor", code=1, variables=locked)
    assert "locked:***@" in doctor.stdout
    assert "sesame" not in doctor.stdout + doctor.stderr
    elsewhere = {"LEASEHOLD_STORE": "postgresql://u:sesame@127.0.0.1:1/x"}
    assert "the store cannot be reached" in shared("ls", code=1, variables=elsewhere).error
    shared("ls", code=2, variables={"LEASEHOLD_STORE": "postgresql+asyncpg://u:sesame@127.0.0.1/x"})


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--", "true"]])
def test_who_uses_sqlite_never_imports_psycopg(cli: CommandLine, arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", str(LEASEHOLD), *arguments]
    done = subprocess.run(
        command, cwd=cli.work, env=cli.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert "leasehold.orchestrator" in done.stderr
    assert "psycopg" not in done.stderr
    assert "dialects.postgresql" not in done.stderr
