"""What results that nobody judged could do to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reindex.evaluation.figure import Figure
from reindex.evaluation.resampling import PairedDifference

Rule = Literal["bound", "count"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The judged metric under the worst that its unjudged results could be, either way.

    ``against`` has each unjudged result that speaks for live relevant and the candidate's not,
    ``in_favour`` the reverse. ``turning`` is the share of those results that must be relevant, with
    none of the other side's, before the verdict is another one; None where all of them would not
    do, or where it is inconclusive anyway. ``live_only`` and ``candidate_only`` count results
    within the metric's k that one side alone found. ``condensed`` are both sides' mean nDCG over
    results that were judged, where the judgements say what is not relevant.
    """

    rule: Rule
    live_only: int
    candidate_only: int
    against: PairedDifference
    in_favour: PairedDifference
    turning: float | None
    condensed: tuple[float, float] | None


def bound_figures(bounds: Bounds) -> Iterator[Figure]:
    """What the gate language can ask of them."""
    for name, d in (("against", bounds.against), ("in_favour", bounds.in_favour)):
        yield Figure(
            f"unjudged.{name}.change",
            d.relative,
            "%",
            f"Change if all unjudged results speak {name.replace('_', ' ')}"
            f"{' of' if name == 'in_favour' else ''} the candidate.",
            low=d.low,
            high=d.high,
            confidence=d.confidence,
            signed=True,
        )
    if bounds.turning is not None:
        yield Figure(
            "unjudged.turning",
            bounds.turning,
            "%",
            "Share of one side's unjudged results that, if relevant, turns the verdict.",
        )
