"""What a set of judged queries can show, and how many more it would take.

From the standard error of the relative change (cluster bootstrap) and normal quantiles: the
interval of an effect d lies beyond a limit l with probability 80 % where |d - l| is z(0.975) +
z(0.8) = 2.80 standard errors (minimum detectable effect: Bloom, Evaluation Review 19(5), 1995). The
error falls with the square root of the number of groups, as long as new groups are like those that
are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

from reindex.evaluation.figure import Figure, Unit
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.statistics import (
    MIN_DISCORDANT,
    MIN_DISCORDANT_GROUPS,
    Mode,
    groups_without_loss,
    judge,
)

POWER = 0.8
"""The usual power to plan for (Cohen 1988)."""
MOST = 1000.0
"""Past so many times the queries there are, no number is named: the effect sits on the limit."""


@dataclass(frozen=True, slots=True)
class Power:
    """What this query set can show in this metric. Effects are relative to live: 0.05 is 5 %.

    ``detectable`` is the smallest true change that the interval tells from none with 80 % power;
    ``passable`` the smallest true gain that the gate passes with 80 % power (non-inferiority: the
    smallest true change, which may be a loss). Both None where nothing differs, so that there is
    no spread to tell by. ``more_groups`` and ``more_queries`` would decide an inconclusive verdict
    with 80 % power if the true change is the measured one; None where it is decided, or where no
    number in reach would do.
    """

    error: float
    detectable: float | None
    passable: float | None
    more_groups: int | None = None
    more_queries: int | None = None


def power_of(d: PairedDifference, *, mode: Mode, min_effect: float, margin: float) -> Power:
    """The power of one metric's comparison."""
    error = d.error
    verdict = judge(d, mode=mode, min_effect=min_effect, margin=margin).verdict
    times = _times(d, mode, min_effect, margin) if verdict == "inconclusive" else None
    groups = queries = None
    if times is not None and 1 < times <= MOST:
        groups = math.ceil(d.groups * times) - d.groups
        queries = math.ceil(d.queries * times) - d.queries
    if not error:
        return Power(error, None, None, groups, queries)
    level, power = _quantiles(d)
    floor = max(level * error, min_effect) if mode == "superiority" else level * error - margin
    return Power(error, (level + power) * error, floor + power * error, groups, queries)


def in_words(power: Power) -> str:
    """What more queries would do for an inconclusive verdict."""
    if power.more_queries is None and not power.error:
        return "Nothing differs, so nothing can be said about how many more queries would decide."
    if power.more_queries is None:
        return "The measured change lies too near the limit for any number of queries to decide."
    return (
        f"About {power.more_queries:,} more queries ({power.more_groups:,} groups) would decide, "
        "if the change is as measured."
    )


def _quantiles(d: PairedDifference) -> tuple[float, float]:
    normal = NormalDist()
    return normal.inv_cdf((1 + d.confidence) / 2), normal.inv_cdf(POWER)


def _times(d: PairedDifference, mode: Mode, min_effect: float, margin: float) -> float | None:
    """How many times the queries would do, or None where nothing can be said."""
    if not d.discordant:
        return _without_loss(d, margin) if mode == "non-inferiority" else None
    level, power = _quantiles(d)
    enough = max(MIN_DISCORDANT / d.discordant, MIN_DISCORDANT_GROUPS / d.discordant_groups)
    limit = min_effect if mode == "superiority" else -margin
    distance = abs(d.relative - limit)
    if mode == "superiority" and d.relative >= min_effect:  # above zero shown, and above e itself
        spread = max(_square(level + power, d.error, d.relative), _square(power, d.error, distance))
    else:
        spread = _square(level + power, d.error, distance)
    return max(enough, spread)


def _square(quantile: float, error: float, distance: float) -> float:
    return (quantile * error / distance) ** 2 if distance else math.inf


def _without_loss(d: PairedDifference, margin: float) -> float | None:
    needed = groups_without_loss(d, margin)
    return needed / d.groups if needed else None


_FIGURES: tuple[tuple[str, Unit, str], ...] = (
    ("detectable", "%", "Smallest true change told from none with 80 % power."),
    ("passable", "%", "Smallest true change that the gate passes with 80 % power."),
    ("more_queries", "count", "Queries that are missing for a verdict."),
)


def power_figures(power: Power, name: str) -> Iterator[Figure]:
    """What is known of it, under the metric's ``name``."""
    for key, unit, what in _FIGURES:
        value = getattr(power, key)
        if value is not None:
            yield Figure(f"{name}.{key}", value, unit, what, signed=key == "passable")
