"""The same queries in other words: rows beside the comparison, printed and not judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reindex.config import EvaluationSettings
from reindex.corpus.judgements import read_queries
from reindex.errors import ComparisonError
from reindex.evaluation.metrics import depth_of
from reindex.evaluation.paired import Scored
from reindex.evaluation.results import VariantRow
from reindex.evaluation.retrieval import OpenSide, runs_of
from reindex.measures import Measure
from reindex.protocols import Progress
from reindex.records import Judgements, Query


def read_variants(
    judged: Judgements, settings: EvaluationSettings, root: Path
) -> dict[str, Judgements]:
    """The judgements with other texts, per label of ``settings.variants``.

    Paths start from ``root``. A file may word a part of the queries; the others are left out.

    Raises:
        DataError: a file cannot be read as queries.
        ComparisonError: a file has none of the judged queries' ids.
    """
    return {label: _worded(judged, label, root / path) for label, path in settings.variants.items()}


def variant_rows(
    sides: tuple[OpenSide, OpenSide],
    variants: Mapping[str, Judgements],
    measures: Sequence[Measure],
    settings: EvaluationSettings,
    progress: Progress,
) -> tuple[VariantRow, ...]:
    """Both sides, searched as served with each wording."""
    rows = []
    for label, worded in variants.items():
        live, candidate = (
            runs_of(
                side, worded.queries, settings.k, progress, depth=depth_of(measures), exact=False
            )
            for side in sides
        )
        scored = Scored.of(worded, live, candidate, measures, settings)
        rows.append(VariantRow(label, len(worded.queries), scored.rows))
    return tuple(rows)


def _worded(judged: Judgements, label: str, path: Path) -> Judgements:
    """The judgements of the queries that the file words anew; groups stay as they were."""
    texts = {query.id: query.text for query in read_queries(path)}
    queries = tuple(
        Query(query.id, texts[query.id], query.group)
        for query in judged.queries
        if query.id in texts
    )
    if not queries:
        raise ComparisonError(
            f"evaluation.variants.{label}: {path} has none of the {len(judged.queries):,} judged "
            f"queries, for example {judged.queries[0].id!r}. A variant gives the same query ids "
            "another text."
        )
    return Judgements(queries, {query.id: judged.qrels[query.id] for query in queries})
