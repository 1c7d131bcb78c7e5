"""The gate's look at slices: nobody may pay for the others' gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reindex.config import GateSettings
from reindex.config.conditions import parse_rule
from reindex.evaluation.figure import Figure
from reindex.evaluation.results import Comparison
from reindex.gate.decision import Condition
from reindex.gate.rules import conditions

NAMED = 5
"""Slices that a condition names; the rest are counted."""


def slice_condition(
    comparison: Comparison, gate: GateSettings, figures: Mapping[str, Figure]
) -> Iterator[Condition]:
    """One condition over all slices: fails where any is shown to lose more than the margin.

    A slice that may or may not lose that much passes: slices are small, and to show of each that
    it does not lose would take more queries than anybody judges.
    """
    report = comparison.slices
    if report is None or not report.judged:
        return
    rule = f"slice.*.{comparison.metric}.change >= {-gate.slice_margin * 100:g}% possible"
    held = conditions([rule], figures, k=comparison.k)
    failed = [item for item in held if item.verdict != "pass"]
    small = f"; {len(report.small)} too small to say" if report.small else ""
    if failed:
        yield Condition("slices", "fail", _losers(failed, figures) + small, rule)
        return
    worst = min((figures[item.name] for item in held), key=lambda figure: figure.value)
    told = f"none of {len(held)} is shown to lose more; lowest {_short(worst)}: {worst}{small}"
    yield Condition("slices", "pass", told, parse_rule(rule).text)


def _losers(failed: Sequence[Condition], figures: Mapping[str, Figure]) -> str:
    lost = sorted((figures[item.name] for item in failed), key=lambda figure: figure.value)
    named = [f"{_short(figure)} loses: {figure}" for figure in lost[:NAMED]]
    more = [f"and {len(lost) - NAMED} more"] if len(lost) > NAMED else []
    return "; ".join([*named, *more])


def _short(figure: Figure) -> str:
    return figure.name.removeprefix("slice.").rsplit(".", 2)[0]
