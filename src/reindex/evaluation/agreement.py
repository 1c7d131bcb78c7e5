"""Live and candidate without judgements: how far they agree, and how their scores lie.

None of this says which side is better. It says how much an application will notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings
from reindex.evaluation.figure import Figure
from reindex.evaluation.rankings import kendall_tau, overlap, rank_biased_overlap
from reindex.evaluation.resampling import paired_difference

Scores = Mapping[str, float]
"""document -> score, best first."""
ScoredRun = Mapping[str, Scores]
"""query id -> its results."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A mean over ``queries`` queries, with its interval by group. 1 is full agreement."""

    mean: float
    low: float
    high: float
    confidence: float
    queries: int


@dataclass(frozen=True, slots=True)
class ScoreProfile:
    """How one side's scores lie over the queries, at `QUANTILES` of them.

    ``first`` are the best results' scores, ``every`` those of all first k results, ``gap`` is a
    query's best less its last one. ``empty`` queries found nothing and are in none of these.
    """

    first: tuple[float, ...]
    every: tuple[float, ...]
    gap: tuple[float, ...]
    empty: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the first k results of both sides are, and where their scores lie.

    ``tau`` is over the queries with an order to compare (None: there are none). ``identical``
    queries have the same results in the same order, ``same_first`` the same best one, ``disjoint``
    share none. The two sides' scores are cosines in different spaces: their quantiles may be set
    beside each other to move a threshold, their levels say nothing about quality.
    """

    k: int
    queries: int
    overlap: Likeness
    rbo: Likeness
    tau: Likeness | None
    identical: int
    same_first: int
    disjoint: int
    live_scores: ScoreProfile
    candidate_scores: ScoreProfile

    @property
    def thresholds(self) -> tuple[tuple[float, float, float], ...]:
        """(share cut off, live, candidate): minimum scores that cut off as many of the results."""
        return tuple(
            zip(QUANTILES, self.live_scores.every, self.candidate_scores.every, strict=False)
        )


def agreement(
    live: ScoredRun,
    candidate: ScoredRun,
    groups: NDArray[np.int64],
    settings: EvaluationSettings,
) -> Agreement:
    """Hold two runs over the same queries, in the same order, against each other.

    ``groups`` numbers the queries' groups, as for every interval (see `reindex.evaluation.groups`).
    """
    k = settings.k
    ours = [_first(candidate.get(query, {}), k) for query in live]
    theirs = [_first(found, k) for found in live.values()]
    pairs = [(list(a), list(b)) for a, b in zip(theirs, ours, strict=True)]
    taus = [kendall_tau(a, b) for a, b in zip(theirs, ours, strict=True)]

    def likeness(values: Sequence[float | None]) -> Likeness | None:
        return _likeness(values, groups, settings)

    shares = [overlap(a, b) for a, b in pairs]
    mean_overlap, mean_rbo = (
        likeness(shares),
        likeness([rank_biased_overlap(a, b) for a, b in pairs]),
    )
    assert mean_overlap is not None
    assert mean_rbo is not None
    return Agreement(
        k=k,
        queries=len(pairs),
        overlap=mean_overlap,
        rbo=mean_rbo,
        tau=likeness(taus),
        identical=sum(a == b for a, b in pairs),
        same_first=sum(a[:1] == b[:1] for a, b in pairs),
        disjoint=sum(share == 0 for share in shares),
        live_scores=_profile(theirs),
        candidate_scores=_profile(ours),
    )


def _first(found: Scores, k: int) -> dict[str, float]:
    return dict(list(found.items())[:k])


def _likeness(
    values: Sequence[float | None], groups: NDArray[np.int64], settings: EvaluationSettings
) -> Likeness | None:
    known = np.array([value is not None for value in values], dtype=bool)
    if not known.any():
        return None
    numbers = np.array([value for value in values if value is not None], dtype=np.float64)
    # the difference from full agreement, whose mean is 1, resampled as every other difference is
    d = paired_difference(
        np.ones_like(numbers), numbers, groups[known],
        confidence=settings.confidence, resamples=settings.resamples, seed=settings.seed,
    )  # fmt: skip
    return Likeness(d.mean_candidate, 1 + d.low, 1 + d.high, settings.confidence, len(numbers))


def _profile(results: Sequence[Scores]) -> ScoreProfile:
    found = [list(scores.values()) for scores in results if scores]
    first = np.array([scores[0] for scores in found])
    every = np.array([score for scores in found for score in scores])
    gap = first - np.array([scores[-1] for scores in found])
    empty = len(results) - len(found)
    return ScoreProfile(_quantiles(first), _quantiles(every), _quantiles(gap), empty)


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(item) for item in np.quantile(values, QUANTILES)) if len(values) else ()


def agreement_figures(found: Agreement | None) -> Iterator[Figure]:
    """What the gate language may ask for, e.g. ``overlap@10`` or ``agreement.identical_share``."""
    if found is None:
        return
    for name, likeness, sentence in (
        ("overlap", found.overlap, "Share of the first k results that live and candidate share."),
        ("rbo", found.rbo, "Rank-biased overlap of the first k results, p = 0.9."),
        ("tau", found.tau, "Kendall's tau-b of the results that both sides hold."),
    ):
        if likeness is not None:
            yield Figure(
                f"{name}@{found.k}", likeness.mean, "", sentence,
                likeness.low, likeness.high, likeness.confidence,
            )  # fmt: skip
    for name, count, sentence in (
        ("identical", found.identical, "Queries with the same results in the same order."),
        ("same_first", found.same_first, "Queries with the same best result."),
        ("disjoint", found.disjoint, "Queries whose results have none in common."),
        ("empty", found.candidate_scores.empty, "Queries for which the candidate finds nothing."),
    ):
        yield Figure(f"agreement.{name}_share", count / found.queries, "%", sentence)
