"""What goes to stdout: JSON for scripts, tables for people. No colour and no drawing beside a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from leasehold.drivers.shown import shown
from leasehold.orchestrator.moment import iso
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 100_000
_GAP = 2  # between columns
_FOLDED = 20  # what a column that is broken into lines has at least, before others are left out
_COLOURS = {
    "active": "green",
    "released": "dim",
    "retained": "yellow",
    "pending_cleanup": "yellow",
    "expired": "red",
    "failed": "red",
    "archived": "dim",
    "ok": "green",
}


def emit(value: Any) -> None:
    """A record or a listing as JSON."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def out(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")


def when(at: int | None) -> str | None:
    """A moment for a person, to the second: the store's microseconds in UTC."""
    shown_at = iso(at)
    return None if shown_at is None else f"{shown_at.partition('.')[0]}Z"


def console(stream: TextIO) -> Console:
    """A console that draws on a terminal alone."""
    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        no_color=None if terminal else True,
        width=None if terminal else _UNBOUNDED,
        soft_wrap=not terminal,
        highlight=False,
        markup=False,
        emoji=False,
    )


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    *,
    folds: Sequence[str] = (),
    drops: Sequence[str] = (),
) -> None:
    """Rows under headings.

    On a terminal that is too narrow, ``drops`` are the columns that are left out, in this order; then ``folds``
    are broken into lines.
    """
    cells = [[shown(cell or "") for cell in row] for row in rows]
    least = {column: max(len(column), *(len(row[at]) for row in cells), 0) for at, column in enumerate(columns)}
    least |= {column: min(least[column], _FOLDED) for column in folds}
    for column in drops:
        if sum(least.values()) + _GAP * (len(least) - 1) > console(sys.stdout).width:
            del least[column]
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in least:
        drawn.add_column(column, no_wrap=column not in folds, overflow="fold")
    for row in cells:
        drawn.add_row(
            *(Text(cell, _COLOURS.get(cell, "")) for column, cell in zip(columns, row, strict=True) if column in least)
        )
    _draw(drawn)


def fields(pairs: Iterable[tuple[str, str | None]]) -> None:
    """Names and values, one a line; those without a value are left out."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True, style="bold")
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            drawn.add_row(name, Text(shown(value), _COLOURS.get(value, "")))
    _draw(drawn)


def _draw(drawn: Table) -> None:
    terminal = console(sys.stdout)
    with terminal.capture() as capture:
        terminal.print(drawn)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
