"""Takes over what a run of tests tried: ``python docs/figures.py PROFILE`` after ``make PROFILE``.

The tests leave their sums in ``build/figures.json``; here they become the figures of docs/guarantees.md, kept in
docs/figures.json.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
KEPT, PAGE, TRIED = DOCS / "figures.json", DOCS / "guarantees.md", DOCS.parent / "build" / "figures.json"
BEGIN, END = "<!-- figures: made by docs/figures.py -->\n", "<!-- end of figures -->\n"


def block(kept: dict[str, Any]) -> str:
    """The figures as a table: what was tried, in which profile, when, and how much of it."""
    lines = ["| what was tried | by | on | figures |", "|---|---|---|---|"]
    for profile, run in sorted(kept.items()):
        for what, figures in sorted(run["tried"].items()):
            counts = ", ".join(f"{name} {count:,}" for name, count in sorted(figures.items()))
            lines.append(f"| {what} | `make {profile}` | {run['on']} | {counts} |")
    return "\n".join(lines) + "\n"


def page(text: str, kept: dict[str, Any]) -> str:
    """The page with these figures."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + block(kept) + END + rest.partition(END)[2]


def main() -> int:
    [profile] = sys.argv[1:] or ["faults"]
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    before = kept.get(profile, {"tried": {}})["tried"]
    kept[profile] = {"on": f"{datetime.now(UTC):%Y-%m-%d}", "tried": {**before, **json.loads(TRIED.read_text())}}
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(PAGE.read_text(), kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
