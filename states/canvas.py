"""A sheet to draw on, as SVG text: boxes, lines with round corners, and labels. The same calls give the same text.

Its colours follow the reader's light or dark; a renderer that knows no media queries gets the light ones.
"""

from collections.abc import Sequence

_STYLE = """
  text { font-family: ui-sans-serif, system-ui, "Segoe UI", Helvetica, "DejaVu Sans", Arial, sans-serif; }
  .sheet { fill: #ffffff; stroke: #d8dee4; }
  .group { fill: #f6f8fa; stroke: #d0d7de; }
  .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.4; }
  .box-wanted { fill: #e6f4ea; stroke: #2e7d32; stroke-width: 1.6; }
  .box-failed { fill: #fdecea; stroke: #c62828; stroke-width: 1.6; }
  .name { fill: #1f2328; font-size: 13.5px; font-weight: 600; }
  .name-wanted { fill: #1b5e20; font-size: 13.5px; font-weight: 600; }
  .name-failed { fill: #b71c1c; font-size: 13.5px; font-weight: 600; }
  .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
  .said { fill: #424a53; font-size: 13px; }
  .faint { fill: #6e7781; font-size: 12px; }
  .red { fill: #c62828; font-size: 13px; }
  .line { fill: none; stroke: #57606a; stroke-width: 1.4; }
  .line-straight { fill: none; stroke: #24292f; stroke-width: 2.4; }
  .line-operator { fill: none; stroke: #57606a; stroke-width: 1.4; stroke-dasharray: 5 4; }
  .line-failed { fill: none; stroke: #c62828; stroke-width: 2.2; }
  .line-open { fill: none; stroke: #9a6700; stroke-width: 2; stroke-dasharray: 2 4; }
  .line-faint { fill: none; stroke: #afb8c1; stroke-width: 1.2; stroke-dasharray: 1 4; stroke-linecap: round; }
  .cross { fill: none; stroke: #ffffff; stroke-width: 2; stroke-linecap: round; }
  .chip { fill: #ffffff; stroke: #57606a; stroke-dasharray: 3 2; }
  .chip-failed { fill: #ffffff; stroke: #c62828; stroke-dasharray: 3 2; }
  .solid { fill: #57606a; }
  .solid-straight { fill: #24292f; }
  .solid-failed { fill: #c62828; }
  .solid-wanted { fill: #2e7d32; }
  .solid-open { fill: #9a6700; }
  .bar { fill: #8c959f; }
  .bar-failed { fill: #e57373; }
  @media (prefers-color-scheme: dark) {
    .sheet { fill: #0d1117; stroke: #30363d; }
    .group { fill: #151b23; stroke: #3d444d; }
    .box { fill: #0d1117; stroke: #9198a1; }
    .box-wanted { fill: #10281a; stroke: #3fb950; }
    .box-failed { fill: #2d1214; stroke: #f85149; }
    .name, .title { fill: #f0f6fc; }
    .name-wanted { fill: #7ee787; }
    .name-failed { fill: #ffa198; }
    .said { fill: #c9d1d9; }
    .faint { fill: #9198a1; }
    .red { fill: #ff7b72; }
    .line, .line-operator { stroke: #9198a1; }
    .line-straight { stroke: #e6edf3; }
    .line-failed { stroke: #f85149; }
    .line-open { stroke: #d29922; }
    .line-faint { stroke: #484f58; }
    .chip { fill: #0d1117; stroke: #9198a1; }
    .chip-failed { fill: #0d1117; stroke: #f85149; }
    .solid { fill: #9198a1; }
    .solid-straight { fill: #e6edf3; }
    .solid-failed { fill: #f85149; }
    .solid-wanted { fill: #3fb950; }
    .solid-open { fill: #d29922; }
    .bar { fill: #6e7681; }
    .bar-failed { fill: #da3633; }
  }
"""
_ROUND = 10.0
Point = tuple[float, float]


