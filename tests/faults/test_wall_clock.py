"""On SQLite the wall clock decides nothing: set forward or back by days, no lease expires, is lost or comes back.

PostgreSQL's own time is in ``test_postgres_outage.py``.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import CommandLine


@pytest.fixture
def here(tmp_path: Path, store_path: Path, state_folder: Path) -> CommandLine:
    """``leasehold`` with its store in a file."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    return CommandLine(tmp_path / "home", tmp_path / "work", state_folder, f"sqlite:///{store_path}")


@pytest.mark.parametrize("offset", ["+10d", "-10d"])
def test_the_wall_clock_decides_nothing(
    here: CommandLine, shifted: Callable[[str], dict[str, str]], tmp_path: Path, offset: str
) -> None:
    wrong, gate = shifted(offset), tmp_path / "gate"
    os.mkfifo(gate)
    held = here("acquire", "--mode", "copy", "--ttl", "1h", code=0).stdout.strip()
    running = here.start("run", "--mode", "copy", "--", "sh", "-c", f"echo up; cat {gate}")
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"

    assert here("ls", "--stuck", "--json", code=0, variables=wrong).json == []
    here("worker", "--once", code=0, variables=wrong)
    here("replay", "--stuck", code=0, variables=wrong)
    here("sweep", "--apply", "--grace", "0", code=0, variables=wrong)
    both = here("ls", "--json", code=0).json
    assert [lease["state"] for lease in both] == ["targeted", "targeted"]
    mine = here("acquire", "--mode", "copy", "--ttl", "1h", code=0, variables=wrong).stdout.strip()
    assert here("ls", "--stuck", "--json", code=0).json == []
    for lease in (held, mine):
        here("release", lease, code=0)
    gate.write_text("")
    assert here.finish(running).code == 0
    here("verify", code=0)
    assert [lease["cleanup"] for lease in here("ls", "--json", code=0).json] == ["succeeded"] * 3
