"""Protected queries: searched as served, on both sides; their documents must be there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reindex.config import EvaluationSettings
from reindex.corpus.protected import ProtectedQuery, read_protected
from reindex.evaluation.figure import Figure
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_protected import ProtectedReport, ProtectedRow
from reindex.evaluation.retrieval import OpenSide
from reindex.records import Judgements


def protected_queries(
    judged: Judgements, settings: EvaluationSettings, root: Path
) -> list[ProtectedQuery]:
    """Those of ``evaluation.protected``; none without it. Raises DataError."""
    if settings.protected is None:
        return []
    return read_protected(root / settings.protected, judged.queries, k=settings.k)


def protected_report(
    sides: tuple[OpenSide, OpenSide], queries: Sequence[ProtectedQuery]
) -> ProtectedReport | None:
    """Search them all on both sides; None where there are none."""
    if not queries:
        return None
    lost = [_lost(side, queries) for side in sides]
    rows = [
        ProtectedRow(query.text, query.k, query.documents, live, candidate)
        for query, live, candidate in zip(queries, *lost, strict=True)
    ]
    return ProtectedReport(
        len(rows),
        failed=tuple(row for row in rows if row.lost and not row.lost_live),
        already=tuple(row for row in rows if row.lost and row.lost_live),
        mended=tuple(row for row in rows if row.lost_live and not row.lost),
    )


def _lost(side: OpenSide, queries: Sequence[ProtectedQuery]) -> Iterable[tuple[str, ...]]:
    """The documents of each query that are not among its first k, searched for just that k."""
    vectors = side.side.encoder.encode_queries([query.text for query in queries])
    for query, vector in zip(queries, vectors, strict=True):
        (found,) = side.search(vector[None], side.plan(query.k))
        yield tuple(document for document in query.documents if document not in found)


def protected_figures(comparison: Comparison) -> Iterator[Figure]:
    """``protected.failed`` and its like, with the queries' names in the sentence."""
    report = comparison.protected
    if report is None:
        return
    yield Figure("protected.queries", report.queries, "count", "Protected queries.")
    told = "Answered right by live, and not by the candidate"
    yield Figure("protected.failed", len(report.failed), "count", _named(told, report.failed))
    told = "Answered wrong by live already, and by the candidate"
    yield Figure("protected.already", len(report.already), "count", _named(told, report.already))
    told = "Answered wrong by live, and right by the candidate"
    yield Figure("protected.mended", len(report.mended), "count", _named(told, report.mended))


NAMED = 5


def _named(what: str, rows: Sequence[ProtectedRow]) -> str:
    texts = [f"'{' '.join(row.query.split())[:80]}'" for row in rows[:NAMED]]
    more = [f"and {len(rows) - NAMED} more"] if len(rows) > NAMED else []
    return f"{what}: {', '.join([*texts, *more])}." if rows else f"{what}."
