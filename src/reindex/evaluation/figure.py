"""A figure: one named number of a comparison, with its interval where it has one.

Figures are what the gate language, the report and webhooks read. A name is made of segments with
dots between them, from the subject to what is said of it: ``recall@10.change``,
``slice.language=de.ndcg@10.change``, ``latency.p50_ms``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Unit = Literal["%", "", "count", "ms", "s", "MB"]
"""``%``: the value is a share, 0.05 is 5 %. The empty unit is that of scores and bare numbers."""

_PLAIN = re.compile(r"[\w@+/-]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. ``low`` and ``high`` bound it with ``confidence``; ``sentence`` says what it is.

    ``signed`` figures are changes: they are printed with their sign.
    """

    name: str
    value: float
    unit: Unit = ""
    sentence: str = ""
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    signed: bool = False

    def __str__(self) -> str:
        """``+5.1 % (95 % interval +1.2 to +9.0 %)``, ``12.3 ms``."""
        told = self.tell(self.value)
        if self.low is None or self.high is None:
            return told
        level = "" if self.confidence is None else f"{self.confidence * 100:g} % "
        low = self.tell(self.low).removesuffix(f" {self.unit}")
        return f"{told} ({level}interval {low} to {self.tell(self.high)})"

    def tell(self, number: float) -> str:
        """A number in this figure's unit: a bound of it, or what it is held against."""
        return _TELL[self.unit](number, self.signed)


def quoted(value: object) -> str:
    """A value as a part of a figure's name: as it is, in double quotes where it is no plain word.

    Within the quotes a quote and a backslash have a backslash before them.
    """
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _told(number: float, signed: bool, digits: str, unit: str) -> str:
    text = format(number, f"{'+' if signed else ''}{digits}")
    if float(text.replace(",", "")) == 0:
        text = text.replace("-", "±").replace("+", "±") if signed else text.removeprefix("-")
    return text.replace("-", "−") + unit


_TELL: dict[Unit, Callable[[float, bool], str]] = {
    "%": lambda number, signed: _told(number * 100, signed, ".1f", " %"),
    "": lambda number, signed: _told(number, signed, ".3f", ""),
    "count": lambda number, signed: _told(number, signed, ",.0f", ""),
    "ms": lambda number, signed: _told(number, signed, ".1f", " ms"),
    "s": lambda number, signed: _told(number, signed, ".1f", " s"),
    "MB": lambda number, signed: _told(number, signed, ",.1f", " MB"),
}
