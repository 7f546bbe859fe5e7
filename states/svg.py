"""The whole machine as an SVG picture, 800 pixels wide.

Where the states stand and how the lines run is laid out here; which edges there are, and what they are
called, the tables say. An edge without a line of its own here is drawn straight.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from leasehold.states.canvas import Canvas, Point, chip_width, width_of
from leasehold.states.cleanup import CleanupState
from leasehold.states.diagram import (
    CLEANUP_ENDS,
    LEASE_ENDS,
    LEASE_PATH,
    Edge,
    Look,
    cleanup_edges,
    lease_edges,
)
from leasehold.states.lease import LeaseState
from leasehold.states.path import Track

_WIDTH, _HEIGHT = 800, 772
_TOP, _STEP, _ENDS = 126, 80, 652
_BOX, _HALF, _TALL, _RIM = 108, 54, 18, 3.5
_LEASE, _LEASE_FAILED = 150, 278
_LEFT, _MIDDLE, _RIGHT = 452, 584, 714
_LINES = {
    Look.STRAIGHT: "line-straight",
    Look.ASIDE: "line",
    Look.OPERATOR: "line-operator",
    Look.FAILURE: "line-failed",
}


def _row(number: float) -> float:
    return _TOP + _STEP * number


_LEASE_AT: dict[str, Point] = {
    **{state.value: (_LEASE, _row(number)) for number, state in enumerate(LEASE_PATH)},
    LeaseState.RELEASED.value: (_LEASE, _ENDS),
    LeaseState.FAILED.value: (_LEASE_FAILED, _ENDS),
}
_CLEANUP_AT: dict[str, Point] = {
    CleanupState.NOT_NEEDED.value: (_MIDDLE, _row(0)),
    CleanupState.PENDING.value: (_MIDDLE, _row(2)),
    CleanupState.FAILED.value: (_RIGHT, _row(3)),
    CleanupState.RETAINED.value: (_LEFT, _row(3)),
    CleanupState.PARKED.value: (_LEFT, _row(4)),
    CleanupState.HANDED_OVER.value: (_LEFT, _ENDS),
    CleanupState.SUCCEEDED.value: (_MIDDLE, _ENDS),
    CleanupState.FORGOTTEN.value: (_RIGHT, _ENDS),
}


@dataclass(frozen=True, slots=True)
class _Route:
    """How one line runs, where its words begin (none: they stand elsewhere), and whether it ends in another."""

    points: tuple[Point, ...]
    words: Point | None = None
    joins: bool = False


def _lease_routes() -> dict[tuple[str, str], _Route]:
    """By (source, destination); the failure leaves the whole group of live states."""
    left, bus = _LEASE - _HALF, 46
    joining = ("realized", "provisioned")
    routes = {
        (source, "released"): _Route(((left, _LEASE_AT[source][1]), (bus, _LEASE_AT[source][1])), joins=True)
        for source in joining
    }
    top = _LEASE_AT["leased"][1]
    routes["leased", "released"] = _Route(
        ((left, top), (bus, top), (bus, _ENDS), (left - _RIM, _ENDS)),
        (bus - chip_width("release") / 2, _row(5.5)),
    )
    right, y = _LEASE + _HALF, _row(5)
    routes["targeted", "targeted"] = _Route(
        ((right, y - 9), (right + 28, y - 9), (right + 28, y + 9), (right, y + 9)), (right + 34, y)
    )
    routes["*", "failed"] = _Route(
        ((_LEASE_FAILED, _row(5) + 36), (_LEASE_FAILED, _ENDS - _TALL - _RIM)),
        (_LEASE_FAILED + 12, _row(5) + 64),
    )
    return routes


def _cleanup_routes() -> dict[tuple[str, str], _Route]:
    right_of, left_of = _MIDDLE + _HALF, _MIDDLE - _HALF
    pending, bus, outer = _row(2), 525, 384
    reclaimed: Point = (left_of, pending - 7)
    return {
        ("not_needed", "pending"): _Route(
            ((_MIDDLE, _row(0) + _TALL), (_MIDDLE, pending - _TALL)), (_MIDDLE - 40, _row(0.9))
        ),
        ("pending", "not_needed"): _Route(
            ((_MIDDLE + 28, pending - _TALL), (_MIDDLE + 28, _row(0) + _TALL)), (_MIDDLE + 36, _row(0.9))
        ),
        ("failed", "not_needed"): _Route(
            ((_RIGHT + 28, _row(3) - _TALL), (_RIGHT + 28, _row(0)), (right_of, _row(0))),
            (_RIGHT - 30, _row(0.9)),
        ),
        ("failed", "succeeded"): _Route(
            (
                (_RIGHT - 22, _row(3) + _TALL),
                (_RIGHT - 22, _row(5.25)),
                (_MIDDLE + 28, _row(5.25)),
                (_MIDDLE + 28, _ENDS - _TALL - _RIM),
            ),
            (_RIGHT - 36 - chip_width("clean") / 2, _row(4.72)),
        ),
        ("pending", "retained"): _Route(
            ((left_of, pending + 8), (bus, pending + 8), (bus, _row(3)), (_LEFT + _HALF, _row(3))),
            (bus + 8, _row(3) - 12),
        ),
        ("pending", "parked"): _Route(
            ((left_of, pending + 8), (bus, pending + 8), (bus, _row(4)), (_LEFT + _HALF, _row(4))),
            (bus + 8, _row(4) - 12),
        ),
        ("retained", "pending"): _Route(
            ((_LEFT - 16, _row(3) - _TALL), (_LEFT - 16, pending - 7), reclaimed),
            (_LEFT - 8, pending - 7),
        ),
        ("parked", "pending"): _Route(((_LEFT - _HALF, _row(4)), (outer, _row(4)), (outer, pending - 7), reclaimed)),
        ("parked", "handed_over"): _Route(
            ((_LEFT, _row(4) + _TALL), (_LEFT, _ENDS - _TALL - _RIM)), (_LEFT + 10, _row(5.2))
        ),
        ("pending", "failed"): _Route(
            ((right_of, pending), (_RIGHT - 4, pending), (_RIGHT - 4, _row(3) - _TALL)),
            (right_of + 6, pending - 13),
        ),
        ("failed", "failed"): _Route(
            (
                (_RIGHT + _HALF, _row(3) - 8),
                (_RIGHT + _HALF + 18, _row(3) - 8),
                (_RIGHT + _HALF + 18, _row(3) + 8),
                (_RIGHT + _HALF, _row(3) + 8),
            )
        ),
        ("*", "forgotten"): _Route(
            ((_RIGHT + 28, _row(4) + 36), (_RIGHT + 28, _ENDS - _TALL - _RIM)),
            (_RIGHT + 28 - chip_width("forget") / 2, _row(5.3)),
        ),
    }


def machine_svg() -> str:
    """The machine: left the lease, right what becomes of its place. Failures are red, an operator's dashed."""
    canvas = Canvas(_WIDTH, _HEIGHT, "The states of a lease, and of the cleanup of its place")
    canvas.say(28, 32, "A lease", "title")
    canvas.say(372, 32, "Its place", "title")
    canvas.rect(70, _TOP - 46, 258, _row(5) + 36 - _TOP + 46, "group", 12)
    canvas.say(316, _TOP - 31, "it is live", "faint", "end")
    canvas.rect(370, _row(2) - 42, 422, _row(4) + 36 - _row(2) + 42, "group", 12)
    canvas.say(382, _row(2) - 29, "a place may stand", "faint")
    canvas.line(((_LEASE + 72, _row(1.5)), (_MIDDLE - 8, _row(1.5))), "line-faint", arrow=False)
    canvas.say(340, _row(1.5) - 12, "owe commits with acquire's intent", "faint", "middle")
    for track, edges, at, routes in (
        (Track.LEASE, lease_edges(), _LEASE_AT, _lease_routes()),
        (Track.CLEANUP, cleanup_edges(), _CLEANUP_AT, _cleanup_routes()),
    ):
        first = next(iter(at.values()))
        canvas.circle(first[0], 62, 6, "solid-straight")
        canvas.line(((first[0], 62), (first[0], first[1] - _TALL)), "line-straight")
        ends = LEASE_ENDS if track is Track.LEASE else CLEANUP_ENDS
        drawn = [
            (edge, source, _route(edge, source, at, routes, ends)) for edge in edges for source in _from(edge, routes)
        ]
        for edge, source, route in drawn:
            about = f"{track} {source} {edge.dest} {' '.join(edge.events)}"
            canvas.line(route.points, _LINES[edge.look], arrow=not route.joins, about=about)
        for edge, _, route in drawn:
            if route.words is not None:
                _words(canvas, edge, route.words)
        for state, (x, y) in at.items():
            canvas.box(x, y, _BOX, state, _kind(track, state), end=state in ends)
    _legend(canvas)
    return canvas.text()


