"""Intervals of many slices at once: all of them hold together with the stated confidence.

Thirty slices looked at one by one at 95 % raise a false alarm in every second comparison. The
usual correction (Bonferroni) takes slices for unrelated, which they are not: a query is in one
slice of every field. Here the distribution of the largest deviation among all slices is itself
bootstrapped (Romano & Wolf, Econometrica 2005, in its single step), so the intervals are as
narrow as the slices' overlap allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from reindex.evaluation.resampling import chunks

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Of each slice: ``relative`` change with ``low`` and ``high``, and its number of groups."""

    relative: Floats
    low: Floats
    high: Floats
    groups: NDArray[np.int64]


def simultaneous_bounds(
    live: Floats,
    change: Floats,
    members: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 13,
) -> Bounds:
    """Relative changes of slices ``members`` ``(slices, n)`` with intervals that hold together.

    ``live`` and ``change`` are ``(n,)`` scores and differences, ``groups`` the independent groups.
    Each end holds for all slices with ``(1 + confidence) / 2``: a studentised wild bootstrap of
    whole groups (random signs on each group's influence on the ratio; Cameron, Gelbach & Miller
    2008), of which the largest over the slices counts. Two whole answers, one won and one lost,
    are added to each slice's spread, so that no slice seems certain because its few queries agree
    (after Agresti & Coull 1998).
    """
    _, number = np.unique(groups, return_inverse=True)
    weights = members.astype(np.float64)
    of_group = np.zeros((len(live), number.max() + 1))
    of_group[np.arange(len(live)), number] = 1.0
    lives, changes = (weights * live) @ of_group, (weights * change) @ of_group
    present = (weights @ of_group) > 0
    total = np.maximum(lives.sum(axis=1), 1.0)
    relative = changes.sum(axis=1) / total
    influence = np.where(present, changes - relative[:, None] * lives, 0.0)
    count = present.sum(axis=1)
    spread = np.sqrt(_spread(influence, count)) / total
    critical = _critical(influence, count, confidence, resamples, np.random.default_rng(seed))
    return Bounds(relative, relative - critical * spread, relative + critical * spread, count)


def _spread(influence: Floats, count: NDArray[np.int64]) -> Floats:
    scale: Floats = count / np.maximum(count - 1, 1)
    spread: Floats = scale * ((influence**2).sum(axis=1) + 2.0)
    return spread


def _critical(
    influence: Floats,
    count: NDArray[np.int64],
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> float:
    """How many standard errors hold for all slices at once."""
    tail = (1 - confidence) / 2
    added = np.concatenate([influence, np.ones((len(influence), 1)) * [[1.0, -1.0]]], axis=1)
    squares = (added**2).sum(axis=1)
    drawn = np.concatenate([
        (rng.integers(2, size=(rows, added.shape[1]), dtype=np.int8) * 2.0 - 1.0) @ added.T
        for rows in chunks(resamples, added.shape[1])
    ])  # fmt: skip
    scale = count / np.maximum(count - 1, 1)
    spread = np.sqrt(scale * np.maximum(squares - drawn**2 / (count + 2), 1e-12))
    largest = (drawn / spread).max(axis=1)
    return max(float(np.quantile(largest, 1 - tail)), NormalDist().inv_cdf(1 - tail))