class Canvas:
    """Collects shapes; ``text`` gives the whole. Lengths are in pixels of the picture's own size."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{escaped(title)}">'
        )
        self._title = title
        self._shapes: list[str] = []
        self.rect(0.5, 0.5, width - 1, height - 1, "sheet", 10)

    def text(self) -> str:
        """The picture."""
        head = [self._head, f"<title>{escaped(self._title)}</title>", f"<style>{_STYLE}</style>"]
        return "\n".join([*head, *self._shapes, "</svg>"]) + "\n"

    def rect(self, x: float, y: float, width: float, height: float, look: str, radius: float = 0) -> None:
        self._shapes.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'rx="{_n(radius)}" class="{look}"/>'
        )

    def circle(self, x: float, y: float, radius: float, look: str) -> None:
        self._shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="{look}"/>')

    def say(self, x: float, y: float, words: str, look: str = "said", anchor: str = "start") -> None:
        """Words; ``y`` is the middle of the line."""
        self._shapes.append(
            f'<text x="{_n(x)}" y="{_n(y + 4.5)}" class="{look}" text-anchor="{anchor}">{escaped(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, name: str, kind: str = "", *, end: bool = False) -> None:
        """A state, by its middle; an end has a second outline."""
        look = f"-{kind}" if kind else ""
        if end:
            self.rect(x - width / 2 - 3.5, y - 21.5, width + 7, 43, f"box{look}", 11)
        self.rect(x - width / 2, y - 18, width, 36, f"box{look}", 8)
        self.say(x, y, name, f"name{look}", "middle")

    def line(self, points: Sequence[Point], look: str = "line", *, arrow: bool = True, about: str = "") -> None:
        """A line with round corners; ``about`` says, for whoever reads the text, what it is."""
        data = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            into, out = _toward(corner, before), _toward(corner, after)
            data.append(f"L{_p(into)} Q{_p(corner)} {_p(out)}")
        tip = points[-1]
        stop = _toward(tip, points[-2], 6) if arrow else tip
        data.append(f"L{_p(stop)}")
        note = f' data-edge="{escaped(about)}"' if about else ""
        self._shapes.append(f'<path d="{" ".join(data)}" class="{look}"{note}/>')
        if arrow:
            self._arrow(tip, points[-2], look.replace("line", "solid").replace("-operator", ""))

    def chip(self, x: float, y: float, words: str, *, failed: bool = False) -> None:
        """Words in a dashed frame that begins at ``x``: an operator may send this."""
        self.rect(x, y - 11, chip_width(words), 22, "chip-failed" if failed else "chip", 11)
        self.say(x + chip_width(words) / 2, y, words, "red" if failed else "said", "middle")

    def diamond(self, x: float, y: float) -> None:
        """The mark of a step that is claimed before it is done."""
        self._shapes.append(f'<path d="M{_n(x - 4.5)} {_n(y)} l4.5 -4.5 l4.5 4.5 l-4.5 4.5 z" class="solid-straight"/>')

    def _arrow(self, tip: Point, before: Point, look: str) -> None:
        back = _toward(tip, before, 9)
        dx, dy = (tip[0] - back[0]) / 9, (tip[1] - back[1]) / 9
        left = (back[0] - 4.5 * dy, back[1] + 4.5 * dx)
        right = (back[0] + 4.5 * dy, back[1] - 4.5 * dx)
        self._shapes.append(f'<path d="M{_p(tip)} L{_p(left)} L{_p(right)} z" class="{look}"/>')


def chip_width(words: str) -> float:
    """The width of a chip with these words."""
    return width_of(words) + 18


def width_of(words: str, size: float = 13.0) -> float:
    """About how wide words are, in a font that is not a narrow one."""
    narrow = sum(1 for sign in words if sign in "iljtf.,:;'|! ()")
    return size * (0.6 * (len(words) - narrow) + 0.34 * narrow)


def escaped(words: str) -> str:
    """Words as XML has them; what XML cannot have at all becomes a blank."""
    plain = "".join(sign if sign >= " " else " " for sign in words)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _toward(start: Point, aim: Point, length: float = _ROUND) -> Point:
    """The point ``length`` from ``start`` on the way to ``aim``, or half the way where that is shorter."""
    dx, dy = aim[0] - start[0], aim[1] - start[1]
    whole = (dx * dx + dy * dy) ** 0.5
    share = min(length / whole, 0.5) if whole else 0.0
    return (start[0] + dx * share, start[1] + dy * share)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _p(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"
