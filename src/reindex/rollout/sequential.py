"""Looking early, honestly: intervals and tests that hold at every look at once.

Two methods, both valid however often one looks and whenever one stops:

- Difference of success rates: the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
  Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals
  of Statistics 52(6), 2024, theorem 2.2, over inverse-probability-weighted differences (there
  section 3). After ``t`` keys, with mean ``m`` and standard deviation ``s``:

      m ± s · sqrt( 2 (t r² + 1) / (t² r²) · log( sqrt(t r² + 1) / alpha ) )

  ``r`` makes it narrowest at a chosen number of keys (there equation 10).

- Wins of interleaved lists: the beta-binomial mixture (Robbins, "Statistical methods related to
  the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970). With uniform
  prior over the share of wins, ``B(w + 1, l + 1) · 2^(w + l)`` is a martingale where nobody is
  better, so it reaches ``1 / alpha`` with probability ``alpha`` at most (Ville). Exact.

The unit is the key (a user, a session), never the query: queries of one key are not independent,
and the key is what was assigned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NARROWEST_AT = 1000
"""Keys after which the interval is narrowest for its level; a choice of width, not of validity."""

MIN_KEYS = 10
"""Keys of either side before there is an interval: the method is asymptotic."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus live, in the value's unit. ``low`` and ``high`` hold at all looks so far.

    None where there are too few keys to say anything. ``contradictory``: earlier and later keys
    exclude each other's values, so the difference has changed on the way.
    """

    live_keys: int
    candidate_keys: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    contradictory: bool = False


@dataclass(frozen=True, slots=True)
class Preference:
    """Keys that preferred either side, and the share of the candidate's wins among them."""

    wins: int
    losses: int
    ties: int
    share: float | None
    low: float
    high: float


def difference(
    candidate: Sequence[bool], weights: Sequence[float], values: Sequence[float], alpha: float
) -> Difference:
    """The difference of means of values between 0 and 1, keys in the order of their closing.

    Args:
        candidate: whether the key was on the candidate's side.
        weights: the probability of that when it was assigned, which may change between keys.
        values: what was measured of the key, between 0 and 1.
        alpha: two-sided level, for all looks together.
    """
    side = np.asarray(candidate, bool)
    counts = int((~side).sum()), int(side.sum())
    if min(counts) < MIN_KEYS:
        return Difference(*counts)
    estimates, widths = _sequence(
        side, np.asarray(weights, float), np.asarray(values, float), alpha
    )
    seen = np.minimum(np.cumsum(side), np.cumsum(~side)) >= MIN_KEYS
    low = float(np.max((estimates - widths)[seen], initial=-1.0))
    high = float(np.min((estimates + widths)[seen], initial=1.0))
    if low > high:
        last = float(estimates[-1] - widths[-1]), float(estimates[-1] + widths[-1])
        return Difference(*counts, float(estimates[-1]), *last, contradictory=True)
    return Difference(*counts, min(max(float(estimates[-1]), low), high), low, high)


def _sequence(side: NDArray[np.bool_], weights: Floats, values: Floats, alpha: float) -> tuple[
    Floats, Floats
]:  # fmt: skip
    """After each key: the estimated difference, and the half-width of its interval.

    A key adds ``(A / w - (1 - A) / (1 - w)) · (y - c)``, whose mean is the difference whatever
    ``c`` is, as long as ``c`` comes from earlier keys: their mean takes most of the variance out.
    Scaled by ``sqrt(w (1 - w))`` all keys have the same variance, whatever the weight was.
    """
    t = np.arange(1, len(values) + 1)
    center = (np.cumsum(values) - values + 0.5) / t
    odds = np.where(side, (1 - weights) / weights, weights / (1 - weights))
    terms = np.where(side, 1.0, -1.0) * np.sqrt(odds) * (values - center)
    scale = np.cumsum(np.sqrt(weights * (1 - weights)))
    total = np.cumsum(terms)
    # as if one more key had differed as much as one can: no variance of zero from few keys
    largest = np.maximum.accumulate(np.maximum(odds, 1 / odds))
    variance = (np.cumsum(terms**2) - total**2 / t + largest) / t
    return total / scale, np.sqrt(variance) * _boundary(t, alpha) / scale


def mean_sequence(values: Sequence[float], alpha: float) -> tuple[float, float, float]:
    """The mean of values between 0 and 1, and the bounds that no look so far has excluded."""
    seen = np.asarray(values, float)
    t = np.arange(1, len(seen) + 1)
    total = np.cumsum(seen)
    variance = (np.cumsum(seen**2) - total**2 / t + 1.0) / t  # one more value, as far off as can be
    widths = np.sqrt(variance) * _boundary(t, alpha) / t
    low = float(np.max((total / t - widths)[MIN_KEYS - 1 :], initial=0.0))
    high = float(np.min((total / t + widths)[MIN_KEYS - 1 :], initial=1.0))
    return float(total[-1] / t[-1]), low, max(low, high)


def _boundary(t: NDArray[np.int64], alpha: float) -> Floats:
    """What the sum of ``t`` observations of variance 1 stays under, at all ``t`` together."""
    r2 = _narrowest(alpha) / NARROWEST_AT
    bound: Floats = np.sqrt(2 * (t * r2 + 1) / r2 * np.log(np.sqrt(t * r2 + 1) / alpha))
    return bound


def _narrowest(alpha: float) -> float:
    return -2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1


def preference(outcomes: Sequence[int], alpha: float) -> Preference:
    """What interleaved lists show: per key 1 (candidate won), -1 (live won) or 0.

    The interval holds every share that no look so far has excluded.
    """
    wins = losses = 0
    low, high = 0.0, 1.0
    for outcome in outcomes:
        if outcome:
            wins, losses = wins + (outcome > 0), losses + (outcome < 0)
            bounds = share_interval(wins, losses, alpha)
            low, high = max(low, bounds[0]), min(high, bounds[1])
    decided = wins + losses
    share = wins / decided if decided else None
    return Preference(wins, losses, len(outcomes) - decided, share, low, max(low, high))


def log_evidence(wins: int, losses: int, share: float = 0.5) -> float:
    """Logarithm of the beta-binomial mixture's evidence against ``share`` of wins."""
    log_beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    return log_beta - wins * math.log(share) - losses * math.log1p(-share)


@lru_cache(maxsize=4096)
def share_interval(wins: int, losses: int, alpha: float) -> tuple[float, float]:
    """The shares of wins that the evidence does not exclude, by bisection to 1e-6."""
    limit, best = -math.log(alpha), wins / (wins + losses)

    def edge(inside: float, outside: float) -> float:
        while abs(outside - inside) > 1e-6:
            middle = (inside + outside) / 2
            if log_evidence(wins, losses, middle) < limit:
                inside = middle
            else:
                outside = middle
        return outside

    inner = min(max(best, 1e-9), 1 - 1e-9)
    return (0.0 if wins == 0 else edge(inner, 0.0)), (1.0 if losses == 0 else edge(inner, 1.0))
