"""What stands in a page of the documentation: blocks, and commands with what they print."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((ROOT / page).read_text()) if kind == language]


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Each command of the page's console blocks, with the lines that are to stand below it."""
    found: list[tuple[str, list[str]]] = []
    for body in blocks(page, "console"):
        for line in body.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def fits(lines: list[str], wanted: list[str]) -> bool:
    """Whether the lines are the wanted ones; ``…`` stands for anything."""
    patterns = [re.escape(line).replace("…", ".*") for line in wanted]
    return len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))
