"""The mermaid text is valid, and has every row of the tables."""

import re

from hypothesis import given
from hypothesis import strategies as st
from leasehold.states import CLEANUP_TABLE, LEASE_TABLE, CleanupState, Entry, LeaseState
from leasehold.states.cleanup import OPEN
from leasehold.states.lease import LIVE
from leasehold.states.mermaid import machine_mermaid, path_mermaid, text

# What stateDiagram-v2 reads, as far as it is used here. A label ends at a colon, a semicolon or a line end.
_ID = r"[a-z]\w*"
_STATE = re.compile(rf'state "[^":;#%{{}}]+" as {_ID}( \{{)?')
_EDGE = re.compile(rf"(\[\*\]|{_ID}) --> (\[\*\]|{_ID})( : [^:;#%\"{{}}<>`\\]+)?")
_CLASS = re.compile(rf"classDef {_ID} [\w:#,-]+|class {_ID}(,{_ID})* {_ID}")


def _check(diagram: str) -> list[str]:
    """The lines of a diagram, each one that mermaid reads."""
    lines = [line.strip() for line in diagram.splitlines()]
    assert lines[0] == "stateDiagram-v2"
    depth = 0
    for line in lines[1:]:
        assert line == "}" or any(form.fullmatch(line) for form in (_STATE, _EDGE, _CLASS)), line
        depth += line.endswith("{") - (line == "}")
        assert depth in (0, 1), line
    assert depth == 0
    named = {line.split(" as ")[1].removesuffix(" {") for line in lines if _STATE.fullmatch(line)}
    for line in lines:
        edge = _EDGE.fullmatch(line)
        if edge:
            assert {edge[1], edge[2]} <= named | {"[*]"}, line
    return lines


def test_the_machine_has_every_row() -> None:
    lines = _check(machine_mermaid())
    groups = {"live": [f"lease_{state}" for state in LIVE], "open": [f"cleanup_{state}" for state in OPEN]}
    found: set[tuple[str, str, str]] = set()
    for line in lines:
        edge = _EDGE.fullmatch(line)
        if edge and edge[3]:
            found |= {(source, edge[2], edge[3][3:]) for source in groups.get(edge[1], [edge[1]])}
    events = {(source, dest, label.removesuffix(" (operator)")) for source, dest, label in found}
    for row in LEASE_TABLE:
        for source in row.sources:
            label = "fail, or a step fails" if row.dest is LeaseState.FAILED else row.event.value
            assert (f"lease_{source}", f"lease_{row.dest}", label) in events
            assert not row.codes or (f"lease_{source}", "lease_failed", "fail, or a step fails") in events
    for cleanup in CLEANUP_TABLE:
        for source in cleanup.sources:
            assert (f"cleanup_{source}", f"cleanup_{cleanup.dest}", cleanup.event.value) in events
            assert not cleanup.failure or (f"cleanup_{source}", "cleanup_failed", "a try fails") in events


def test_every_state_is_named_and_start_and_ends_are_marked() -> None:
    lines = _check(machine_mermaid())
    for state in LeaseState:
        assert f'state "{state}" as lease_{state}' in lines
    for cleanup in CleanupState:
        assert f'state "{cleanup}" as cleanup_{cleanup}' in lines
    assert "[*] --> lease_requested" in lines
    assert "[*] --> cleanup_not_needed" in lines
    for end in ("lease_released", "lease_failed", "cleanup_succeeded", "cleanup_handed_over", "cleanup_forgotten"):
        assert f"{end} --> [*]" in lines


def test_the_failure_is_one_edge_and_red_and_an_operators_events_are_set_apart() -> None:
    lines = _check(machine_mermaid())
    into = [line for line in lines if "--> lease_failed" in line]
    assert into == ["live --> lease_failed : fail, or a step fails (operator)"]
    assert "class lease_failed failure" in lines
    assert "open --> cleanup_forgotten : forget (operator)" in lines
    assert "lease_leased --> lease_released : release (operator)" in lines
    assert "lease_targeted --> lease_released : release" in lines


def test_a_life_is_a_path_with_its_times(life: tuple[Entry, ...]) -> None:
    lines = _check(path_mermaid(iter(life)))
    assert 'state "requested" as lease_0' in lines
    assert "lease_0 --> lease_1 : resolve +0 ms" in lines
    assert "lease_1 --> lease_2 : acquire +3 s" in lines
    assert "lease_5 --> lease_5 : sync_back +10 s" in lines
    assert "lease_6 --> [*]" in lines
    assert "class lease_6 wanted" in lines
    assert "cleanup_1 --> cleanup_2 : clean +13 s" in lines
    assert not any("class" in line and line.endswith(" failure") for line in lines)


def test_a_failure_is_red_with_its_code(broken_life: tuple[Entry, ...]) -> None:
    lines = _check(path_mermaid(broken_life))
    assert 'state "failed workspace_realization_failed" as lease_4' in lines
    assert "class lease_4 failure" in lines
    assert "lease_3 --> lease_4 : provision failed +7 s" in lines
    assert 'state "cleanup failed lease_release_failed" as cleanup_2' in lines
    assert "cleanup_2 --> cleanup_3 : clean failed, 2 tries +14 s" in lines
    assert "class cleanup_3 failure" in lines


def test_a_step_under_way_is_shown_as_such(open_life: tuple[Entry, ...]) -> None:
    lines = _check(path_mermaid(open_life))
    assert 'state "realized ?" as lease_3' in lines
    assert "lease_2 --> lease_3 : realize under way +4 s" in lines
    assert "lease_3 --> [*]" not in lines


def test_an_empty_journal_is_an_empty_picture() -> None:
    _check(path_mermaid(()))


@given(st.text())
def test_no_label_has_what_mermaid_reads_as_its_own(value: str) -> None:
    said = text(f"a{value}b")
    assert _EDGE.fullmatch(f"a --> b : {said}") or not said.isprintable()
    assert "\n" not in said
