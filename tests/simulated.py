"""Simulated comparisons whose truth is known, and the bound that an observed rate must keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.evaluation.resampling import PairedDifference, paired_difference

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Study:
    """Clustered queries: ``groups`` of them, 1 + Poisson(3) in each.

    Live scores 0.6 on average; the candidate's mean is higher by ``effect``, relatively. ``icc`` is
    the intra-class correlation of the queries' differences, whose spread is ``spread``.
    """

    groups: int = 100
    effect: float = 0.0
    icc: float = 0.5
    spread: float = 0.3

    def draw(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, IntArray]:
        """Scores of live and candidate, and each query's group."""
        groups = np.repeat(np.arange(self.groups), 1 + rng.poisson(3, self.groups))
        live = 0.6 + 0.2 * clustered(rng, groups, self.icc)
        change = self.effect * 0.6 + self.spread * clustered(rng, groups, self.icc)
        return live, live + change, groups

    def difference(self, rng: np.random.Generator, **how: float) -> PairedDifference:
        """One simulated comparison."""
        seed = int(rng.integers(2**31))
        return paired_difference(*self.draw(rng), resamples=300, seed=seed, **how)  # type: ignore[arg-type]

    def rates(
        self, seed: int, studies: int, *events: Callable[[PairedDifference], bool]
    ) -> Sequence[float]:
        """The share of ``studies`` comparisons in which each of the events happens."""
        rng = np.random.default_rng(seed)
        found = [self.difference(rng) for _ in range(studies)]
        return [float(np.mean([event(d) for d in found])) for event in events]


def clustered(rng: np.random.Generator, groups: IntArray, icc: float) -> FloatArray:
    """Standard normal noise of which the queries of a group share a part."""
    shared = rng.normal(size=groups.max() + 1)[groups]
    mixed: FloatArray = math.sqrt(icc) * shared + math.sqrt(1 - icc) * rng.normal(size=len(groups))
    return mixed


def bound(rate: float, trials: int) -> float:
    """The share that a true rate exceeds with probability below 0.1 %."""
    total, hits = 0.0, -1
    while total < 0.999:
        hits += 1
        total += math.comb(trials, hits) * rate**hits * (1 - rate) ** (trials - hits)
    return hits / trials
