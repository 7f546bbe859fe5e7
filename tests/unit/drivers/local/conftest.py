"""A driver on a bench, and a user's repository."""

from pathlib import Path

import pytest
from bench import Bench, repository


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """See ``repository``."""
    return repository(tmp_path / "work space")
