"""What a watch looks at after a flip, and when a limit counts as broken.

Each signal compares what is seen now with what was measured at the flip. One that breaks its
limit in ``watch.rounds`` rounds in a row, each upon new observations, is a breach; a round in
which it is within its limit, begins the count anew, and one without enough observations leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from reindex.config import WatchSettings
from reindex.rollout.sequential import mean_sequence

NOISE = math.sqrt(-0.5 * math.log(0.001 / 2))
"""Kolmogorov-Smirnov distance times ``sqrt(n m / (n + m))`` that chance exceeds in 0.1 % of cases
(the asymptotic bound ``2 exp(-2 x²)``, Smirnov 1948)."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure of one round. ``limit`` is the value from which on it is broken."""

    name: str
    value: float
    baseline: float | None
    limit: float
    observations: int
    broken: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a query that was asked of what is live and of the previous version.

    ``failed`` says why what is live did not answer; ``overlap`` is None where there is none.
    """

    query: str
    found: int
    score: float | None
    overlap: float | None
    latency_ms: float
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What services recorded of one version: a value per search that was answered."""

    searches: int = 0
    errors: int = 0
    empty: int = 0
    scores: tuple[float, ...] = ()
    latencies_ms: tuple[float, ...] = ()

    @property
    def error_share(self) -> float:
        """Callers' mistakes count as well: they are as frequent before as after a flip."""
        return self.errors / max(1, self.searches)

    @property
    def empty_share(self) -> float:
        """Of the answered ones."""
        return self.empty / max(1, self.searches - self.errors)

    @property
    def p95_ms(self) -> float | None:
        """Of the answered ones."""
        return float(np.quantile(self.latencies_ms, 0.95)) if self.latencies_ms else None


def ks_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Kolmogorov-Smirnov: the largest difference of the two distribution functions, 0 to 1."""
    a, b = np.sort(np.asarray(one, float)), np.sort(np.asarray(other, float))
    at = np.concatenate([a, b])
    below = np.searchsorted(a, at, side="right") / len(a)
    return float(np.max(np.abs(below - np.searchsorted(b, at, side="right") / len(b))))


def noise(one: int, other: int) -> float:
    """The distance that two samples of one distribution exceed in 0.1 % of cases."""
    return NOISE * math.sqrt((one + other) / (one * other))


def asked_signals(
    now: Sequence[Asked], then: Mapping[str, Asked], limits: WatchSettings
) -> list[Signal]:
    """Signals of the same queries asked now and at the flip."""
    both = [(item, then[item.query]) for item in now if item.query in then]
    answered = [(a, b) for a, b in both if not a.failed and not b.failed]
    found: list[Signal] = []
    if len(now) >= limits.min_searches:
        found.append(_errors("asked: errors", len(now), sum(bool(a.failed) for a in now), limits))
    if len(answered) < limits.min_searches:
        return found
    found.append(_empty(
        "asked: empty", sum(a.found == 0 for a, _ in answered) / len(answered),
        sum(b.found == 0 for _, b in answered) / len(answered), len(answered), limits,
    ))  # fmt: skip
    scores = [(a.score, b.score) for a, b in answered if a.score is not None is not b.score]
    if scores:  # the same queries: chance has no part in what differs
        moved = ks_distance(*zip(*scores, strict=True))
        found.append(_shift("asked: scores", moved, limits.max_score_shift, len(scores)))
    overlaps = [
        (a.overlap, b.overlap) for a, b in answered if a.overlap is not None is not b.overlap
    ]
    if overlaps:
        agreed, before = zip(*overlaps, strict=True)
        found.append(_overlap(agreed, before, limits))
    return found


def traffic_signals(
    seen: Traffic, before: Traffic, own: Sequence[float], limits: WatchSettings
) -> list[Signal]:
    """Signals of recorded searches. ``before``: of the previous version, until the flip;
    ``own``: top scores of this version before it was judged.
    """
    if seen.searches < limits.min_searches:
        return []
    found = [_errors("searches: errors", seen.searches, seen.errors, limits, before.error_share)]
    answered = seen.searches - seen.errors
    if answered < limits.min_searches:
        return found
    found.append(_empty("searches: empty", seen.empty_share, before.empty_share, answered, limits))
    if min(len(own), len(seen.scores)) >= limits.min_searches:
        limit = limits.max_score_shift + noise(len(own), len(seen.scores))
        moved = ks_distance(seen.scores, own)
        found.append(_shift("searches: scores", moved, limit, len(seen.scores)))
    if before.p95_ms and len(before.latencies_ms) >= limits.min_searches and seen.p95_ms:
        found.append(_latency(seen.p95_ms, before.p95_ms, answered, limits))
    return found


def feedback_signal(
    after: Sequence[float], before: Sequence[float], limits: WatchSettings, alpha: float
) -> Signal | None:
    """Whether keys are shown to succeed less often than before the flip, by more than allowed.

    Each half of ``alpha`` goes to one side: an interval of the earlier mean (normal, looked at
    once) and a confidence sequence of the later one, which may be looked at every round.
    """
    if min(len(after), len(before)) < limits.min_searches:
        return None
    earlier = np.asarray(before, float)
    error = float(np.std(earlier, ddof=1)) / math.sqrt(len(earlier))
    least = float(np.mean(earlier)) - NormalDist().inv_cdf(1 - alpha / 4) * error
    estimate, _, most = mean_sequence(after, alpha / 2)
    limit = least - limits.max_feedback_loss
    return Signal(
        "feedback: success", estimate, float(np.mean(earlier)), limit, len(after), most < limit,
        f"success per key {estimate:.3f} (at most {most:.3f}), before the flip "
        f"{float(np.mean(earlier)):.3f} (at least {least:.3f})",
    )  # fmt: skip


def _errors(
    name: str, asked: int, failed: int, limits: WatchSettings, before: float = 0.0
) -> Signal:
    share, limit = failed / asked, before + limits.max_errors
    reason = f"{failed:,} of {asked:,} failed, {before:.1%} before"
    return Signal(name, share, before, limit, asked, share > limit, reason)


def _empty(name: str, share: float, before: float, observed: int, limits: WatchSettings) -> Signal:
    limit = before + limits.max_empty_rise
    reason = f"{share:.1%} found nothing, {before:.1%} before"
    return Signal(name, share, before, limit, observed, share > limit, reason)


def _shift(name: str, moved: float, limit: float, observed: int) -> Signal:
    reason = f"top scores lie {moved:.3f} (Kolmogorov-Smirnov) from the baseline's"
    return Signal(name, moved, 0.0, limit, observed, moved > limit, reason)


def _overlap(now: Sequence[float], then: Sequence[float], limits: WatchSettings) -> Signal:
    agreed, before = float(np.mean(now)), float(np.mean(then))
    limit = before - limits.max_overlap_drop
    reason = f"{agreed:.3f} of the results are the previous version's, {before:.3f} at the flip"
    return Signal("asked: overlap", agreed, before, limit, len(now), agreed < limit, reason)


def _latency(now: float, before: float, observed: int, limits: WatchSettings) -> Signal:
    limit = before * limits.max_latency_factor
    reason = f"95 % within {now:.1f} ms, {before:.1f} ms before"
    return Signal("searches: latency", now, before, limit, observed, now > limit, reason)
