"""The Graphviz text is valid, and has every row of the tables."""

import re

from hypothesis import given
from hypothesis import strategies as st
from leasehold.states import CLEANUP_TABLE, LEASE_TABLE, Entry
from leasehold.states.cleanup import OPEN
from leasehold.states.dot import machine_dot, path_dot, quoted
from leasehold.states.lease import LIVE

_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_STRING}|[\w.]+)"
_LIST = rf"\[\w+={_VALUE}(?:, \w+={_VALUE})*\]"
_LINE = re.compile(
    rf"(?:di)?graph \w+ \{{|subgraph \w+ \{{|\}}|\w+ {_LIST};|\w+ -> \w+(?: {_LIST})?;|(?:\w+={_VALUE}; ?)+"
)
_EDGE = re.compile(r"(\w+) -> (\w+) (\[.*\]);")


def _check(graph: str) -> list[str]:
    lines = [line.strip() for line in graph.splitlines()]
    for line in lines:
        assert _LINE.fullmatch(line), line
    assert sum(line.endswith("{") for line in lines) == lines.count("}")
    return lines


def _edges(lines: list[str]) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    groups = {"cluster_live": [f"lease_{state}" for state in LIVE], "cluster_open": [f"cleanup_{s}" for s in OPEN]}
    for line in lines:
        edge = _EDGE.fullmatch(line)
        label = re.search(r'label="([^"]*)"', line)
        if edge and label:
            tail = re.search(r"ltail=(\w+)", line)
            for source in groups[tail[1]] if tail else [edge[1]]:
                found.add((source, edge[2], label[1].removesuffix(" (operator)")))
    return found


def test_the_machine_has_every_row() -> None:
    found = _edges(_check(machine_dot()))
    for row in LEASE_TABLE:
        for source in row.sources:
            label = "fail, or a step fails" if row.event == "fail" else row.event.value
            assert (f"lease_{source}", f"lease_{row.dest}", label) in found
            assert not row.codes or (f"lease_{source}", "lease_failed", "fail, or a step fails") in found
    for cleanup in CLEANUP_TABLE:
        for source in cleanup.sources:
            assert (f"cleanup_{source}", f"cleanup_{cleanup.dest}", cleanup.event.value) in found
            assert not cleanup.failure or (f"cleanup_{source}", "cleanup_failed", "a try fails") in found


def test_failures_are_red_and_an_operators_edges_dashed() -> None:
    lines = _check(machine_dot())
    for line in lines:
        if "fails" in line:
            assert 'color="#c62828"' in line
        if "forget (operator)" in line or "reclaim (operator)" in line:
            assert "style=dashed" in line
    assert len([line for line in lines if "-> lease_failed" in line]) == 1


def test_a_path_has_its_times_and_its_failure(broken_life: tuple[Entry, ...], open_life: tuple[Entry, ...]) -> None:
    lines = _check(path_dot(iter(broken_life)))
    red = [line for line in lines if 'label="failed\\nworkspace_realization_failed"' in line]
    assert len(red) == 1
    assert 'color="#c62828"' in red[0]
    assert any('label="provision failed\\n+7 s"' in line for line in lines)
    assert any("take_over" in line and "style=dashed" in line for line in lines)
    assert any('"realized ?"' in line for line in _check(path_dot(open_life)))


def test_a_life_ends_green(life: tuple[Entry, ...]) -> None:
    lines = _check(path_dot(life))
    assert any('label="released", color="#2e7d32", peripheries=2' in line for line in lines)


def test_an_empty_journal_is_an_empty_picture() -> None:
    _check(path_dot(()))


@given(st.text())
def test_a_string_stays_a_string(value: str) -> None:
    assert re.fullmatch(_STRING, quoted(value), re.DOTALL)
