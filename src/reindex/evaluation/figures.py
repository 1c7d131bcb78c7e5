"""Every number of a comparison in one flat namespace: ``figures(comparison)["recall@10.change"]``.

To add figures, write a function from a `Comparison` to its `Figure`s in the module that computes
them, and add it to `CONTRIBUTORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from reindex.evaluation.agreement import agreement_figures
from reindex.evaluation.figure import Figure, quoted
from reindex.evaluation.figures_steps import step_figures
from reindex.evaluation.leakage import leakage_figures
from reindex.evaluation.power import power_figures
from reindex.evaluation.protected import protected_figures
from reindex.evaluation.results import Comparison, Counts, Latency, MetricRow, StageRow
from reindex.evaluation.results_bounds import bound_figures
from reindex.evaluation.results_family import family_figures
from reindex.evaluation.results_folds import stability_figures
from reindex.evaluation.slices import slice_figures
from reindex.evaluation.statistics import cautious_interval
from reindex.evaluation.unjudged import UnjudgedComparison

__all__ = ["Figure", "figures"]


def figures(comparison: Comparison, *more: Iterable[Figure]) -> Mapping[str, Figure]:
    """All figures by name, in the order of the table; ``more`` are those of other places.

    A part of the comparison that was not measured has no figures.
    """
    parts = [contribute(comparison) for contribute in CONTRIBUTORS]
    return {figure.name: figure for part in (*parts, *more) for figure in part}


def unjudged_figures(
    comparison: UnjudgedComparison, *more: Iterable[Figure]
) -> Mapping[str, Figure]:
    """The same of a comparison without judgements: latency and agreement."""
    counted = (
        Figure("queries", comparison.queries, "count", "Queries, which nobody judged."),
        Figure("groups", comparison.groups, "count", "Independent groups of them."),
    )
    parts = (counted, _latency(comparison), agreement_figures(comparison.agreement), *more)
    return {figure.name: figure for part in parts for figure in part}


def _metrics(c: Comparison) -> Iterator[Figure]:
    for row in c.metrics:
        yield from metric_figures(row, row.name)


def metric_figures(row: MetricRow, name: str) -> Iterator[Figure]:
    """What is known of one metric, under ``name``."""
    d = row.difference
    low, high = cautious_interval(d)
    yield Figure(
        f"{name}.change",
        d.relative,
        "%",
        "Change of the mean, relative to live.",
        low=low,
        high=high,
        confidence=d.confidence,
        signed=True,
    )
    yield Figure(
        f"{name}.difference", d.difference, "", "Change of the mean, absolute.", signed=True
    )
    yield Figure(f"{name}.live", d.mean_live, "", "Mean over the judged queries, live.")
    yield Figure(
        f"{name}.candidate", d.mean_candidate, "", "Mean over the judged queries, candidate."
    )
    yield Figure(f"{name}.p", d.p_value, "", "Two-sided p-value of no difference.")
    yield Figure(f"{name}.wins", d.wins, "count", "Queries that the candidate answers better.")
    yield Figure(f"{name}.losses", d.losses, "count", "Queries that it answers worse.")
    if row.power:
        yield from power_figures(row.power, name)


def _judged(c: Comparison) -> Iterator[Figure]:
    yield Figure("queries", c.queries, "count", "Judged queries.")
    yield Figure("groups", c.groups, "count", "Independent groups of judged queries.")
    yield from _counts("unjudged", c.unjudged, "Results within the first k that nobody judged")
    if c.family:
        yield from family_figures(c.family)
    if c.stability:
        yield from stability_figures(c.stability)
    if c.bounds:
        yield from bound_figures(c.bounds)
    yield from _counts("missing", c.missing, "Relevant documents that are not in the collection")


def _counts(name: str, counts: Counts, what: str) -> Iterator[Figure]:
    for side, value in (("live", counts.live), ("candidate", counts.candidate)):
        yield Figure(f"{name}.{side}", value, "count", f"{what}, {side}.")
        if counts.of:
            yield Figure(f"{name}.{side}_share", value / counts.of, "%", f"{what}, {side}.")


def _latency(c: Comparison | UnjudgedComparison) -> Iterator[Figure]:
    """The candidate's as ``latency.p50_ms``, live's as ``latency.live.p50_ms``."""
    yield from _times("latency", "the candidate", c.candidate_latency)
    yield from _times("latency.live", "live", c.live_latency)
    if c.live_latency.p50_ms:
        change = c.candidate_latency.p50_ms / c.live_latency.p50_ms - 1
        yield Figure(
            "latency.change", change, "%", "Change of the median, relative to live.", signed=True
        )


_TIMES = {
    "p50_ms": "Median of encoding and searching",
    "p95_ms": "95th percentile of encoding and searching",
    "encode_p50_ms": "Median of encoding a query",
    "search_p50_ms": "Median of searching",
}


def _times(name: str, side: str, latency: Latency) -> Iterator[Figure]:
    for key, what in _TIMES.items():
        yield Figure(f"{name}.{key}", getattr(latency, key), "ms", f"{what}, {side}.")


def _stages(c: Comparison) -> Iterator[Figure]:
    """Recall as served against exact search; a single layout has no first stage to lose by."""
    yield from _stage("stage", c.candidate_stage)
    yield from _stage("stage.live", c.live_stage)
    loss = c.candidate_two_stage_loss
    if loss is not None:
        yield Figure("two_stage.loss", loss, "%", "Share of full search's recall lost.")


def _stage(name: str, row: StageRow) -> Iterator[Figure]:
    yield Figure(f"{name}.exact", row.exact, "", "Recall of exact search.")
    yield Figure(f"{name}.served", row.served, "", "Recall of search as it serves.")
    yield Figure(f"{name}.loss", row.loss, "%", "Share of exact search's recall lost.")


def _subset(c: Comparison) -> Iterator[Figure]:
    if c.subset is None:
        return
    for dimension in c.subset.dimensions:
        if dimension.candidate_kept is not None:
            yield Figure(
                f"dim{dimension.dim}.kept",
                dimension.candidate_kept,
                "%",
                f"Share of recall kept at {dimension.dim} dimensions.",
            )
    for row in c.subset.precision:
        yield Figure(
            f"precision.{row.name}.change",
            row.change,
            "%",
            "The graph that serves against fp32, on the subset.",
            signed=True,
        )


def _variants(c: Comparison) -> Iterator[Figure]:
    for variant in c.variants:
        for row in variant.metrics:
            yield from metric_figures(row, f"variant.{quoted(variant.label)}.{row.name}")


CONTRIBUTORS: tuple[Callable[[Comparison], Iterable[Figure]], ...] = (
    _metrics,
    _judged,
    _latency,
    _stages,
    _subset,
    _variants,
    lambda c: agreement_figures(c.agreement),
    step_figures,
    slice_figures,
    protected_figures,
    leakage_figures,
)
"""Each gives a part of the namespace; one line adds yours."""
