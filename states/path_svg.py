"""One lease's way as an SVG picture, 800 pixels wide: a line of time, the lease left, its place right."""

from collections.abc import Iterable, Sequence

from leasehold.states.canvas import Canvas
from leasehold.states.cleanup import CleanupState
from leasehold.states.diagram import CLEANUP_ENDS, LEASE_ENDS
from leasehold.states.journal import Entry
from leasehold.states.lease import LeaseState
from leasehold.states.path import Ending, Leg, Track, duration, first_state, legs

_WIDTH, _TOP, _ROW, _CODE = 800, 84, 38, 18
_TIME, _BARS, _BAR, _TOOK = 112, 672, 46, 778
_NAME = 104
_LANES = {Track.LEASE: 136, Track.CLEANUP: 404}
_MESSAGE_LINE, _MESSAGE_LINES = 104, 3
_LINES = {
    Ending.DONE: "line-straight",
    Ending.FAILED: "line-failed",
    Ending.ABANDONED: "line-straight",
    Ending.OPEN: "line-open",
    Ending.NOTE: "line-straight",
}


def path_svg(entries: Iterable[Entry]) -> str:
    """The way that a journal tells, a row a leg. Where it failed is red, with its code; the rest of the error
    stands below. What is under way is dotted."""
    walked = legs(entries)
    message = _wrapped(next((leg.message for leg in walked if leg.message and leg.failed), ""))
    rows = _rows(walked)
    bottom = (rows[-1] if rows else _TOP) + _ROW
    canvas = Canvas(_WIDTH, int(bottom) + 22 * len(message) + 14, _title(walked))
    canvas.say(28, 36, _title(walked), "title")
    canvas.say(_LANES[Track.LEASE] - 7, 62, "the lease", "faint")
    canvas.say(_LANES[Track.CLEANUP] - 7, 62, "its place", "faint")
    canvas.say(_TOOK, 62, "took", "faint", "end")
    at = {Track.LEASE: float(_TOP), Track.CLEANUP: 0.0}
    stops: list[tuple[Leg, float]] = []
    for leg, y in zip(walked, rows, strict=True):
        _leg(canvas, leg, at[leg.track], y)
        at[leg.track] = y
        stops.append((leg, y))
    if walked:
        _stop(canvas, _LANES[Track.LEASE], _TOP, "")
        canvas.say(_LANES[Track.LEASE] + 18, _TOP, first_state(Track.LEASE), "name")
        canvas.say(_TIME, _TOP, f"+{duration(0)}", "faint", "end")
    longest = max((leg.took or 0 for leg in walked), default=0)
    for leg, y in stops:
        _words(canvas, leg, y, longest)
    for number, line in enumerate(message):
        canvas.say(28, bottom + 22 * number, line, "red")
    return canvas.text()


def _rows(walked: Sequence[Leg]) -> list[float]:
    """The height of each leg; one with a code takes more room."""
    rows: list[float] = []
    y = float(_TOP)
    for leg in walked:
        y += _ROW
        rows.append(y)
        y += _CODE if leg.code else 0
    return rows


def _leg(canvas: Canvas, leg: Leg, before: float, y: float) -> None:
    """The line to a leg's end: down its own lane, or over from the lease where the place begins."""
    x = _LANES[leg.track]
    about = f"{leg.track} {leg.source} {leg.dest} {leg.event} {leg.ending}"
    if before == 0.0:
        canvas.line(((_LANES[Track.LEASE] + 8, y), (x, y)), "line-faint", arrow=False, about=about)
        return
    look = "line-failed" if leg.failed else _LINES[leg.ending]
    canvas.line(((x, before), (x, y)), look, arrow=False, about=about)


def _words(canvas: Canvas, leg: Leg, y: float, longest: int) -> None:
    x = _LANES[leg.track]
    kind = _kind(leg)
    moved = leg.dest != leg.source or leg.failed
    canvas.say(_TIME, y, f"+{duration(leg.at)}", "faint", "end")
    begin: float = x + 18
    if moved:
        _stop(canvas, x, y, kind)
        name = f"{leg.dest} ?" if leg.ending is Ending.OPEN else leg.dest
        canvas.say(begin, y, name, f"name-{kind}" if kind in ("failed", "wanted") else "name")
        begin += _NAME
    else:
        canvas.circle(x, y, 3, "solid-open" if leg.ending is Ending.OPEN else "solid")
    canvas.say(begin, y, leg.title, "red" if leg.failed else "said")
    if leg.code:
        canvas.say(x + 18, y + 19, leg.code, "red")
    if leg.took is not None:
        length = _BAR * (leg.took / longest) ** 0.5 if longest else 0
        canvas.rect(_BARS, y - 4, max(2.0, length), 8, "bar-failed" if leg.failed else "bar", 2)
        canvas.say(_TOOK, y, duration(leg.took * 1000), "said", "end")


def _kind(leg: Leg) -> str:
    if leg.failed:
        return "failed"
    if leg.ending is Ending.OPEN:
        return "open"
    return "wanted" if leg.dest in (LeaseState.RELEASED.value, CleanupState.SUCCEEDED.value) else ""


def _stop(canvas: Canvas, x: float, y: float, kind: str) -> None:
    look = f"-{kind}" if kind else "-straight"
    canvas.circle(x, y, 7, f"solid{look}")
    if kind == "failed":
        for sign in (1, -1):
            canvas.line(((x - 3, y - 3 * sign), (x + 3, y + 3 * sign)), "cross", arrow=False)


def _title(walked: Sequence[Leg]) -> str:
    """Where the lease and its place stand now, and how long it took to come there."""
    state = {track: first_state(track) for track in Track}
    for leg in walked:
        if leg.ending is not Ending.OPEN:
            state[leg.track] = leg.dest
    ended = state[Track.LEASE] in {end.value for end in LEASE_ENDS}
    settled = state[Track.CLEANUP] in {end.value for end in (*CLEANUP_ENDS, CleanupState.NOT_NEEDED)}
    last = max((leg.at for leg in walked), default=0)
    words = f"{state[Track.LEASE]}, its cleanup {state[Track.CLEANUP]}"
    return f"{words}, after {duration(last)}" if ended and settled else words


def _wrapped(message: str) -> list[str]:
    """The message in a few lines; what does not fit is cut, and seen to be."""
    lines: list[str] = []
    line = ""
    for word in message.split():
        while len(word) > _MESSAGE_LINE:
            lines.append(f"{line} {word[: _MESSAGE_LINE - len(line) - 1]}".strip())
            word, line = word[max(1, _MESSAGE_LINE - len(line) - 1) :], ""
        if len(line) + 1 + len(word) > _MESSAGE_LINE:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    lines.append(line)
    kept = [line for line in lines if line]
    return kept if len(kept) <= _MESSAGE_LINES else [*kept[: _MESSAGE_LINES - 1], kept[_MESSAGE_LINES - 1] + " …"]
