"""Every metric's verdict by the gate's rule, with what the query set could have shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reindex.config import GateSettings
from reindex.evaluation.power import power_of
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results import Comparison, MetricRow
from reindex.evaluation.results_bounds import Bounds
from reindex.evaluation.statistics import Judged, judge, percent, percent_range
from reindex.measures import parse_measure


def judged_rows(rows: Iterable[MetricRow], gate: GateSettings) -> tuple[MetricRow, ...]:
    """Each row with its verdict and power. Only the gate's own metric decides; see the docs."""
    return tuple(
        replace(
            row,
            judged=judge_by(gate, row.difference),
            power=power_of(
                row.difference, mode=gate.mode, min_effect=gate.min_effect, margin=gate.margin
            ),
        )
        for row in rows
    )


def judge_by(gate: GateSettings, difference: PairedDifference) -> Judged:
    """`judge` with the gate's mode and limits."""
    return judge(difference, mode=gate.mode, min_effect=gate.min_effect, margin=gate.margin)


def verdict_of(comparison: Comparison, gate: GateSettings) -> Judged:
    """The verdict in the gate's metric, by the gate's rule as it is now.

    What unjudged results could do is known of the metric that the comparison judged.

    Raises:
        ComparisonError: the metric was not measured.
    """
    name = str(parse_measure(gate.metric, comparison.k))
    judged = judge_by(gate, comparison.row(name))
    return could_turn(judged, comparison.bounds if name == comparison.metric else None, gate)


def could_turn(judged: Judged, bounds: Bounds | None, gate: GateSettings) -> Judged:
    """Inconclusive where results that nobody judged could reverse the verdict, and they count."""
    if bounds is None or bounds.rule == "count" or judged.verdict == "inconclusive":
        return judged
    worst = bounds.against if judged.verdict == "pass" else bounds.in_favour
    if judge_by(gate, worst).verdict == judged.verdict:
        return judged
    side = "live" if judged.verdict == "pass" else "the candidate"
    return Judged(
        "inconclusive",
        f"Unjudged results could reverse this: {judged.reason} Were those relevant that speak for "
        f"{side}, it would be {percent(worst.relative)} ({percent_range(worst.low, worst.high)}). "
        "Judge them, or see evaluation.unjudged.",
    )
