"""Figures and sentences of leakage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reindex.evaluation.figure import Figure
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_leakage import Leak

NAMED = 3
"""Leaked queries that a sentence names; the rest are counted."""


def leakage_figures(comparison: Comparison) -> Iterator[Figure]:
    """``leakage.near`` and ``leakage.positives``; what cannot be told has no figure."""
    report = comparison.leakage
    if report is None:
        return
    told = "Judged queries in the training data"
    yield Figure("leakage.exact", len(report.exact), "count", _named(told, report.exact))
    if report.near is not None:
        told = "Judged queries whose near-duplicate is in the training data"
        yield Figure("leakage.near", len(report.near), "count", _named(told, report.near))
    if report.positives is not None:
        told = "Judged queries with an answer that is a positive of the training"
        share = len(report.positives) / max(report.queries, 1)
        yield Figure("leakage.positives", share, "%", _named(told, report.positives))


def _named(what: str, leaks: Sequence[Leak]) -> str:
    texts = [f"'{' '.join(leak.text.split())[:80]}' ({leak.version})" for leak in leaks[:NAMED]]
    more = [f"and {len(leaks) - NAMED} more"] if len(leaks) > NAMED else []
    return f"{what}: {', '.join([*texts, *more])}." if leaks else f"{what}."
