"""PostgreSQL servers that cannot do what is asked: one clear line, and nothing is lost. Every part is real."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import CommandLine
from postgres import PostgresServer

RUN = ("run", "--quiet", "--", "true")


@pytest.fixture
def replica(server: PostgresServer, cli: CommandLine, folder: Path) -> Iterator[PostgresServer]:
    """It follows a server on which a run has ended."""
    cli(*RUN, code=0)
    (folder / "replica").mkdir()
    replica = server.replica(folder / "replica")
    yield replica
    replica.stop()


@pytest.mark.long
def test_a_replica_is_asked_and_not_written_until_it_is_promoted(
    cli: CommandLine, replica: PostgresServer, until: Callable[[Callable[[], bool]], None]
) -> None:
    there = {"LEASEHOLD_STORE": replica.url()}
    read_only = "error: the store is read-only: cannot execute "
    listed = cli("ls", "--json", code=0, variables=there).json
    assert [row["state"] for row in listed] == ["released"]
    cli("show", listed[0]["id"], "--journal", code=0, variables=there)
    assert "nothing is wrong" in cli("verify", code=0, variables=there).stdout
    for arguments, code in ((RUN, 125), (("acquire",), 1), (("env", "add", "x", "--driver", "local"), 1)):
        error = cli(*arguments, code=code, variables=there).error
        assert error.startswith(read_only)
        assert error.endswith("; name the primary, not a replica")
    assert len(cli("ls", "--json", code=0).json) == 1
    cli(*RUN, code=0)
    until(lambda: len(cli("ls", "--json", code=0, variables=there).json) == 2)
    replica.promote()
    cli(*RUN, code=0, variables=there)
    assert [row["state"] for row in cli("ls", "--json", code=0, variables=there).json] == ["released"] * 3
    cli("verify", code=0, variables=there)


@pytest.mark.long
def test_a_role_that_may_only_read(cli: CommandLine, server: PostgresServer) -> None:
    cli(*RUN, code=0)
    server.ask("CREATE ROLE reader LOGIN")
    server.ask("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    there = {"LEASEHOLD_STORE": server.url(user="reader")}
    assert len(cli("ls", "--json", code=0, variables=there).json) == 1
    error = cli(*RUN, code=125, variables=there).error
    assert error.startswith("error: the store does not let this role do that: permission denied for table leasehold_")
    assert error.endswith("; grant the role its rights; leasehold db upgrade needs to create tables")
    assert len(cli("ls", "--json", code=0).json) == 1


@pytest.mark.long
def test_hosts_whose_clocks_are_an_hour_apart(
    cli: CommandLine, server: PostgresServer, shifted: Callable[[str], dict[str, str]]
) -> None:
    running = cli.start("run", "--share", "--run-id", "here", "--", "sh", "-c", "echo up; sleep 300")
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    [record] = cli("ls", "--json", code=0).json
    for offset in ("+1h", "-1h"):
        there = shifted(offset)
        [seen] = cli("ls", "--json", "--run", "here", code=0, variables=there).json
        assert (seen["state"], seen["stuck"]) == ("targeted", None)
        assert cli("ls", "--stuck", "--json", code=0, variables=there).json == []
        assert "is held by process" in cli("exec", record["id"], "--", "true", code=125, variables=there).error
        cli("run", "--share", "--ttl", "10m", "--run-id", f"host{offset}", "--", "true", code=0, variables=there)
    rows = cli("ls", "--json", code=0).json
    assert [row["run_id"] for row in rows] == ["host-1h", "host+1h", "here"]
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)
    running.terminate()
    cli.finish(running)
    cli("verify", code=0)


@pytest.mark.long
def test_a_second_ledger_in_the_same_database(cli: CommandLine, server: PostgresServer) -> None:
    second = {"LEASEHOLD_TABLE_PREFIX": "second_"}
    held = cli("acquire", "--quiet", "--run-id", "run", code=0).stdout.strip()
    assert cli("ls", code=1, variables=second).error.startswith("error: there is no store at ")
    cli("run", "--quiet", "--run-id", "run", "--", "true", code=0, variables=second)
    for variables, states in (({}, ["targeted"]), (second, ["released"])):
        assert [row["state"] for row in cli("ls", "--json", "--run", "run", code=0, variables=variables).json] == states
        assert "1 lease checked: nothing is wrong" in cli("verify", code=0, variables=variables).stdout
    assert "there is no lease" in cli("release", held, code=1, variables=second).error
    cli("prune", "--older-than", "1s", code=0, variables=second)
    cli("release", held, code=0)
    prefixes = "SELECT DISTINCT split_part(tablename, '_', 1) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    assert server.ask(prefixes) == [("leasehold",), ("second",)]
