"""What of the suite belongs to the long profile: callers killed under configs beside the first two."""

import pytest

_FIRST = {"TestWorktree", "TestFencedAndKeyed"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        owner = getattr(item, "cls", None)
        if "killed_around" in item.name and owner is not None and owner.__name__ not in _FIRST:
            item.add_marker(pytest.mark.long)
