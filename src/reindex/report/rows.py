"""The rows of the report's tables: a change, its interval in words and drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reindex.evaluation.figure import Figure
from reindex.evaluation.models_words import called
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_folds import Stability
from reindex.evaluation.results_models import ModelsReport
from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label
from reindex.report import charts
from reindex.report.evidence import FamilyRow

_SLICE = re.compile(r"slice\.(?P<slice>.+)\.(?P<metric>[\w-]+@\d+)\.change")


@dataclass(frozen=True, slots=True)
class Change:
    """A row with a change: of a metric, a slice or a wording."""

    name: str
    live: str
    candidate: str
    change: str
    interval: str
    drawing: Markup
    p: str = ""
    verdict: str = ""
    note: str = ""


def metrics(c: Comparison) -> list[Change]:
    """Every metric; what the query set could have shown is noted at the judged one."""
    reach = charts.reach_of([(row.difference.low, row.difference.high) for row in c.metrics])
    rows = []
    for row in c.metrics:
        d = row.difference
        rows.append(
            Change(
                f"{label(row.name)}{' *' if row.name == c.metric else ''}",
                f"{d.mean_live:.3f}",
                f"{d.mean_candidate:.3f}",
                percent(d.relative),
                percent_range(d.low, d.high),
                _drawn(d.relative, d.low, d.high, reach),
                "<0.001" if d.p_value < 0.001 else f"{d.p_value:.3f}",
                row.judged.verdict if row.judged else "",
                _power(c, row),
            )
        )
    return rows


def _power(c: Comparison, row: Any) -> str:
    """What this query set could have shown, of the judged row."""
    if row.name != c.metric or row.power is None or row.power.detectable is None:
        return ""
    told = f"This query set can show changes of {percent(row.power.detectable, sign=False)} or more"
    told += " in four of five cases"
    more = row.power.more_queries
    return f"{told}; about {more:,} more queries would decide." if more else f"{told}."


def _drawn(value: float, low: float, high: float, reach: float) -> Markup:
    return Markup(charts.interval(value, low, high, reach))  # noqa: S704 (numbers alone)


def wordings(c: Comparison) -> Iterator[Change]:
    """The judged metric with other wordings of the queries."""
    found = [
        (variant.label, row.difference)
        for variant in c.variants
        for row in variant.metrics
        if row.name == c.metric
    ]
    reach = charts.reach_of([(d.low, d.high) for _, d in found])
    for name, d in found:
        yield Change(
            name, f"{d.mean_live:.3f}", f"{d.mean_candidate:.3f}", percent(d.relative),
            percent_range(d.low, d.high), _drawn(d.relative, d.low, d.high, reach),
        )  # fmt: skip


def slices(figures: Sequence[Figure], metric: str) -> list[Change]:
    """The judged metric's change in every slice that has one; the others are among all figures."""
    known = {figure.name: figure for figure in figures}
    matches = ((_SLICE.fullmatch(figure.name), figure) for figure in figures)
    rows = [(m["slice"], figure) for m, figure in matches if m and m["metric"] == metric]
    return _slice_rows(known, metric, rows)


def _slice_rows(
    known: dict[str, Figure], metric: str, rows: list[tuple[str, Figure]]
) -> list[Change]:
    ends = [(f.low, f.high) for _, f in rows if f.low is not None and f.high is not None]
    reach = charts.reach_of(ends)
    made = []
    for name, figure in rows:
        low, high = figure.low, figure.high
        bounded = low is not None and high is not None
        sides = (known.get(f"slice.{name}.{metric}.{side}") for side in ("live", "candidate"))
        means = [f"{side.value:.3f}" if side else "–" for side in sides]
        made.append(
            Change(
                name, means[0], means[1], percent(figure.value),
                percent_range(low, high) if low is not None and high is not None else "–",
                _drawn(figure.value, low or 0.0, high or 0.0, reach) if bounded else Markup(),
            )
        )  # fmt: skip
    return made


def folds(found: Stability | None) -> list[Change]:
    """The change in each fold of a small judged set; folds have no interval of their own."""
    if found is None:
        return []
    return [
        Change(
            f"fold {number}: {row.queries:,} queries in {row.groups:,} groups",
            f"{row.mean_live:.3f}", f"{row.mean_candidate:.3f}", percent(row.relative), "–",
            Markup(),
        )
        for number, row in enumerate(found.folds, start=1)
    ]  # fmt: skip


def family(candidates: Sequence[FamilyRow]) -> list[Change]:
    """The candidates that were compared at once, the strongest first."""
    reach = charts.reach_of([(row.difference.low, row.difference.high) for row in candidates])
    return [
        _beside(row.version, row.difference, reach, f"{row.p_value:.3f}", row.verdict)
        for row in candidates
    ]


def models(report: ModelsReport | None) -> list[Change]:
    """Everybody but live on the subset; the verdicts are the models' alone."""
    if report is None:
        return []
    found = [
        (row, row.difference if row.family is None else row.family.difference)
        for row in report.rows
    ]
    reach = charts.reach_of([(d.low, d.high) for _, d in found if d is not None])
    return [
        _beside(
            called(row), d, reach, f"{row.difference.p_value:.3f}" if row.difference else "",
            row.judged.verdict if row.judged else "",
        )
        for row, d in found
        if d is not None
    ]  # fmt: skip


def _beside(name: str, d: PairedDifference, reach: float, p: str, verdict: str) -> Change:
    return Change(
        name, f"{d.mean_live:.3f}", f"{d.mean_candidate:.3f}", percent(d.relative),
        percent_range(d.low, d.high), _drawn(d.relative, d.low, d.high, reach), p, verdict,
    )  # fmt: skip
