"""Statements over many rows at once.

``executemany`` lets go of the interpreter's lock for every row, and wins it back against a busy event
loop each time; one statement with many rows does so once (docs/design/002).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

_SIZES = (64, 16, 4, 1)


class ManyRows:
    """One statement in the sizes 64, 16, 4 and 1 rows."""

    def __init__(self, head: str, width: int, tail: str = "") -> None:
        row = f"({', '.join('?' * width)})"
        self._statements = {size: f"{head} {', '.join([row] * size)} {tail}".strip() for size in _SIZES}

    def run(self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Run it for all rows; gives how many rows of the table it changed."""
        changed = begin = 0
        while left := len(rows) - begin:
            size = next(size for size in _SIZES if size <= left)
            values = [value for row in rows[begin : begin + size] for value in row]
            changed += raw.execute(self._statements[size], values).rowcount
            begin += size
        return changed
