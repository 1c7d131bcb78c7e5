"""The learning curve: what more training pairs would bring, with honest uncertainty.

The error (1 - metric) of a model trained on n pairs falls about as a power law, ``a n^-b``, until
it reaches what the data cannot decide (Hestness et al. 2017, arXiv:1712.00409; Viering & Loog 2022,
arXiv:2103.10948). Nobody knows from small slices where that floor is, so the lower end of an
estimate is that nothing more is gained past the largest slice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from reindex.advice.evidence import draws
from reindex.advice.findings import Estimate

Scores = NDArray[np.float64]
_PERFECT = 1e-3
"""The smallest error that a logarithm is taken of."""
TRUSTED_REACH = 8.0
"""Times the largest slice that a curve of three points is extended by, at most."""


def estimate(
    metric: str,
    scores: Mapping[int, Scores],
    groups: NDArray[np.int64],
    pairs: int,
    *,
    seed: int,
) -> Estimate | None:
    """What ``pairs`` pairs would reach.

    Args:
        metric: its name, for the record.
        scores: pairs trained on -> each query's score ``(n,)``; 0 pairs is the base.
        groups: of the queries, ``(n,)``: what is resampled.
        pairs: to extrapolate to; past `TRUSTED_REACH` times the largest slice it is cut there.
        seed: of the bootstrap.

    Returns:
        None with fewer than two slices.
    """
    sizes = sorted(size for size in scores if size)
    if len(sizes) < 2 or 0 not in scores:
        return None
    reach = min(pairs / sizes[-1], TRUSTED_REACH)
    target = round(sizes[-1] * reach)
    times = draws(groups, seed)
    weights = np.vstack([np.ones(len(groups)), times])
    table = np.stack([scores[size] for size in [0, *sizes]], axis=1)
    means = (weights @ table) / weights.sum(axis=1, keepdims=True)
    reached = 1 - _extended(np.asarray(sizes, float), 1 - means[:, 1:], target)
    base, last = means[:, 0], means[:, -1]
    floor = np.minimum(reached, last)
    gains = [(values / np.maximum(base, 1e-9) - 1) for values in (reached, floor)]
    return Estimate(
        metric=metric,
        pairs=target,
        value=float(reached[0]),
        low=float(np.quantile(floor[1:], 0.025)),
        high=float(np.quantile(reached[1:], 0.975)),
        gain=float(gains[0][0]),
        gain_low=float(np.quantile(gains[1][1:], 0.025)),
        gain_high=float(np.quantile(gains[0][1:], 0.975)),
        reach=reach,
    )


def _extended(sizes: Scores, errors: Scores, target: int) -> Scores:
    """Least squares of ``log error`` on ``log n``, row by row ``(rows, sizes)`` -> ``(rows,)``.

    A curve that rises is taken as flat: more pairs are not expected to harm.
    """
    x = np.log(sizes) - np.log(sizes).mean()
    y = np.log(np.maximum(errors, _PERFECT))
    slope = np.minimum(0.0, (y @ x) / (x @ x))
    at = np.log(target) - np.log(sizes).mean()
    found: Scores = np.exp(y.mean(axis=1) + slope * at)
    return np.minimum(found, 1.0)
