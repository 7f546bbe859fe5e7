"""docs/guarantees.md says only what there is: its links lead to tests, its figures are those that were kept."""

import json
import re
import runpy
from pathlib import Path

from bugs import BUGS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
LINK = re.compile(r"\]\((\.\./[^)]+)\)((?:\s*`test_\w+`)*)")


def test_each_link_leads_to_its_test() -> None:
    found = LINK.findall(PAGE.read_text())
    assert len(found) > 30
    for path, names in found:
        text = (PAGE.parent / path).read_text()
        for name in re.findall(r"test_\w+", names):
            assert f"def {name}(" in text, f"{path} has no {name}"


def test_each_seeded_bug_is_told() -> None:
    told = re.findall(r"^\| ([^|]+?) \| m? ?\|", PAGE.read_text().partition("## Bugs")[2], re.MULTILINE)
    assert sorted(told) == sorted(BUGS)


def test_its_figures_are_those_that_were_kept() -> None:
    text, kept = PAGE.read_text(), json.loads((ROOT / "docs" / "figures.json").read_text())
    page = runpy.run_path(str(ROOT / "docs" / "figures.py"))["page"]
    assert page(text, kept) == text
    for run in kept.values():
        for tried in run["tried"].values():
            assert tried.get("leaks", 0) == tried.get("wrong", 0) == tried.get("left", 0) == 0
            assert tried.get("seeded", 0) == tried.get("caught", 0)
