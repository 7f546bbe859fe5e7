"""SQLite stores that are damaged, newer, locked, read-only or full: one line that says what to do, and no trace."""

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable

import pytest
from commandline import LEASEHOLD, CommandLine
from leasehold.orchestrator.cli.program import program
from leasehold.orchestrator.store.migration import HEAD
from stores import on_sqlite

IMPATIENT = {"LEASEHOLD_STORE_PATIENCE_SECONDS": "0.3"}

pytestmark = on_sqlite


def test_a_damaged_store(cli: CommandLine) -> None:
    cli.store.write_bytes(b"no database at all, but some text that is long enough to be read as one")
    for arguments, code in ((("ls",), 1), (("run", "--", "true"), 125), (("db", "current"), 1)):
        error = cli(*arguments, code=code).error
        assert error.startswith("error: the store is damaged: file is not a database; restore it from a backup")


def test_a_store_whose_pages_are_damaged(cli: CommandLine) -> None:
    cli("run", "--quiet", "--", "true", code=0)
    with cli.store.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    cli.store.with_name(f"{cli.store.name}-wal").unlink(missing_ok=True)
    assert cli("ls", code=1).error.startswith("error: the store is damaged: ")
    assert cli("verify", code=1).error.startswith("error: the store is damaged: ")


def test_a_store_that_is_newer(cli: CommandLine) -> None:
    with sqlite3.connect(cli.store) as connection:
        connection.execute("UPDATE leasehold_version SET version_num = '9999'")
    connection.close()
    too_new = f"error: the store is at version 9999, newer than this Leasehold's {HEAD}; install the Leasehold"
    assert cli("ls", code=1).error.startswith(too_new)
    assert cli("run", "--", "true", code=125).error.startswith(too_new)
    assert cli("db", "upgrade", code=1).error.startswith(too_new)
    assert f"is at version 9999, this Leasehold's is {HEAD}" in cli("db", "current", code=1).stdout


def test_a_store_that_is_locked(cli: CommandLine) -> None:
    connection = sqlite3.connect(cli.store, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    locked = "error: the store is locked by another process; end the process that holds it, and try again"
    assert cli("run", "--", "true", code=125, variables=IMPATIENT).error == locked
    assert cli("env", "add", "x", "--driver", "local", code=1, variables=IMPATIENT).error == locked
    cli("ls", code=0, variables=IMPATIENT)
    connection.execute("ROLLBACK")
    connection.close()
    cli("run", "--", "true", code=0)


def test_a_store_that_is_read_only(cli: CommandLine, require: Callable[[str], str]) -> None:
    cli("run", "--quiet", "--", "true", code=0)
    for path in cli.store.parent.glob(f"{cli.store.name}*"):
        path.chmod(stat.S_IRUSR)
    # root may write everything: it gives that up first
    bound = [] if os.geteuid() else [require("setpriv"), "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    done = subprocess.run(
        [*bound, LEASEHOLD, "run", "--", "true"],
        cwd=cli.work,
        env=cli.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    [line] = done.stderr.splitlines()
    assert line.startswith("error: the store cannot be written: ")
    assert line.endswith("; check the file's and folder's permissions")


def run_within(cli: CommandLine, size: int) -> list[str]:
    """What ``run`` says where no file may grow beyond so many bytes."""
    done = subprocess.run(
        [LEASEHOLD, "run", "--", "true"],
        cwd=cli.work,
        env=cli.environment(),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        check=False,
    )
    assert done.returncode == 125, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_a_store_that_cannot_grow(cli: CommandLine) -> None:
    assert run_within(cli, 8192)[-1].startswith("error: the store ")


def test_a_store_that_cannot_grow_by_a_lease(cli: CommandLine) -> None:
    cli("db", "upgrade", code=0)
    said = run_within(cli, 49152)
    assert any(line.startswith("leasehold: resolve ") for line in said)  # it came so far
    [error] = [line for line in said if not line.startswith("leasehold: ")]
    assert error.startswith("error: the store ")
    assert cli.leases() == []


def test_a_store_in_no_folder(cli: CommandLine) -> None:
    (cli.home / "file").write_text("")
    url = f"sqlite:///{cli.home}/file/x.db"
    error = cli("--store", url, "run", "--", "true", code=125).error
    assert error.startswith("error: the store's folder cannot be made: ")


LOOKS = (
    *(("ls",), ("ls", "--stuck"), ("show", "l"), ("journal", "l"), ("diagram", "l"), ("verify",), ("release", "l")),
    *(("env", "list"), ("env", "show", "x"), ("exec", "l", "--", "true"), ("prune", "--older-than", "1d")),
)


@pytest.mark.parametrize("arguments", LOOKS, ids=[" ".join(words) for words in LOOKS])
def test_a_slip_in_the_url_makes_no_store(
    cli: CommandLine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    url = f"sqlite:///{cli.home}/slip/of.db"
    for name, value in cli.environment({"LEASEHOLD_STORE": url}).items():
        monkeypatch.setenv(name, value)
    assert program([*arguments]) == 1
    error = capfd.readouterr().err
    assert error == f"error: there is no store at {url}; check the URL; leasehold db upgrade makes one there\n"
    assert not (cli.home / "slip").exists()


def test_the_store_of_who_named_none_is_there_from_the_first_look_on(cli: CommandLine) -> None:
    shutil.rmtree(cli.store.parent)
    assert cli("ls", "--json", code=0, variables={"LEASEHOLD_STORE": ""}).json == []
    assert cli.store.exists()


def test_the_store_is_made_on_demand_and_its_version_told(cli: CommandLine) -> None:
    shutil.rmtree(cli.store.parent)
    assert "there is no store at sqlite:///" in cli("db", "current", code=1).stdout
    assert not cli.store.exists()
    assert cli("db", "upgrade", code=0).stdout == f"the store sqlite:///{cli.store} is at version {HEAD}\n"
    assert cli("db", "current", "--json", code=0).json == {
        "store": f"sqlite:///{cli.store}",
        "version": HEAD,
        "head": HEAD,
    }


@pytest.mark.parametrize("first", [True, False])
def test_the_store_may_be_named_before_and_after_the_command(cli: CommandLine, first: bool) -> None:
    other = ("--store", f"sqlite:///{cli.home}/other.db")
    cli(*other, "env", "add", "there", "--driver", "local", code=0)
    arguments = (*other, "env", "list", "--json") if first else ("env", "list", "--json", *other)
    assert [row["name"] for row in cli(*arguments, code=0).json] == ["there"]
    assert cli("env", "list", "--json", code=0).json == []
