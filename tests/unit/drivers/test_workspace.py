"""What is stored of a workspace and a place is read by the version before, too."""

from dataclasses import asdict

import pytest
from leasehold.drivers import Mode, Realization, Tags


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    record = Realization(Mode.COPY, "/tree", "/place/tree", "local", "local", "a copy", path_aliases=("/a",))
    assert Realization.from_json({**record.to_json(), "of_tomorrow": 1}) == record
    tags = Tags("ledger", "lease", "key", 1, 2)
    assert Tags.from_json({**asdict(tags), "of_tomorrow": 1}) == tags


def test_what_is_missing_is_no_record() -> None:
    with pytest.raises(KeyError):
        Tags.from_json({"ledger": "ledger"})
