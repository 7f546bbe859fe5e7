"""Within its series a migration only adds what older code does not miss: CONTRIBUTING.md, "Change the store"."""

from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from leasehold.orchestrator.store import migrations
from leasehold.orchestrator.store.migration import HEAD, suits

FOLDER = Path(str(migrations.__file__)).parent / "versions"
VERSIONS = [import_module(f"{migrations.__name__}.versions.{path.stem}") for path in sorted(FOLDER.glob("v[0-9]*.py"))]
FIRST = {version.revision[:2]: version for version in reversed(VERSIONS)}
LATER = [version for version in VERSIONS if version not in FIRST.values()]


class Operations:
    """Stands in for Alembic's, and notes what a migration does that older code may miss."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._made: set[str] = set()
        self.wrong: list[str] = []

    def get_bind(self) -> Any:
        return SimpleNamespace(dialect=SimpleNamespace(name=self._dialect))

    def create_table(self, name: str, *_columns: Any, **_options: Any) -> None:
        self._made.add(name)

    def add_column(self, table: str, column: Any) -> None:
        if not column.nullable and column.server_default is None:
            self.wrong.append(f"column {column.name} of {table} may not be null, and has no default of the server's")

    def create_index(self, name: str, table: str, *_columns: Any, unique: bool = False, **_options: Any) -> None:
        if unique and table not in self._made:
            self.wrong.append(f"index {name} is unique")

    def __getattr__(self, name: str) -> Any:
        def other(*_arguments: Any, **_options: Any) -> None:
            self.wrong.append(f"{name} does more than add")

        return other


def done_by(version: Any, dialect: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    operations = Operations(dialect)
    monkeypatch.setattr(version, "op", operations)
    version.upgrade("leasehold_")
    return operations.wrong


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("version", LATER, ids=lambda version: version.revision)
def test_a_migration_only_adds(version: Any, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done_by(version, dialect, monkeypatch) == []


def test_the_check_sees_what_takes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    def upgrade(prefix: str) -> None:
        op: Any = bad.op
        op.drop_column(f"{prefix}lease", "metadata")
        op.add_column(f"{prefix}lease", sa.Column("more", sa.Text(), nullable=False))
        op.create_index(f"{prefix}x", f"{prefix}lease", ["run_id"], unique=True)

    bad: Any = ModuleType("bad")
    bad.upgrade, bad.op = upgrade, None
    assert [wrong.split()[0] for wrong in done_by(bad, "sqlite", monkeypatch)] == ["drop_column", "column", "index"]


def test_the_versions_are_a_chain_that_ends_at_the_head() -> None:
    assert [version.down_revision for version in VERSIONS] == [None, *(version.revision for version in VERSIONS[:-1])]
    assert VERSIONS[-1].revision == HEAD
    assert suits(HEAD)
    assert suits(f"{HEAD[:2]}99")
    assert not suits(f"{int(HEAD[:2]) + 1:02}01")
    assert not suits("0000")
