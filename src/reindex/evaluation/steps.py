"""Each step from the model to serving, measured on its own: model, quantization, truncation, index.

    fp32, exact  ->  stored vectors, exact  ->  truncated + rescored  ->  as served

The first needs documents embedded in fp32, so it is taken on the judged subset, before and after
on the same queries and documents; the others on the whole collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings
from reindex.evaluation.metrics import Run, per_query
from reindex.evaluation.resampling import paired_difference
from reindex.evaluation.results_steps import Part, SideSteps, Step, StepName, Steps
from reindex.evaluation.retrieval import OpenSide, Runs
from reindex.evaluation.subset import Precision
from reindex.measures import Measure
from reindex.records import Judgements

Values = Mapping[str, float]
"""query id -> value of the judged metric."""


@dataclass(frozen=True, slots=True)
class Way:
    """One side's values of the judged metric, per query, at each stop of its way.

    ``truncated`` is None in the single layout, ``precision`` where no fp32 vectors were made.
    """

    exact: Values
    truncated: Values | None
    served: Values
    documents: int
    precision: tuple[Values, Values] | None
    subset_documents: int = 0


def steps_between(
    sides: Sequence[OpenSide],
    runs: Sequence[Runs],
    precision: Sequence[Precision | None],
    judged: Judgements,
    groups: NDArray[np.int64],
    measure: Measure,
    settings: EvaluationSettings,
) -> Steps:
    """The steps of live and candidate from what a comparison has searched anyway.

    ``groups`` are those of ``judged.queries``, in their order.
    """
    live, candidate = (
        _way(side, run, measured, judged, measure)
        for side, run, measured in zip(sides, runs, precision, strict=True)
    )
    group_of = {query.id: int(group) for query, group in zip(judged.queries, groups, strict=True)}
    ways = [_side(way, group_of, settings) for way in (live, candidate)]
    return Steps(str(measure), ways[0], ways[1], _parts(ways[0], ways[1]))


def _way(
    side: OpenSide,
    runs: Runs,
    measured: Precision | None,
    judged: Judgements,
    measure: Measure,
) -> Way:
    name = str(measure)

    def values(run: Run) -> Values:
        return per_query(run, judged.qrels, [measure])[name]

    return Way(
        exact=values(runs.exact),
        truncated=values(runs.truncated) if runs.truncated else None,
        served=values(runs.deep if measure.k > runs.k else runs.served),
        documents=side.info.points,
        precision=(measured.fp32[name], measured.served[name]) if measured else None,
        subset_documents=measured.documents if measured else 0,
    )


def _side(way: Way, groups: Mapping[str, int], settings: EvaluationSettings) -> SideSteps:
    pairs: list[tuple[StepName, Values, Values, int]] = []
    if way.precision is not None:
        pairs.append(("quantization", *way.precision, way.subset_documents))
    if way.truncated is not None:
        pairs.append(("truncation", way.exact, way.truncated, way.documents))
    before = way.exact if way.truncated is None else way.truncated
    pairs.append(("index", before, way.served, way.documents))
    steps = tuple(
        _step(name, first, then, documents, groups, settings)
        for name, first, then, documents in pairs
    )
    exact, quantized = _mean(way.exact), way.precision is not None
    whole = quantized and (steps[0].documents, steps[0].queries) == (way.documents, len(way.exact))
    return SideSteps(
        fp32=exact + steps[0].loss if quantized else None,
        exact=exact,
        served=_mean(way.served),
        estimated=quantized and not whole,
        steps=steps,
    )


def _step(
    name: StepName,
    before: Values,
    after: Values,
    documents: int,
    groups: Mapping[str, int],
    settings: EvaluationSettings,
) -> Step:
    ids = list(before)
    difference = paired_difference(
        _array(before, ids),
        _array(after, ids),
        np.array([groups[id] for id in ids], dtype=np.int64),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return Step(
        name=name,
        before=difference.mean_live,
        after=difference.mean_candidate,
        loss=-difference.difference,
        relative=-difference.relative,
        low=-difference.high,
        high=-difference.low,
        documents=documents,
        queries=len(ids),
    )


def _array(values: Values, ids: list[str]) -> NDArray[np.float64]:
    return np.array([values[id] for id in ids], dtype=np.float64)


def _mean(values: Values) -> float:
    return float(np.mean(list(values.values())))


def _parts(live: SideSteps, candidate: SideSteps) -> tuple[Part, ...]:
    """The difference of the sides' starting points, then of what each step costs them.

    Where a side's fp32 figure is missing, model and quantization cannot be told apart.
    """
    if live.fp32 is None or candidate.fp32 is None:
        parts = [Part("model and quantization", candidate.exact - live.exact)]
    else:
        parts = [
            Part("model", candidate.fp32 - live.fp32),
            _difference("quantization", live, candidate),
        ]
    return (
        *parts,
        _difference("truncation", live, candidate),
        _difference("index", live, candidate),
    )


def _difference(name: StepName, live: SideSteps, candidate: SideSteps) -> Part:
    return Part(name, live.lost(name) - candidate.lost(name))
