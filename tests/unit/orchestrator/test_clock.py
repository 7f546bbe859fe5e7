"""The clock of a machine: how one of its boots is told from the next."""

from pathlib import Path

import pytest
from leasehold.orchestrator import StoreError
from leasehold.orchestrator.store import clock


def test_a_boot_has_an_id_that_no_clock_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    first = clock.boot_id()
    monkeypatch.setattr(clock.time, "time", lambda: 0.0)
    assert clock.boot_id() == first


def test_a_system_that_tells_no_boots_apart_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setattr(clock, "_SYSCTL", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="does not tell one of its boots from the next"):
        clock.boot_id()
