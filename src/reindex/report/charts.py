"""The report's charts: per-query differences, dimensions, latency, steps and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reindex.evaluation.agreement import Agreement
from reindex.evaluation.front import Front, FrontPoint
from reindex.evaluation.results import Comparison, SubsetReport
from reindex.evaluation.results_steps import Steps
from reindex.evaluation.statistics import percent
from reindex.measures import label
from reindex.report.svg import WIDTH, Axis, Chart

ROW_LABELS = 150
"""Room for the names of a chart's rows."""
MOST_BARS = 400
"""Bars that a per-query plot draws; of more queries, evenly spaced ones."""


def number(value: float, digits: int = 2) -> str:
    """``0.85``, with a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def _untold(_value: float, _digits: int) -> str:
    return ""


def signed(value: float, digits: int = 2) -> str:
    """``+0.05``; nothing is ``0``."""
    if not round(value, digits):
        return "0"
    return f"{value:+.{digits}f}".replace("-", "−")


def per_query(c: Comparison) -> str:
    """Every query's difference in the judged metric, sorted: where the mean comes from."""
    pairs = c.scores.get(c.metric, {}).values()
    changes = np.sort([candidate - live for live, candidate in pairs])[::-1]
    if not len(changes):
        return ""
    shown = changes
    if len(changes) > MOST_BARS:
        shown = changes[np.linspace(0, len(changes) - 1, MOST_BARS).round().astype(int)]
    d = c.judged
    chart = Chart(
        Axis(0, len(shown), _untold, f"{len(changes):,} queries, sorted"),
        Axis.around(changes, signed, f"candidate − live, {label(c.metric)}", zero=True),
        "Difference per query",
        f"{d.wins:,} queries are better, {d.losses:,} are worse, {d.ties:,} are equal.",
    )
    chart.frame(x_ticks=())
    for place, change in enumerate(shown):
        if change:
            chart.box((place + 0.08, 0), (place + 0.92, change), "win" if change > 0 else "loss")
    chart.line(chart.at(0, 0), chart.at(len(shown), 0), "zero")
    return chart.svg()


def by_dimension(subset: SubsetReport, k: int) -> str:
    """Recall of both sides with vectors cut to fewer dimensions."""
    sides = {
        "live": [(row.dim, row.live) for row in subset.dimensions if row.live is not None],
        "candidate": [
            (row.dim, row.candidate) for row in subset.dimensions if row.candidate is not None
        ],
    }
    recalls = [recall for points in sides.values() for _, recall in points]
    dims = sorted({row.dim for row in subset.dimensions})
    chart = Chart(
        Axis(0, max(dims) * 1.04, lambda value, _: f"{value:,.0f}", "dimensions"),
        Axis.around(recalls, number, f"recall@{k} on the subset"),
        "Recall by dimension",
        "; ".join(
            f"{side}: " + ", ".join(f"{recall:.3f} at {dim}" for dim, recall in points)
            for side, points in sides.items()
        ),
    )
    chart.frame(x_ticks=_apart(dims, max(dims) / 12))
    for side, points in sides.items():
        chart.path(points, f"line {side}")
        for dim, recall in points:
            chart.dot(dim, recall, side, square=side == "live")
    return chart.svg()


def _apart(values: Sequence[int], least: float) -> list[float]:
    """Those of rising ``values`` whose labels do not touch, the largest kept."""
    kept: list[float] = []
    for value in reversed(values):
        if not kept or kept[-1] - value >= least:
            kept.append(float(value))
    return kept


def by_latency(c: Comparison) -> str:
    """What each side finds, and the time that it takes."""
    points = {
        "live": (c.live_latency, c.live_stage.served),
        "candidate": (c.candidate_latency, c.candidate_stage.served),
    }
    times = [value for latency, _ in points.values() for value in (latency.p50_ms, latency.p95_ms)]
    chart = Chart(
        Axis.around(times, lambda value, _: f"{value:g}", "ms per query: median to 95th percentile",
                    zero=True),
        Axis.around([recall for _, recall in points.values()], number, f"recall@{c.k} as served"),
        "Recall and latency",
        "; ".join(
            f"{side}: recall {recall:.3f}, median {latency.p50_ms:.1f} ms, "
            f"95th percentile {latency.p95_ms:.1f} ms"
            for side, (latency, recall) in points.items()
        ),
    )  # fmt: skip
    chart.frame()
    for side, (latency, recall) in points.items():
        chart.path([(latency.p50_ms, recall), (latency.p95_ms, recall)], f"line {side} thin")
        chart.dot(latency.p50_ms, recall, side, square=side == "live")
    return chart.svg()


