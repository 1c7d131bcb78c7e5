"""Metrics at k, per query, through the ir_measures library (trec_eval's code).

Relevant is a relevance of 1 or more; nDCG alone uses the grades.

* **recall@k**: the share of the relevant documents among the first k.
* **nDCG@k**: linear gain, discount log2(rank + 1), over the ideal order of all judged documents
  (Järvelin & Kekäläinen, TOIS 2002, in trec_eval's form).
* **MRR@k**: one over the rank of the first relevant document, 0 past rank k.
* **MAP@k**: precision at each relevant document's rank within k, summed, over the number of all
  relevant documents (trec_eval's map_cut; it stays below 1 where there are more than k of them).
* **precision@k**: relevant documents among the first k, over k, also where fewer were found.
* **F1@k**: harmonic mean of a query's precision@k and recall@k, 0 where both are 0. The mean is
  over the queries' F1, not an F1 of two means.
* **hit rate@k**: 1 where a relevant document is among the first k (success@k).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reindex.errors import ComparisonError
from reindex.measures import Measure
from reindex.records import Qrels

Run = Mapping[str, Sequence[str]]
"""query id -> document ids, best first."""
Scores = dict[str, dict[str, float]]
"""measure (``ndcg@10``) -> query id -> value."""

_LIBRARY = {
    "recall": "R",
    "ndcg": "nDCG",
    "mrr": "RR",
    "map": "AP",
    "precision": "P",
    "hit_rate": "Success",
}
"""metric -> its name in ir_measures; F1 is made of two of them."""


def answerable(qrels: Qrels) -> dict[str, dict[str, int]]:
    """The queries that have a relevant document; negative relevance (spam) counts as 0."""
    clean = {
        query: {document: max(0, grade) for document, grade in judged.items()}
        for query, judged in qrels.items()
    }
    return {query: judged for query, judged in clean.items() if any(judged.values())}


def per_query(run: Run, qrels: Qrels, measures: Iterable[Measure]) -> Scores:
    """Every measure for every judged query: ``{"recall@10": {query id: value}, …}``.

    A judged query that the run lacks, or that found nothing, scores 0 and is never dropped. A
    document that the run lists twice counts once, at its better rank. Queries without a relevant
    document cannot be scored and are left out, as are queries of the run that nobody judged.

    Raises:
        ComparisonError: a cut-off below 1, or no query has a relevant document.
    """
    judged, wanted = answerable(qrels), list(dict.fromkeys(measures))
    if not judged or any(measure.k < 1 for measure in wanted):
        raise ComparisonError(
            "Metrics need k ≥ 1 and a query with a relevant document; got "
            f"{', '.join(map(str, wanted))} and {len(judged)} such queries. Check the judgements "
            "(qrels) and evaluation.k."
        )
    ranked = {query: _descending(run.get(query, ()), depth_of(wanted)) for query in judged}
    parts = {part for measure in wanted for part in _parts(measure)}
    scores = _calculate(parts, judged, ranked)
    for measure in wanted:
        if measure.metric == "f1":
            scores[measure] = _harmonic(*(scores[part] for part in _parts(measure)))
    return {str(measure): scores[measure] for measure in wanted}


def depth_of(measures: Iterable[Measure]) -> int:
    """How many results the deepest measure looks at; 0 where there is none."""
    return max((measure.k for measure in measures), default=0)


def macro(values: Mapping[str, float]) -> float:
    """The mean over queries, each counting once."""
    return float(np.mean(list(values.values())))


def _parts(measure: Measure) -> tuple[Measure, ...]:
    """What the library is asked for."""
    if measure.metric != "f1":
        return (measure,)
    return Measure("precision", measure.k), Measure("recall", measure.k)


def _calculate(
    measures: Iterable[Measure], judged: Qrels, ranked: Mapping[str, dict[str, float]]
) -> dict[Measure, dict[str, float]]:
    import ir_measures

    wanted = {getattr(ir_measures, _LIBRARY[one.metric]) @ one.k: one for one in measures}
    scores = {measure: dict.fromkeys(judged, 0.0) for measure in wanted.values()}
    if not wanted:
        return {}
    found: Iterable[Any] = ir_measures.iter_calc(list(wanted), judged, ranked)
    for item in found:
        scores[wanted[item.measure]][item.query_id] = float(item.value)
    return scores


def _harmonic(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    both = {query: (value, second[query]) for query, value in first.items()}
    return {query: 2 * a * b / (a + b) if a + b else 0.0 for query, (a, b) in both.items()}


def _descending(documents: Sequence[str], depth: int) -> dict[str, float]:
    """Strictly falling scores: trec_eval sorts by score itself and breaks ties by document id."""
    return {
        document: float(depth - rank)
        for rank, document in enumerate(list(dict.fromkeys(documents))[:depth])
    }
