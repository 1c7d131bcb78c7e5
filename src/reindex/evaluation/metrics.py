"""Recall, nDCG and MRR at k, per query, through the ir_measures library (trec_eval's code).

* **recall@k**: the share of the relevant documents (relevance ≥ 1) among the first k.
* **nDCG@k**: linear gain, discount log2(rank + 1), over the ideal order of all judged documents
  (Järvelin & Kekäläinen, TOIS 2002, in trec_eval's form).
* **MRR@k**: one over the rank of the first relevant document, 0 past rank k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from reindex.errors import ComparisonError
from reindex.records import Qrels

Metric = Literal["recall", "ndcg", "mrr"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Run = Mapping[str, Sequence[str]]
"""query id -> document ids, best first."""


def answerable(qrels: Qrels) -> dict[str, dict[str, int]]:
    """The queries that have a relevant document; negative relevance (spam) counts as 0."""
    clean = {
        query: {document: max(0, grade) for document, grade in judged.items()}
        for query, judged in qrels.items()
    }
    return {query: judged for query, judged in clean.items() if any(judged.values())}


def per_query(run: Run, qrels: Qrels, *, k: int) -> dict[str, dict[str, float]]:
    """Every metric for every judged query: ``{"recall": {query id: value}, "ndcg": …, "mrr": …}``.

    A judged query that the run lacks, or that found nothing, scores 0 and is never dropped. A
    document that the run lists twice counts once, at its better rank. Queries without a relevant
    document cannot be scored and are left out, as are queries of the run that nobody judged.

    Raises:
        ComparisonError: ``k`` is below 1, or no query has a relevant document.
    """
    import ir_measures

    judged = answerable(qrels)
    if k < 1 or not judged:
        raise ComparisonError(
            f"Metrics need k ≥ 1 and a query with a relevant document; got k = {k} and "
            f"{len(judged)} such queries. Check the judgements (qrels) and evaluation.k."
        )
    measures = dict(
        zip((ir_measures.R @ k, ir_measures.nDCG @ k, ir_measures.RR @ k), METRICS, strict=True)
    )
    scores = {metric: dict.fromkeys(judged, 0.0) for metric in METRICS}
    ranked = {query: _descending(run.get(query, ()), k) for query in judged}
    found: Iterable[Any] = ir_measures.iter_calc(list(measures), judged, ranked)
    for item in found:
        scores[measures[item.measure]][item.query_id] = float(item.value)
    return {metric: scores[metric] for metric in METRICS}


def macro(values: Mapping[str, float]) -> float:
    """The mean over queries, each counting once."""
    return float(np.mean(list(values.values())))


def _descending(documents: Sequence[str], k: int) -> dict[str, float]:
    """Strictly falling scores: trec_eval sorts by score itself and breaks ties by document id."""
    return {
        document: float(k - rank)
        for rank, document in enumerate(list(dict.fromkeys(documents))[:k])
    }
