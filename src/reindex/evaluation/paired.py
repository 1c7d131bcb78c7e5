"""Per-query scores of both sides, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings
from reindex.evaluation.metrics import METRICS, Metric, Run, macro, per_query
from reindex.evaluation.results import Counts, Example, MetricRow, StageRow
from reindex.evaluation.statistics import PairedDifference, group_queries, paired_difference
from reindex.records import Judgements, Qrels

EXAMPLES = 20
Scores = dict[str, dict[str, float]]
"""metric -> query id -> value."""


@dataclass(frozen=True)
class Scored:
    """Both sides' scores on the same judged queries."""

    judged: Judgements
    live: Scores
    candidate: Scores
    settings: EvaluationSettings

    @classmethod
    def of(
        cls, judged: Judgements, live: Run, candidate: Run, settings: EvaluationSettings
    ) -> Scored:
        """Score two runs."""
        scores = [per_query(run, judged.qrels, k=settings.k) for run in (live, candidate)]
        return cls(judged, scores[0], scores[1], settings)

    @cached_property
    def rows(self) -> tuple[MetricRow, ...]:
        """Every metric's paired difference, resampled by group."""
        groups = group_queries(self.judged)
        return tuple(MetricRow(metric, self._difference(metric, groups)) for metric in METRICS)

    def difference(self, metric: Metric) -> PairedDifference:
        """The difference of one metric."""
        return next(row.difference for row in self.rows if row.name == metric)

    def _difference(self, metric: Metric, groups: NDArray[np.int64]) -> PairedDifference:
        live, candidate = (
            np.array([side[metric][query.id] for query in self.judged.queries])
            for side in (self.live, self.candidate)
        )
        return paired_difference(
            live,
            candidate,
            groups,
            confidence=self.settings.confidence,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )

    def examples(self, metric: Metric) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """The biggest wins and the biggest losses of the candidate, biggest first."""
        live, candidate = self.live[metric], self.candidate[metric]
        made = [
            Example(query.id, query.text, live[query.id], candidate[query.id])
            for query in self.judged.queries
        ]
        made.sort(key=lambda one: (one.live - one.candidate, one.query))
        wins = [one for one in made if one.candidate > one.live]
        losses = [one for one in reversed(made) if one.candidate < one.live]
        return tuple(wins[:EXAMPLES]), tuple(losses[:EXAMPLES])

    def pairs(self) -> dict[str, dict[str, tuple[float, float]]]:
        """metric -> query id -> (live, candidate)."""
        return {
            metric: {
                query.id: (self.live[metric][query.id], self.candidate[metric][query.id])
                for query in self.judged.queries
            }
            for metric in METRICS
        }


def unjudged(live: Run, candidate: Run, qrels: Qrels) -> Counts:
    """Results that nobody judged: they count as not relevant, rightly or wrongly."""
    counts = [
        sum(
            document not in qrels[query]
            for query, documents in run.items()
            for document in documents
        )
        for run in (live, candidate)
    ]
    results = [sum(len(documents) for documents in run.values()) for run in (live, candidate)]
    return Counts(counts[0], counts[1], of=max(results))


def stage_row(served: Mapping[str, float], exact: Run, qrels: Qrels, k: int) -> StageRow:
    """Recall of search as it serves (per query), against that of exact search."""
    got, full = macro(served), macro(per_query(exact, qrels, k=k)["recall"])
    return StageRow(exact=full, served=got, loss=1 - got / full if full else 0.0)
