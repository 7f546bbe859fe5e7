"""The version before runs beside this one on one store, also while this one upgrades it.

Its wheel is kept in ``before/`` (``make before``); it runs from there, with the libraries of today.
"""

import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commandline import CommandLine, Ran
from leasehold.orchestrator.store.migration import HEAD

[WHEEL] = (Path(__file__).parent / "before").glob("*.whl")
MAIN = "import sys; from leasehold.orchestrator.cli import main; sys.argv[0] = 'leasehold'; sys.exit(main())"


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    zipfile.ZipFile(WHEEL).extractall(folder)
    return folder


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    server = request.getfixturevalue("postgres")
    name = server.database()
    yield server.url(name)
    server.ask(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class Versions:
    """``leasehold`` of today, and that of the version before, on one store."""

    now: CommandLine
    before: CommandLine

    def finish(self) -> None:
        for process in (*self.now.started, *self.before.started):
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=30)


@pytest.fixture
def versions(empty: str, unpacked: Path, tmp_path: Path, state_folder: Path) -> Iterator[Versions]:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    places = (tmp_path / "home", tmp_path / "work", state_folder, empty)
    both = Versions(CommandLine(*places), CommandLine(*places, program=(sys.executable, "-c", MAIN), path=unpacked))
    yield both
    both.finish()


def test_it_is_the_version_before_that_runs(versions: Versions, unpacked: Path) -> None:
    told = versions.before("drivers", "--json", code=0)
    assert "local" in told.stdout
    where = "import leasehold.orchestrator as o, leasehold.drivers as d; print(o.__file__, d.__file__)"
    ran = CommandLine(versions.before.home, versions.before.work, unpacked, "", program=(sys.executable, "-c", where))
    ran.path = unpacked
    assert ran(code=0).stdout.split() == [
        str(unpacked / "leasehold" / name / "__init__.py") for name in ("orchestrator", "drivers")
    ]


def test_an_upgrade_under_the_leases_of_the_version_before(versions: Versions) -> None:
    now, before = versions.now, versions.before
    before("run", "--quiet", "--", "true", code=0)
    assert before("db", "current", "--json", code=0).json["version"] <= HEAD
    (now.work / "go").unlink(missing_ok=True)
    running = before.start(
        "run", "--share", "--", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done; exit 3"
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    theirs = before("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()

    now("db", "upgrade", code=0)
    ours = now("acquire", "--quiet", "--mode", "copy", code=0).stdout.strip()
    assert before("db", "current", code=0).stdout != ""
    assert sorted(states(before)) == sorted(states(now)) == ["released", *["targeted"] * 3]
    now("exec", theirs, "--", "true", code=0)
    before("exec", ours, "--", "true", code=0)
    before("extend", ours, "50h", code=0)
    (now.work / "go").write_text("")
    assert before.finish(running).code == 3
    before("release", ours, code=0)
    now("release", theirs, code=0)
    before("run", "--quiet", "--mode", "copy", "--provision", "true", "--", "true", code=0)
    now("run", "--quiet", "--mode", "copy", "--provision", "true", "--", "true", code=0)
    for each in (now, before):
        assert "6 leases checked: nothing is wrong" in each("verify", code=0).stdout
        assert each("ls", "--stuck", "--json", code=0).json == []


def states(leasehold: Callable[..., Ran]) -> list[str]:
    return [row["state"] for row in leasehold("ls", "--json", code=0).json]


@pytest.mark.long
def test_each_asks_and_takes_over_what_the_other_holds(versions: Versions) -> None:
    now, before = versions.now, versions.before
    claim = {"LEASEHOLD_CLAIM_SECONDS": "1"}
    before("env", "add", "lab", "--driver", "local", "--max-leases", "1", code=0)
    for one, other in ((before, now), (now, before)):
        running = one.start("run", "lab", "--", "sh", "-c", "echo up; sleep 300", variables=claim)
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        waiting = other.start("run", "lab", "--wait", "60", "--", "true")
        assert waiting.stderr is not None
        while "waits for a place" not in waiting.stderr.readline():
            assert waiting.poll() is None
        held = next(row["id"] for row in other("ls", "--json", code=0).json if row["state"] == "targeted")
        other("fail", held, "--reason", "asked by the other", code=0, variables=claim)
        assert one.finish(running).error == "error: run_failed: asked by the other"
        assert other.finish(waiting).code == 0
        lost = one.start("run", "lab", "--", "sh", "-c", "echo up; sleep 300", variables=claim)
        assert lost.stdout is not None
        assert lost.stdout.readline() == "up\n"
        lost.kill()
        other("run", "lab", "--quiet", "--wait", "60", "--", "true", code=0, variables=claim)
        assert "lease_owner_lost" in [row["error_code"] for row in one("ls", "--json", code=0).json]
    now("verify", code=0)
    before("verify", code=0)
