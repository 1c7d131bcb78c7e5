"""Small charts as inline SVG. Colours come from the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 30, 42


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale between two values with round ticks, and how a tick is written.

    ``tell`` gets the tick and the decimals by which neighbours differ, two or more.
    """

    low: float
    high: float
    tell: Callable[[float, int], str]
    title: str = ""

    @classmethod
    def around(
        cls, values: Iterable[float], tell: Callable[[float, int], str], title: str = "",
        *, zero: bool = False, ticks: int = 5,
    ) -> Axis:  # fmt: skip
        """From round numbers that enclose all ``values``; with 0 where ``zero``."""
        known = [*values, *([0.0] if zero else [])] or [0.0, 1.0]
        low, high = min(known), max(known)
        step = _step((high - low) or abs(high) or 1.0, ticks)
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(low, high if high > low else low + step, tell, title)

    @property
    def ticks(self) -> list[float]:
        """Round numbers from end to end."""
        step = _step(self.high - self.low, 5)
        count = round((self.high - self.low) / step)
        return [self.low + i * step for i in range(count + 1)]

    def label(self, value: float) -> str:
        """A tick, as it is written."""
        step = _step(self.high - self.low, 5)
        digits = next((d for d in range(2, 9) if abs(round(step, d) - step) < step / 1000), 9)
        return self.tell(value, digits)

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def _step(span: float, ticks: int) -> float:
    rough = span / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)


@dataclass(slots=True)
class Chart:
    """A drawing with two axes. ``title`` names it, ``text`` says in words what it shows."""

    x: Axis
    y: Axis
    title: str
    text: str
    height: int = HEIGHT
    left: int = LEFT
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point's place in the drawing."""
        across = self.left + self.x.share(x) * (WIDTH - self.left - RIGHT)
        down = self.height - BOTTOM - self.y.share(y) * (self.height - TOP - BOTTOM)
        return across, down

    def frame(self, *, x_ticks: Sequence[float] | None = None) -> None:
        """Grid lines, tick labels and the axes' titles."""
        left, bottom = self.at(self.x.low, self.y.low)
        right, _ = self.at(self.x.high, self.y.low)
        for value in self.y.ticks:
            _, y = self.at(self.x.low, value)
            self.line((left, y), (right, y), "grid")
            self.words((left - 6, y + 4), self.y.label(value), "tick end")
        for value in self.x.ticks if x_ticks is None else x_ticks:
            x, _ = self.at(value, self.y.low)
            self.words((x, bottom + 16), self.x.label(value), "tick middle")
        self.words(((left + right) / 2, self.height - 6), self.x.title, "axis middle")
        self.words((4, 14), self.y.title, "axis")

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line in the drawing's own coordinates."""
        self.parts.append(
            f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" '
            f'x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points of the axes."""
        placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        self.parts.append(f'<polyline class="{kind}" points="{placed}"/>')

    def dot(self, x: float, y: float, kind: str, *, square: bool = False) -> None:
        """A mark at a point of the axes: a disc, or a square for the other side."""
        across, down = self.at(x, y)
        if square:
            box = f'x="{across - 4.5:.1f}" y="{down - 4.5:.1f}" width="9" height="9"'
            self.parts.append(f'<rect class="{kind}" {box}/>')
        else:
            self.parts.append(f'<circle class="{kind}" cx="{across:.1f}" cy="{down:.1f}" r="5"/>')

    def box(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A rectangle between two points of the axes."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self.parts.append(
            f'<rect class="{kind}" x="{min(x1, x2):.2f}" y="{min(y1, y2):.2f}" '
            f'width="{max(abs(x2 - x1), 0.4):.2f}" height="{max(abs(y2 - y1), 0.4):.2f}"/>'
        )

    def words(self, place: tuple[float, float], text: str, kind: str) -> None:
        """Text in the drawing's own coordinates."""
        if text:
            self.parts.append(
                f'<text class="{kind}" x="{place[0]:.1f}" y="{place[1]:.1f}">{escape(text)}</text>'
            )

    def svg(self) -> str:
        """The finished drawing; `title` and `desc` are read out where it cannot be seen."""
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{escape(f"{self.title}. {self.text}")}">'
            f"<title>{escape(self.title)}</title><desc>{escape(self.text)}</desc>"
            f"{''.join(self.parts)}</svg>"
        )
