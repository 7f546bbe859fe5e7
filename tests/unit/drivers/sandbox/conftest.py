"""Bubblewrap on a bench, and a user's repository."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, repository
from leasehold.drivers.sandbox.bubblewrap import BubblewrapConfig, BubblewrapDriver


@pytest.fixture
def bench(tmp_path: Path, require: Callable[[str], str]) -> Bench:
    require("bwrap")
    return Bench(tmp_path, BubblewrapConfig(), BubblewrapDriver())


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """See ``repository``."""
    return repository(tmp_path / "work space")