def by_front(front: Front) -> str:
    """The measured ways of searching a collection, the best of them as a line, and the chosen."""
    points = sorted(
        (point.p50_ms, point.recall) for point in front.points if point.p50_ms is not None
    )
    if not points or front.chosen.p50_ms is None:
        return ""
    best: list[tuple[float, float]] = []
    for time, recall in points:
        if not best or recall > best[-1][1]:
            best.append((time, recall))
    chart = Chart(
        Axis.around([time for time, _ in points], lambda value, _: f"{value:g}",
                    "ms per search, median", zero=True),
        Axis.around([*(recall for _, recall in points), front.target], number,
                    f"share of exact search’s first {front.k}"),
        "Serving plan",
        f"{len(points)} ways were measured; {_way(front.chosen)} reaches {front.chosen.recall:.4f} "
        f"in {front.chosen.p50_ms:.2f} ms, the target is {front.target:g}.",
    )  # fmt: skip
    chart.frame()
    chart.line(chart.at(chart.x.low, front.target), chart.at(chart.x.high, front.target), "target")
    chart.path(best, "line live thin")
    for time, recall in points:
        chart.dot(time, recall, "live")
    chart.dot(front.chosen.p50_ms, front.chosen.recall, "candidate")
    return chart.svg()


def _way(point: FrontPoint) -> str:
    if point.prefix_dim is None:
        return "searching full vectors at once"
    return f"oversampling {point.oversampling} on {point.prefix_dim} dimensions"


def by_step(steps: Steps) -> str:
    """What each cause adds to the change, and where that leads."""
    change = steps.candidate.served - steps.live.served
    rows = [*((part.name, part.change) for part in steps.parts), ("as served", change)]
    starts = np.concatenate([[0.0], np.cumsum([part.change for part in steps.parts])])
    ends = [*starts[1:], change]
    chart = Chart(
        Axis.around([*starts, change], signed, f"candidate − live, {label(steps.metric)}",
                    zero=True),
        Axis(0, len(rows), _untold),
        "Where the change comes from",
        ", ".join(f"{name} {value:+.3f}" for name, value in rows),
        height=60 + 30 * len(rows), left=ROW_LABELS,
    )  # fmt: skip
    _rows_frame(chart)
    for row, ((name, value), start, end) in enumerate(
        zip(rows, [*starts[:-1], 0], ends, strict=True)
    ):
        middle = len(rows) - row - 0.5
        kind = "win" if value >= 0 else "loss"
        kind = kind if row < len(rows) - 1 else "candidate"
        chart.box((start, middle + 0.25), (end, middle - 0.25), kind)
        _row_label(chart, middle, f"{name} {signed3(value)}")
    chart.line(chart.at(0, 0), chart.at(0, len(rows)), "zero")
    return chart.svg()


def signed3(value: float) -> str:
    """``+0.051``."""
    return f"{value:+.3f}".replace("-", "−")


def _row_label(chart: Chart, middle: float, text: str) -> None:
    chart.words((0, chart.at(chart.x.low, middle)[1] + 4), text, "row")


def _rows_frame(chart: Chart) -> None:
    for value in chart.x.ticks:
        chart.line(chart.at(value, 0), chart.at(value, chart.y.high), "grid")
        x, y = chart.at(value, 0)
        chart.words((x, y + 16), chart.x.label(value), "tick middle")
    chart.words(((ROW_LABELS + WIDTH) / 2, chart.height - 6), chart.x.title, "axis middle")


def scores(found: Agreement) -> str:
    """Where each side's scores lie: 5 to 95 % as a line, the middle half as a bar, the median."""
    rows = [
        (f"{side}, {what}", side, values)
        for side, profile in (("live", found.live_scores), ("candidate", found.candidate_scores))
        for what, values in (("best result", profile.first), ("all results", profile.every))
        if values
    ]
    if not rows:
        return ""
    chart = Chart(
        Axis.around([value for _, _, values in rows for value in values], number, "score"),
        Axis(0, len(rows), _untold),
        "Where the scores lie",
        "; ".join(
            f"{name}: median {values[2]:.2f}, 5 % below {values[0]:.2f}, 95 % below {values[4]:.2f}"
            for name, _, values in rows
        ),
        height=60 + 30 * len(rows),
        left=ROW_LABELS,
    )
    _rows_frame(chart)
    for row, (name, side, values) in enumerate(rows):
        middle = len(rows) - row - 0.5
        chart.path([(values[0], middle), (values[4], middle)], f"line {side} thin")
        chart.box((values[1], middle + 0.18), (values[3], middle - 0.18), side)
        across, down = chart.at(values[2], middle)
        chart.line((across, down - 9), (across, down + 9), "median")
        _row_label(chart, middle, name)
    return chart.svg()


def interval(value: float, low: float, high: float, reach: float) -> str:
    """A change with its interval on a scale from −reach to +reach: beside its numbers."""
    width, height = 120, 18

    def across(share: float) -> float:
        return width / 2 + max(-1.0, min(1.0, share / reach)) * (width / 2 - 4)

    kind = "win" if low > 0 else "loss" if high < 0 else "open"
    return (
        f'<svg class="interval" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<line class="zero" x1="{width / 2}" x2="{width / 2}" y1="0" y2="{height}"/>'
        f'<line class="bar {kind}" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="9" y2="9"/>'
        f'<circle class="{kind}" cx="{across(value):.1f}" cy="9" r="4"/></svg>'
    )


def reach_of(changes: Sequence[tuple[float, float]]) -> float:
    """A common scale for intervals: the furthest end of any, at least 1 %."""
    return max([abs(end) for ends in changes for end in ends] + [0.01])


__all__ = [
    "by_dimension", "by_latency", "by_step", "interval", "number", "per_query", "percent",
    "reach_of", "scores", "signed", "signed3",
]  # fmt: skip
