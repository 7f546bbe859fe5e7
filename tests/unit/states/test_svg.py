"""The SVG pictures are well formed, have every row of the tables, and stay on their sheet."""

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.states import CLEANUP_TABLE, LEASE_TABLE, CleanupState, Entry, Kind, LeaseState
from leasehold.states.canvas import Canvas
from leasehold.states.cleanup import OPEN
from leasehold.states.lease import LIVE
from leasehold.states.path_svg import path_svg
from leasehold.states.svg import machine_svg

_SVG = "{http://www.w3.org/2000/svg}"


def _parsed(picture: str) -> ElementTree.Element:
    """The picture's root; all that stands on it is within its sheet."""
    root = ElementTree.fromstring(picture)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {width:g} {height:g}"
    for x, y in _points(root):
        assert 0 <= x <= width, (x, y)
        assert 0 <= y <= height, (x, y)
    return root


def _points(root: ElementTree.Element) -> Iterator[tuple[float, float]]:
    for shape in root.iter():
        place = shape.attrib
        if shape.tag == f"{_SVG}rect":
            yield float(place["x"]), float(place["y"])
            yield float(place["x"]) + float(place["width"]), float(place["y"]) + float(place["height"])
        if shape.tag == f"{_SVG}text":
            yield float(place["x"]), float(place["y"])
        if shape.tag == f"{_SVG}circle":
            yield float(place["cx"]), float(place["cy"])


def _words(root: ElementTree.Element) -> list[str]:
    return [shape.text or "" for shape in root.iter(f"{_SVG}text")]


def _drawn(root: ElementTree.Element) -> set[tuple[str, str, str, str]]:
    """(machine, source, destination, event) of all lines; a frame stands for all states in it."""
    frames = {"lease": LIVE, "cleanup": tuple(OPEN)}
    found: set[tuple[str, str, str, str]] = set()
    for line in root.iter(f"{_SVG}path"):
        if "data-edge" in line.attrib:
            track, source, dest, *events = line.attrib["data-edge"].split()
            for state in frames[track] if source == "*" else (source,):
                found |= {(track, str(state), dest, event) for event in events}
    return found


def test_the_machine_has_every_row() -> None:
    drawn = _drawn(_parsed(machine_svg()))
    for row in LEASE_TABLE:
        for source in row.sources:
            assert ("lease", source.value, row.dest.value, row.event.value) in drawn
            assert not row.codes or ("lease", source.value, "failed", row.event.value) in drawn
    for cleanup in CLEANUP_TABLE:
        for source in cleanup.sources:
            assert ("cleanup", source.value, cleanup.dest.value, cleanup.event.value) in drawn
            assert not cleanup.failure or ("cleanup", source.value, "failed", cleanup.event.value) in drawn


def test_the_machine_names_every_state_and_every_event() -> None:
    words = _words(_parsed(machine_svg()))
    for name in (
        *LeaseState,
        *CleanupState,
        *(row.event for row in LEASE_TABLE),
        *(row.event for row in CLEANUP_TABLE),
    ):
        assert name.value in words, name


def test_the_machine_is_800_wide_and_always_the_same() -> None:
    assert _parsed(machine_svg()).attrib["width"] == "800"
    assert machine_svg() == machine_svg()


def test_it_knows_light_and_dark() -> None:
    assert "@media (prefers-color-scheme: dark)" in machine_svg()


def test_a_life_has_its_states_and_times(life: tuple[Entry, ...]) -> None:
    words = _words(_parsed(path_svg(iter(life))))
    assert words[0] == "released, its cleanup succeeded, after 13 s"
    for said in ("requested", "targeted", "released", "pending", "succeeded", "sync_back", "+0 ms", "+11 s"):
        assert said in words, said


def test_a_failure_is_red_with_its_code_and_its_message(broken_life: tuple[Entry, ...]) -> None:
    root = _parsed(path_svg(broken_life))
    red = [shape.text for shape in root.iter(f"{_SVG}text") if shape.attrib["class"] in ("red", "name-failed")]
    assert "workspace_realization_failed" in red
    assert "lease_cleanup_failed" in red
    assert red[-1] == "provision went wrong"


def test_a_step_under_way_is_dotted(open_life: tuple[Entry, ...]) -> None:
    root = _parsed(path_svg(open_life))
    assert "realized ?" in _words(root)
    assert [line.attrib["data-edge"] for line in root.iter(f"{_SVG}path") if line.attrib["class"] == "line-open"] == [
        "lease leased realized realize open"
    ]


def test_an_empty_journal_is_a_picture_too() -> None:
    _parsed(path_svg(()))


@given(st.text())
def test_any_message_fits(message: str) -> None:
    entries = [Entry(1, 0, "resolve", Kind.FAILED, "requested", "failed", None, "o", 1, "x", 3, {"message": message})]
    _parsed(path_svg(entries))


@pytest.mark.parametrize(
    ("message", "lines"),
    [("", 0), ("short", 1), ("word " * 30, 2), ("x" * 150, 2), ("a " + "x" * 300, 3), ("word " * 500, 3)],
)
def test_a_long_message_is_wrapped_and_cut(message: str, lines: int) -> None:
    entries = [Entry(1, 0, "resolve", Kind.FAILED, "requested", "failed", None, "o", 1, None, 3, {"message": message})]
    said = [shape for shape in _parsed(path_svg(entries)).iter(f"{_SVG}text") if shape.attrib["x"] == "28"][1:]
    assert len(said) == lines
    assert all(len(line.text or "") <= 106 for line in said)
    if message.startswith("word") and lines == 3:
        assert (said[-1].text or "").endswith("…")


@given(st.text())
def test_any_words_can_be_written(words: str) -> None:
    canvas = Canvas(100, 100, words)
    canvas.say(10, 10, words)
    canvas.line(((1, 1), (5, 5)), about=words)
    ElementTree.fromstring(canvas.text())


def test_a_renderer_takes_them(life: tuple[Entry, ...]) -> None:
    resvg = pytest.importorskip("resvg_py", reason="the extra leasehold[png] is not installed")
    for picture in (machine_svg(), path_svg(life)):
        assert bytes(resvg.svg_to_bytes(svg_string=picture)).startswith(b"\x89PNG")
