"""What of ``leasehold`` on PostgreSQL is not as on SQLite; who uses SQLite pays nothing for it."""

import subprocess
import sys

import pytest
from commandline import LEASEHOLD, CommandLine
from postgres import PostgresServer
from stores import on_postgresql, on_sqlite


@on_postgresql
def test_a_bad_store_is_one_line_without_its_password(cli: CommandLine, postgres: PostgresServer) -> None:
    postgres.roles()
    locked = {"LEASEHOLD_STORE": cli.url.replace("postgres@", "locked:sesame@")}
    said = 'error: the store refused the login: password authentication failed for user "locked"; check the user and'
    for arguments, code in ((("ls",), 1), (("run", "--", "true"), 125), (("db", "current"), 1)):
        ran = cli(*arguments, code=code, variables=locked)
        assert ran.error.startswith(said)
        assert "sesame" not in ran.stderr + ran.stdout
    doctor = cli("doctor", code=1, variables=locked)
    assert "locked:***@" in doctor.stdout
    assert "sesame" not in doctor.stdout + doctor.stderr
    elsewhere = {"LEASEHOLD_STORE": "postgresql://u:sesame@127.0.0.1:1/x"}
    assert "the store cannot be reached" in cli("ls", code=1, variables=elsewhere).error
    cli("ls", code=2, variables={"LEASEHOLD_STORE": "postgresql+asyncpg://u:sesame@127.0.0.1/x"})


@on_postgresql
def test_a_slip_in_the_database_s_name_makes_no_store(cli: CommandLine, postgres: PostgresServer) -> None:
    other = postgres.database()
    slip = {"LEASEHOLD_STORE": postgres.url(other)}
    assert cli("ls", code=1, variables=slip).error.startswith("error: there is no store at postgresql")
    assert postgres.ask("SELECT FROM pg_tables WHERE schemaname = 'public'", database=other) == []
    cli("run", "--", "true", code=0, variables=slip)
    assert [row["state"] for row in cli("ls", "--json", code=0, variables=slip).json] == ["released"]


@on_sqlite
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--", "true"]])
def test_who_uses_sqlite_never_imports_psycopg(cli: CommandLine, arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", str(LEASEHOLD), *arguments]
    done = subprocess.run(
        command, cwd=cli.work, env=cli.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert "leasehold.orchestrator" in done.stderr
    assert "psycopg" not in done.stderr
    assert "dialects.postgresql" not in done.stderr
