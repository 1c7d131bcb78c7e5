"""Models without a collection beside live and candidates: all search one subset exactly.

The subset holds what live (and BM25) confuses with the answers, but not what another model would.
Leaving out documents that are not relevant can only move relevant ones up, so every row but live's
is an upper bound of what a whole collection would give; models and candidates are alike in this,
so between them the rows are fair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.family import Member
from reindex.evaluation.groups import group_queries
from reindex.evaluation.metrics import Scores, macro
from reindex.evaluation.resampling import PairedDifference, paired_difference
from reindex.evaluation.results_family import Family
from reindex.evaluation.results_models import ModelsReport, Role, SubsetRow
from reindex.evaluation.statistics import Judged
from reindex.evaluation.verdicts import among, judge_by
from reindex.records import Judgements


@dataclass(frozen=True, slots=True)
class SubsetScores:
    """What one model scored: measure -> query id -> value; the rest as in `SubsetRow`."""

    name: str
    role: Role
    dim: int
    scores: Scores
    prompts: tuple[str, str] = ("", "")
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class SubsetBench:
    """Everybody's scores on the same judged queries; the first are live's."""

    judged: Judgements
    found: tuple[SubsetScores, ...]
    metric: str
    settings: EvaluationSettings
    gate: GateSettings

    def members(self) -> list[Member]:
        """The models as candidates to be judged together with others."""
        groups = group_queries(self.judged)
        return [self._member(one, groups) for one in self.found if one.role == "model"]

    def report(
        self, documents: int, of_queries: int, verdicts: Sequence[tuple[Family, Judged]]
    ) -> ModelsReport:
        """The rows; ``verdicts`` are the models' in their order, none where there is one alone."""
        groups = group_queries(self.judged)
        rows = [self._row(one, groups) for one in self.found]
        places = [place for place, row in enumerate(rows) if row.role == "model"]
        for place, (family, judged) in zip(places, verdicts, strict=False):
            rows[place] = replace(rows[place], family=family, judged=judged)
        return ModelsReport(
            metric=self.metric,
            documents=documents,
            queries=len(self.judged.queries),
            of_queries=of_queries,
            groups=int(groups.max()) + 1,
            rows=tuple(rows),
        )

    def _member(self, one: SubsetScores, groups: NDArray[np.int64]) -> Member:
        difference = self._difference(one, groups)

        def judge(family: Family) -> Judged:
            alone = judge_by(self.gate, difference)
            if alone.verdict != "pass":
                return alone
            return among(family, self.gate, 1 - difference.confidence)

        live, own = self._values(self.found[0]), self._values(one)
        return Member(one.name, live, own, groups, difference, judge)

    def _row(self, one: SubsetScores, groups: NDArray[np.int64]) -> SubsetRow:
        difference = None if one.role == "live" else self._difference(one, groups)
        judged = None
        if one.role == "model" and difference is not None:
            judged = judge_by(self.gate, difference)
        return SubsetRow(
            name=one.name,
            role=one.role,
            dim=one.dim,
            means={name: macro(values) for name, values in one.scores.items()},
            difference=difference,
            judged=judged,
            prompts=one.prompts,
            max_length=one.max_length,
        )

    def _difference(self, one: SubsetScores, groups: NDArray[np.int64]) -> PairedDifference:
        return paired_difference(
            self._values(self.found[0]),
            self._values(one),
            groups,
            confidence=self.settings.confidence,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )

    def _values(self, one: SubsetScores) -> NDArray[np.float64]:
        return np.array([one.scores[self.metric][query.id] for query in self.judged.queries])