def _kind(track: Track, state: str) -> str:
    if state in (LeaseState.RELEASED.value, CleanupState.SUCCEEDED.value):
        return "wanted"
    return "failed" if state == LeaseState.FAILED.value and track is Track.LEASE else ""


def _from(edge: Edge, routes: Mapping[tuple[str, str], _Route]) -> tuple[str, ...]:
    """Where the lines of an edge begin: at its sources, or at the frame that holds them all."""
    return ("*",) if ("*", edge.dest) in routes else edge.sources


def _route(
    edge: Edge,
    source: str,
    at: Mapping[str, Point],
    routes: Mapping[tuple[str, str], _Route],
    ends: Collection[str],
) -> _Route:
    """The line that is laid out, or a straight one."""
    found = routes.get((source, edge.dest))
    if found is not None:
        return found
    (x, y), (to_x, to_y) = at[source], at[edge.dest]
    down = 1 if to_y > y else -1
    rim = _RIM if edge.dest in ends else 0
    start, tip = (x, y + down * _TALL), (to_x, to_y - down * (_TALL + rim))
    return _Route((start, tip), (x + 12, (start[1] + tip[1]) / 2))


def _words(canvas: Canvas, edge: Edge, where: Point) -> None:
    x, y = where
    failed = edge.look is Look.FAILURE
    if edge.intent:
        canvas.diamond(x + 4, y)
        x += 14
    chip, _, rest = edge.label.partition(",") if edge.operator else ("", "", edge.label)
    if chip:
        canvas.chip(x, y, chip, failed=failed)
        x += chip_width(chip) + 6
    if rest:
        canvas.say(x, y, rest.strip(), "red" if failed else "said")


def _legend(canvas: Canvas) -> None:
    y = _HEIGHT - 62
    canvas.line(((28, y), (62, y)), "line-straight")
    canvas.say(70, y, "the straight way", "faint")
    canvas.line(((222, y), (256, y)), "line-failed")
    canvas.say(264, y, "a failure; the frame: from any state in it", "faint")
    canvas.rect(560, y - 11, 34, 22, "box", 7)
    canvas.rect(563.5, y - 7.5, 27, 15, "box", 4)
    canvas.say(602, y, "an end", "faint")
    y += 30
    canvas.chip(28, y, "event")
    canvas.say(36 + chip_width("event"), y, "an operator may send it", "faint")
    x = 36 + chip_width("event") + width_of("an operator may send it", 12) + 26
    canvas.diamond(x, y)
    canvas.say(x + 12, y, "claimed before it is done: a crash leaves word of it", "faint")
