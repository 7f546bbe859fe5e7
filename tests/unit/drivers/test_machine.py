"""What tells a machine from others, where it says so itself and where it does not."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from leasehold.drivers import machine
from leasehold.drivers.machine import machine_id

DRAWN = "import sys, uuid; from pathlib import Path; from leasehold.drivers import machine; machine._FILES = (); \
uuid.getnode = lambda: 1 << 40; print(machine.machine_id(Path(sys.argv[1])))"


def nameless(monkeypatch: pytest.MonkeyPatch, node: int) -> None:
    monkeypatch.setattr(machine, "_FILES", ())
    monkeypatch.setattr(uuid, "getnode", lambda: node)


def test_the_system_s_own_id_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "id").write_text("the id\n")
    monkeypatch.setattr(machine, "_FILES", (tmp_path / "missing", tmp_path / "empty", tmp_path / "id"))
    assert machine_id(tmp_path / "state") == "the id"
    assert not (tmp_path / "state").exists()


def test_a_network_card_s_own_number_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nameless(monkeypatch, 0x00163E112233)
    assert machine_id(tmp_path / "state") == "00163e112233"


@pytest.mark.parametrize("node", [0x010203040506, 0x0242AC110002], ids=["drawn by Python", "a container's"])
def test_a_number_that_was_made_up_is_none(node: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nameless(monkeypatch, node)
    found = machine_id(tmp_path / "state")
    assert len(found) == 32
    assert machine_id(tmp_path / "state") == found
    assert machine_id(tmp_path / "another") != found
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["machine-id"]


def test_processes_that_begin_at_once_agree(tmp_path: Path) -> None:
    words = [sys.executable, "-c", DRAWN, str(tmp_path / "state")]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1


def test_without_a_folder_that_can_be_written_there_is_one_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless(monkeypatch, 1 << 40)
    (tmp_path / "file").touch()
    assert machine_id(tmp_path / "file") == machine_id(tmp_path / "file") == "010000000000"
