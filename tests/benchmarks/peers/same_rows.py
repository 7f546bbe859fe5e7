"""The rows of one of our lives, bound to another lease's id."""

from collections.abc import Iterator
from typing import Any

from leasehold.orchestrator.store import columns

_NAMES = (*columns.TERMS, *columns.CHANGING)
_PLACE = columns.CHANGING.index("provider_lease_id")

# [a new lease's terms or none, the changing columns, the journal rows, the version that is met]
Commits = list[tuple[list[Any] | None, list[Any], list[list[Any]], int | None]]


def bound(commits: Commits, lease_id: str, mark: str) -> Iterator[tuple[str, list[Any], str, list[list[Any]]]]:
    """Statement and row of the lease, statement and rows of its journal, for each commit."""
    journal = f"INSERT INTO leasehold_journal VALUES ({', '.join([mark] * len(columns.JOURNAL))})"
    created = f"INSERT INTO leasehold_lease ({', '.join(_NAMES)}) VALUES ({', '.join([mark] * len(_NAMES))})"
    sets = ", ".join(f"{name} = {mark}" for name in columns.CHANGING)
    changed = f"UPDATE leasehold_lease SET {sets} WHERE id = {mark} AND version = {mark} AND epoch = {mark}"
    for terms, changing, rows, version in commits:
        changing = _own(changing, lease_id)
        lines = [[lease_id, *line[1:]] for line in rows]
        if terms is not None:
            yield created, [lease_id, *terms[1:], *changing], journal, lines
        else:
            yield changed, [*changing, lease_id, version, changing[columns.EPOCH]], journal, lines


def values(commits: Commits, lease_id: str) -> Iterator[tuple[dict[str, Any], int | None, list[dict[str, Any]]]]:
    """The same by column names: the lease's row, the version that it met, the journal's rows."""
    for terms, changing, rows, version in commits:
        row = {"id": lease_id, **dict(zip(columns.CHANGING, _own(changing, lease_id), strict=True))}
        if terms is not None:
            row = {**dict(zip(columns.TERMS, terms, strict=True)), **row}
        yield row, version, [dict(zip(columns.JOURNAL, [lease_id, *line[1:]], strict=True)) for line in rows]


def _own(changing: list[Any], lease_id: str) -> list[Any]:
    """The place's id is unique among those that stand."""
    return [lease_id if at == _PLACE and value is not None else value for at, value in enumerate(changing)]
