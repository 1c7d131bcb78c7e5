"""Per-query scores of both sides, and what is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings
from reindex.evaluation.folds import stability_of
from reindex.evaluation.metrics import Run, Scores, macro, per_query
from reindex.evaluation.results import Counts, Example, MetricRow, StageRow
from reindex.evaluation.results_folds import Stability
from reindex.evaluation.retrieval import Runs
from reindex.evaluation.statistics import PairedDifference, group_queries, paired_difference
from reindex.measures import Measure
from reindex.records import Judgements, Qrels

EXAMPLES = 20


@dataclass(frozen=True)
class Scored:
    """Both sides' scores on the same judged queries."""

    judged: Judgements
    live: Scores
    candidate: Scores
    settings: EvaluationSettings

    @classmethod
    def of(
        cls,
        judged: Judgements,
        live: Runs,
        candidate: Runs,
        measures: Sequence[Measure],
        settings: EvaluationSettings,
    ) -> Scored:
        """Score two runs."""
        scores = [score_runs(runs, judged.qrels, measures) for runs in (live, candidate)]
        return cls(judged, scores[0], scores[1], settings)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Each judged query's group, in their order."""
        return group_queries(self.judged)

    @cached_property
    def rows(self) -> tuple[MetricRow, ...]:
        """Every metric's paired difference, resampled by group."""
        return tuple(
            MetricRow(metric, self._difference(metric, self.groups)) for metric in self.live
        )

    def difference(self, metric: str) -> PairedDifference:
        """The difference of one measure (``ndcg@10``)."""
        return next(row.difference for row in self.rows if row.name == metric)

    def _difference(self, metric: str, groups: NDArray[np.int64]) -> PairedDifference:
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

    def stability(self, metric: str) -> Stability | None:
        """The folds of a small judged set, by one measure."""
        live, candidate = (
            np.array([side[metric][query.id] for query in self.judged.queries])
            for side in (self.live, self.candidate)
        )
        difference = self.difference(metric)
        return stability_of(metric, live, candidate, self.groups, difference, self.settings)

    def examples(self, metric: str) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
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
        """measure -> query id -> (live, candidate)."""
        return {
            metric: {
                query.id: (self.live[metric][query.id], self.candidate[metric][query.id])
                for query in self.judged.queries
            }
            for metric in self.live
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


def stage_row(runs: Runs, qrels: Qrels) -> StageRow:
    """Recall of search as it serves, against that of exact search."""
    recall = Measure("recall", runs.k)
    got, full = (
        macro(per_query(run, qrels, [recall])[str(recall)]) for run in (runs.served, runs.exact)
    )
    return StageRow(exact=full, served=got, loss=1 - got / full if full else 0.0)


def score_runs(runs: Runs, qrels: Qrels, measures: Sequence[Measure]) -> Scores:
    """Every measure of search as served, each on the run of a search that is asked for so many."""
    near = per_query(runs.served, qrels, [one for one in measures if one.k <= runs.k])
    far = per_query(runs.deep, qrels, [one for one in measures if one.k > runs.k])
    both = near | far
    return {str(measure): both[str(measure)] for measure in measures}
