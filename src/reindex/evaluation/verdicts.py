"""Every metric's verdict by the gate's rule, with what the query set could have shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reindex.config import GateSettings
from reindex.evaluation.power import power_of
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results import MetricRow
from reindex.evaluation.statistics import Judged, judge


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
