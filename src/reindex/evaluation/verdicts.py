"""Every metric's verdict by the gate's rule, with what the query set could have shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reindex.config import GateSettings
from reindex.evaluation.power import power_of
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results import Comparison, MetricRow
from reindex.evaluation.results_bounds import Bounds
from reindex.evaluation.results_family import Family
from reindex.evaluation.results_folds import Choice
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

    What unjudged results could do, and the place among several candidates, are known of the metric
    that the comparison judged.

    Raises:
        ComparisonError: the metric was not measured.
    """
    name = str(parse_measure(gate.metric, comparison.k))
    difference = comparison.row(name)
    judged = judge_by(gate, difference)
    if name != comparison.metric:
        return judged
    if comparison.family is not None and judged.verdict == "pass":
        judged = among(comparison.family, gate, 1 - difference.confidence)
    return could_turn(judged, comparison.bounds, gate)


def among(family: Family, gate: GateSettings, level: float) -> Judged:
    """Whether what passes alone passes among the other candidates, too.

    Superiority asks for both the interval of the place and the adjusted p-value: with wide
    intervals the bootstrap's ends rest on few draws.
    """
    count = len(family.candidates)
    wide = judge_by(gate, family.difference)
    shown = gate.mode != "superiority" or family.p_value <= level
    choice = family.choice
    if choice and wide.verdict == "pass" and not _worth(choice, gate):
        return Judged(
            "inconclusive",
            f"The best of {count} candidates on the queries that chose it: "
            f"{percent(choice.apparent)}. On queries that did not choose it ({choice.folds} "
            f"folds): {percent(choice.crossed)}. "
            f"{percent(_least(gate))} was asked for.",
        )
    if wide.verdict == "pass" and shown and not family.stopped:
        return Judged("pass", f"{wide.reason} Holds among {count} candidates (Holm).")
    return Judged(
        "inconclusive",
        f"Not shown among {count} candidates (place {family.place}, Holm's p "
        f"{family.p_value:.3f}), though alone it would be. {wide.reason}",
    )


def _worth(choice: Choice, gate: GateSettings) -> bool:
    """Whether the choice keeps what the gate asks for on queries that did not make it."""
    return choice.crossed >= _least(gate)


def _least(gate: GateSettings) -> float:
    return gate.min_effect if gate.mode == "superiority" else -gate.margin


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
