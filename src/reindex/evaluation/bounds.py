"""Bounds on a verdict from results that nobody judged.

They count as not relevant, which favours whichever side the judgements were collected from. Each
query is completed in the way that is worst for one side: its rival's unjudged results are relevant,
with the highest grade there is, its own are not. A document that both found has one truth: it is
taken as relevant never, where that side ranks it higher, or always, whichever is worse. For recall,
precision, F1 and hit rate these are the extremes that the relevance of the found documents allows;
for nDCG, MRR and MAP the true extreme needs every combination, and is reached in most queries, not
in all. Either is far more than what is likely, so the turning share says how much of it would do.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.metrics import Run, macro, per_query
from reindex.evaluation.resampling import PairedDifference, paired_difference
from reindex.evaluation.results_bounds import Bounds, Rule
from reindex.evaluation.retrieval import Runs
from reindex.evaluation.verdicts import judge_by
from reindex.measures import Measure
from reindex.records import Judgements, Qrels

DENSE = 0.5
"""Share of a side's results counted as not relevant that a person must have called so: below it,
judgements name what is relevant and are silent about the rest."""
_Shared = Literal["never", "ahead", "always"]
_STEPS = 7  # of bisection: the turning share to about 1 %


@dataclass(frozen=True, slots=True)
class _Found:
    """Both sides' results within the measure's k, and how they are judged."""

    live: Run
    candidate: Run
    judged: Judgements
    groups: NDArray[np.int64]
    measure: Measure
    settings: EvaluationSettings


def bounds_of(
    live: Runs,
    candidate: Runs,
    judged: Judgements,
    groups: NDArray[np.int64],
    measure: Measure,
    settings: EvaluationSettings,
    gate: GateSettings,
) -> Bounds | None:
    """What unjudged results could do to the gate's verdict; None where all are judged."""
    runs = [_within(side, measure.k) for side in (live, candidate)]
    found = _Found(runs[0], runs[1], judged, groups, measure, settings)
    alone = [_alone(one, other, judged.qrels) for one, other in (runs, runs[::-1])]
    if not any(alone):
        return None
    against, in_favour = (_difference(found, 1.0, live=side) for side in (True, False))
    return Bounds(
        rule=_rule(found),
        live_only=alone[0],
        candidate_only=alone[1],
        against=against,
        in_favour=in_favour,
        turning=_turning(found, gate, against, in_favour),
        condensed=_condensed(found),
    )


def _within(runs: Runs, k: int) -> dict[str, list[str]]:
    run = runs.served if k <= runs.k else runs.deep
    return {query: list(dict.fromkeys(documents))[:k] for query, documents in run.items()}


def _alone(one: Run, other: Run, qrels: Qrels) -> int:
    """How many unjudged results one side alone found."""
    return sum(
        document not in qrels[query] and document not in other[query]
        for query, documents in one.items()
        for document in documents
    )


def _rule(found: _Found) -> Rule:
    """As the project says; ``auto`` bounds where the judgements say what is not relevant, too."""
    if found.settings.unjudged != "auto":
        return found.settings.unjudged
    sides = (found.live, found.candidate)
    return "bound" if max(_said(run, found.judged.qrels) for run in sides) >= DENSE else "count"


def _said(run: Run, qrels: Qrels) -> float:
    """The share of results that count as not relevant because somebody said so."""
    grades = [qrels[query].get(document) for query, found in run.items() for document in found]
    silent, no = grades.count(None), grades.count(0)
    return no / (silent + no) if silent + no else 1.0


def _turning(
    found: _Found, gate: GateSettings, against: PairedDifference, in_favour: PairedDifference
) -> float | None:
    """The smallest share that turns the verdict, by bisection over nested samples."""
    verdict = judge_by(gate, _difference(found, 0.0, live=True)).verdict
    if verdict == "inconclusive":
        return None
    live = verdict == "pass"
    if judge_by(gate, against if live else in_favour).verdict == verdict:
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        share = (low + high) / 2
        same = judge_by(gate, _difference(found, share, live=live)).verdict == verdict
        low, high = (share, high) if same else (low, share)
    return high


def _difference(found: _Found, share: float, *, live: bool) -> PairedDifference:
    """The comparison with a share of the unjudged results relevant that speak for one side."""
    ways: tuple[_Shared, ...] = ("never", "ahead", "always")
    scored = np.array([_scores(found, share, way, live=live) for way in ways])  # (ways, sides, n)
    change = scored[:, 1] - scored[:, 0]
    worst = change.argmin(axis=0) if live else change.argmax(axis=0)
    ours, candidate = np.take_along_axis(scored, worst[None, None, :], axis=0)[0]
    settings = found.settings
    return paired_difference(
        ours,
        candidate,
        found.groups,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def _scores(
    found: _Found, share: float, shared: _Shared, *, live: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    qrels = _completed(found, share, shared, live=live)
    sides = (
        per_query(run, qrels, [found.measure])[str(found.measure)]
        for run in (found.live, found.candidate)
    )
    ours, candidate = (
        np.array([side[query.id] for query in found.judged.queries]) for side in sides
    )
    return ours, candidate


def _completed(found: _Found, share: float, shared: _Shared, *, live: bool) -> Qrels:
    """Judgements with one side's unjudged results relevant, and of ``shared`` ones as it says."""
    best = max(grade for judged in found.judged.qrels.values() for grade in judged.values())
    one, other = found.live, found.candidate
    if not live:
        one, other = other, one
    completed = {}
    for query, judged in found.judged.qrels.items():
        theirs = {document: rank for rank, document in enumerate(other[query])}
        speak = (
            document
            for rank, document in enumerate(one[query])
            if document not in theirs
            or shared == "always"
            or (shared == "ahead" and rank < theirs[document])
        )
        drawn = (document for document in speak if _drawn(query, document, share, found.settings))
        completed[query] = {**dict.fromkeys(drawn, best), **judged}
    return completed


def _drawn(query: str, document: str, share: float, settings: EvaluationSettings) -> bool:
    """Whether a document is in the sample; a larger share's sample holds the smaller one's."""
    return zlib.crc32(f"{settings.seed}\0{query}\0{document}".encode()) < share * 2**32


def _condensed(found: _Found) -> tuple[float, float] | None:
    """Mean nDCG of the results that were judged (condensed lists: Sakai, SIGIR 2007)."""
    qrels = found.judged.qrels
    if all(grade for judged in qrels.values() for grade in judged.values()):
        return None
    ndcg = Measure("ndcg", found.measure.k)
    live, candidate = (_mean(run, qrels, ndcg) for run in (found.live, found.candidate))
    return live, candidate


def _mean(run: Run, qrels: Qrels, measure: Measure) -> float:
    lists: dict[str, Sequence[str]] = {
        query: [document for document in documents if document in qrels[query]]
        for query, documents in run.items()
    }
    return macro(per_query(lists, qrels, [measure])[str(measure)])
