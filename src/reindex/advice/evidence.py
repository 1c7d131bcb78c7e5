"""What each way of searching finds, on one pool of documents, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.advice.findings import Interval
from reindex.evaluation.baselines import bm25_run
from reindex.evaluation.metrics import per_query
from reindex.evaluation.resampling import paired_difference
from reindex.measures import Measure
from reindex.records import Qrels, Query, Vector

DEPTH = 100
"""Results of each ranking that are fused."""
RRF_K = 60
"""Cormack, Clarke & Büttcher, SIGIR 2009."""
RESAMPLES = 1000

Run = Mapping[str, Sequence[str]]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bench:
    """Judged queries, their groups ``(n,)``, and the documents to find their answers in."""

    queries: tuple[Query, ...]
    qrels: Qrels
    groups: NDArray[np.int64]
    documents: Mapping[str, str]
    k: int
    seed: int

    def scores(self, run: Run) -> tuple[Scores, Scores]:
        """recall@k and nDCG@k of each query, ``(n,)`` each."""
        measures = Measure("recall", self.k), Measure("ndcg", self.k)
        found = per_query(run, self.qrels, measures)
        recall, ndcg = (
            np.array([found[str(measure)][query.id] for query in self.queries])
            for measure in measures
        )
        return recall, ndcg

    def interval(self, values: Scores) -> Interval:
        """The mean, and its 95 % interval by a cluster bootstrap over groups."""
        drawn = draws(self.groups, self.seed)
        means = (drawn @ values) / drawn.sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return Interval(float(values.mean()), float(low), float(high))

    def gain(self, before: Scores, after: Scores) -> Interval:
        """The relative change, as the gate computes it."""
        found = paired_difference(before, after, self.groups, resamples=RESAMPLES, seed=self.seed)
        return Interval(found.relative, found.low, found.high)


def draws(groups: NDArray[np.int64], seed: int, resamples: int = RESAMPLES) -> Scores:
    """How often each query is in each bootstrap sample of groups: ``(resamples, n)``."""
    _, number = np.unique(groups, return_inverse=True)
    count = int(number.max()) + 1
    dice = np.random.default_rng(seed)
    picked = dice.multinomial(count, np.full(count, 1 / count), size=resamples)
    times: Scores = picked[:, number].astype(np.float64)
    return times


def dense_run(queries: Vector, documents: Vector, ids: Sequence[str], names: Sequence[str]) -> Run:
    """The nearest `DEPTH` documents for each query, by exact cosine of unit vectors."""
    depth = min(DEPTH, len(ids))
    found: dict[str, list[str]] = {}
    for start in range(0, len(names), 256):
        near = queries[start : start + 256] @ documents.T
        top = np.argpartition(-near, depth - 1, axis=1)[:, :depth]
        for name, row, scores in zip(names[start : start + 256], top, near, strict=True):
            found[name] = [ids[place] for place in row[np.argsort(-scores[row], kind="stable")]]
    return found


def lexical_run(bench: Bench) -> Run:
    """BM25 over the same documents. Raises MissingExtra."""
    return bm25_run(bench.documents, bench.queries, min(DEPTH, len(bench.documents)))


def fused_run(first: Run, second: Run) -> Run:
    """Reciprocal rank fusion of two rankings, equal weights."""
    return {
        query: _fuse(first.get(query, ()), second.get(query, ())) for query in {*first, *second}
    }


def _fuse(*rankings: Sequence[str]) -> list[str]:
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking, start=1):
            scores[document] = scores.get(document, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores, key=lambda document: -scores[document])


def recall_among_all(bench: Bench, run: Run, total: int) -> float:
    """recall@k to be expected among ``total`` documents, of which the bench holds a sample.

    Recall falls about linearly with the logarithm of the number of documents, and how fast is
    measured here: the relevant documents stay, of the others a half is taken away, and again.
    """
    answers = {document for judged in bench.qrels.values() for document in judged}
    others = sorted(set(bench.documents) - answers)
    order = np.random.default_rng(bench.seed).permutation(len(others))
    kept = [len(others) >> step for step in (2, 1, 0)]
    level = float(bench.scores(run)[0].mean())
    if total <= len(bench.documents) or kept[0] < bench.k:
        return level
    levels = [_recall_with(bench, run, answers | {others[i] for i in order[:n]}) for n in kept]
    sizes = np.log2([len(answers) + n for n in kept])
    slope = min(0.0, float(np.polyfit(sizes, levels, 1)[0]))
    return float(np.clip(level + slope * (np.log2(total) - sizes[-1]), 0.0, 1.0))


def _recall_with(bench: Bench, run: Run, kept: set[str]) -> float:
    cut = {query: [one for one in ranked if one in kept] for query, ranked in run.items()}
    return float(bench.scores(cut)[0].mean())
