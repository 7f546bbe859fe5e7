"""A figure: what is wanted, what was got, and by how much it was missed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. ``got`` are the rounds, each a ratio within that round; their median counts.

    ``why`` is the reason that the page gives where the figure is missed.
    """

    name: str
    bound: float
    at_least: bool
    got: Sequence[float]
    unit: str = ""
    why: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.got)

    @property
    def met(self) -> bool:
        return self.median >= self.bound if self.at_least else self.median <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    @property
    def shown(self) -> str:
        spread = f" ({_plain(min(self.got))} to {_plain(max(self.got))})" if len(self.got) > 1 else ""
        return f"{_plain(self.median)}{self.unit}{spread}"

    @property
    def verdict(self) -> str:
        if self.met:
            return "met"
        short = self.bound / self.median if self.at_least else self.median / self.bound
        return f"missed by a factor of {short:.2f}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
