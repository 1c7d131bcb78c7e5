"""Amounts as people write and read them: rates, times, budgets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reindex.pacing import Budget

_SECONDS = {
    "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400
}  # fmt: skip
_NUMBER = r"[0-9][0-9_,]*(?:\.[0-9]+)?"


def _number(text: str) -> float:
    return float(re.sub("[_,]", "", text))


class Rate(click.ParamType["float | None"]):
    """``200/s``, ``600/min``, ``200``; ``off`` is None."""

    name = "rate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Documents per second."""
        text = str(value).strip().lower()
        if text in ("off", "none"):
            return None
        found = re.fullmatch(rf"({_NUMBER})\s*(?:/\s*(s|sec|m|min|h))?", text)
        rate = _number(found[1]) / _SECONDS[found[2] or ""] if found else 0.0
        if rate <= 0:
            self.fail(f"{value!r} is no rate. Expected 200/s, 600/min, or off.", param, ctx)
        return rate


class Percentage(click.ParamType["float"]):
    """``10%`` or ``0.1``."""

    name = "percentage"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """A share from 0 to 1."""
        found = re.fullmatch(rf"({_NUMBER}|\.[0-9]+)\s*(%)?", str(value).strip())
        share = float(found[1].replace("_", "").replace(",", "")) if found else -1.0
        share /= 100 if found and found[2] else 1
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share. Expected 10%, 0.1, or 0% to 100%.", param, ctx)
        return share


class BudgetLimit(click.ParamType["Budget"]):
    """``30m``, ``2h``, ``90s``: a time; ``100000``: documents."""

    name = "budget"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Budget:
        """A `Budget`."""
        from reindex.pacing import Budget

        if isinstance(value, Budget):
            return value
        found = re.fullmatch(rf"({_NUMBER})\s*(s|sec|m|min|h|d)?", str(value).strip().lower())
        amount = _number(found[1]) if found else 0.0
        if not found or amount <= 0 or (not found[2] and amount != int(amount)):
            wanted = "Expected a time (90s, 30m, 2h) or a number of documents (100000)."
            self.fail(f"{value!r} is no budget. {wanted}", param, ctx)
        if found[2]:
            return Budget(seconds=amount * _SECONDS[found[2]])
        return Budget(texts=int(amount))


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for limit, unit, form in ((90, 1, ".0f} s"), (5400, 60, ".0f} min"), (172_800, 3600, ".1f} h")):
        if seconds < limit:
            return ("{:" + form).format(seconds / unit)
    return f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes for people, in powers of 1024: ``512 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
