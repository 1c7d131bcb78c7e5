"""The gate's statistics: groups, interval and test from their own modules, and the verdict here.

A verdict turns a paired difference into ``pass``, ``fail`` or ``inconclusive``, with the reason in
words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reindex.evaluation.groups import group_queries
from reindex.evaluation.resampling import PairedDifference, paired_difference

__all__ = [
    "Judged",
    "Mode",
    "PairedDifference",
    "Verdict",
    "cautious_interval",
    "group_queries",
    "groups_without_loss",
    "judge",
    "paired_difference",
]

Verdict = Literal["pass", "fail", "inconclusive"]
Mode = Literal["superiority", "non-inferiority"]

MIN_DISCORDANT = 20
"""Queries that must score differently before a bootstrap interval is trusted."""
MIN_DISCORDANT_GROUPS = 10
"""The same for independent groups: simulated, 5 to 8 of them pass 9 % of null differences at a
nominal 2.5 %, 10 to 30 about 5 %, 60 and more 2 %."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and the sentence that explains it."""

    verdict: Verdict
    reason: str


def judge(difference: PairedDifference, *, mode: Mode, min_effect: float, margin: float) -> Judged:
    """Decide whether the candidate is shown to be better, or not worse, than live.

    Superiority passes when the interval lies above zero and the point is at least ``min_effect``,
    fails when the interval lies below ``min_effect``. Non-inferiority passes when the interval
    lies at or above ``-margin``, fails when it lies below. Both effects are relative to live.

    With fewer than 20 discordant queries, or 10 discordant groups, the bootstrap says little: the
    losses that happened not to be drawn are not in it. Superiority is then inconclusive. Few
    discordant queries are just what non-inferiority hopes for, so there an exact binomial bound
    on the share of losing groups (Clopper & Pearson 1934) takes the interval's place, each loss
    counted as a whole answer: no loss in n groups at 95 % bounds the share by about 3.7 / n.
    """
    if mode == "superiority":
        return _superiority(difference, min_effect)
    return _non_inferiority(difference, margin)


def _superiority(d: PairedDifference, min_effect: float) -> Judged:
    if _few(d):
        judged = Judged("inconclusive", f"Too little to judge by: {_counts(d)}.")
    elif d.low > 0 and d.relative >= min_effect:
        judged = Judged("pass", f"Better: {_effect(d)}; {percent(min_effect)} was asked for.")
    elif d.high < min_effect:
        judged = Judged("fail", f"{_fail_words(d, min_effect)}: {_effect(d)}.")
    elif d.low > 0:
        judged = Judged(
            "inconclusive", f"Better, but {percent(min_effect)} is not shown: {_effect(d)}."
        )
    else:
        judged = Judged("inconclusive", f"Neither better nor worse is shown: {_effect(d)}.")
    if judged.verdict == "pass" or d.high < 0 or d.mean_live <= 1 / (1 + min_effect):
        return judged
    return Judged(judged.verdict, f"{judged.reason} {_no_room(d, min_effect)}")


def _fail_words(d: PairedDifference, min_effect: float) -> str:
    if d.high < 0:
        return "Worse"
    goal = percent(min_effect)
    return f"Better, but by less than {goal}" if d.low > 0 else f"A gain of {goal} is ruled out"


def _no_room(d: PairedDifference, min_effect: float) -> str:
    room = 1 / d.mean_live - 1
    return (
        f"Live already reaches {d.mean_live:.3f}, which leaves room for {percent(room)} at most: "
        f"{percent(min_effect)} cannot be shown. Ask for gate.mode = 'non-inferiority' instead."
    )


def _non_inferiority(d: PairedDifference, margin: float) -> Judged:
    limit = f"a loss of {percent(margin, sign=False)}"
    if _few(d):
        return _few_losses(d, margin)
    if d.low >= -margin:
        return Judged("pass", f"Not worse: {_effect(d)}, within {limit}.")
    if d.high < -margin:
        return Judged("fail", f"Worse: {_effect(d)}, beyond {limit}.")
    return Judged("inconclusive", f"More than {limit} is not ruled out: {_effect(d)}.")


def _few_losses(d: PairedDifference, margin: float) -> Judged:
    tail = (1 - d.confidence) / 2
    share = binomial_upper(d.losing_groups, d.groups, tail)
    worst = share / max(d.mean_live, 1 / d.queries)
    seen = f"{_counts(d)}, {d.losing_groups} of {d.groups} independent groups lose"
    if worst <= margin:
        return Judged(
            "pass", f"Not worse: {seen}, which bounds the loss at {percent(worst, sign=False)}."
        )
    reason = (
        f"Too little to judge by: {seen}, which leaves a loss of up to "
        f"{percent(worst, sign=False)} possible"
    )
    if not d.losing_groups and (needed := groups_without_loss(d, margin)):
        reason += f"; {needed} groups without a loss would do"
    return Judged("inconclusive", f"{reason}.")


def groups_without_loss(d: PairedDifference, margin: float) -> int | None:
    """How many groups, none of them losing, show a loss of at most ``margin`` (Clopper-Pearson)."""
    if not 0 < margin * d.mean_live < 1:
        return None
    return math.ceil(math.log((1 - d.confidence) / 2) / math.log1p(-margin * d.mean_live))


def binomial_upper(hits: int, trials: int, tail: float) -> float:
    """The largest share at which ``hits`` or fewer of ``trials`` still have probability ``tail``.

    The upper Clopper-Pearson limit, found by bisection.
    """
    low, high = hits / trials, 1.0
    for _ in range(60):
        share = (low + high) / 2
        below = math.fsum(
            math.comb(trials, i) * share**i * (1 - share) ** (trials - i) for i in range(hits + 1)
        )
        low, high = (share, high) if below > tail else (low, share)
    return high


def cautious_interval(d: PairedDifference) -> tuple[float, float]:
    """The bootstrap's interval, widened where too few queries differ for it to be trusted.

    There the exact bounds on the shares of losing and of winning groups, each as a whole answer,
    take its place where they are wider: without any difference in 5 groups nothing is shown.
    """
    if not _few(d):
        return d.low, d.high
    tail, mean = (1 - d.confidence) / 2, max(d.mean_live, 1 / d.queries)
    winning = d.discordant_groups - d.losing_groups
    worst, best = (binomial_upper(hits, d.groups, tail) for hits in (d.losing_groups, winning))
    return min(d.low, -worst / mean), max(d.high, best / mean)


def _few(d: PairedDifference) -> bool:
    return d.discordant < MIN_DISCORDANT or d.discordant_groups < MIN_DISCORDANT_GROUPS


def _counts(d: PairedDifference) -> str:
    return (
        f"{d.discordant} of {d.queries} queries score differently, in {d.discordant_groups} of "
        f"{d.groups} independent groups (an interval needs {MIN_DISCORDANT} queries in "
        f"{MIN_DISCORDANT_GROUPS} groups)"
    )


def _effect(d: PairedDifference) -> str:
    return (
        f"{percent(d.relative)} ({d.confidence * 100:g} % interval {percent_range(d.low, d.high)})"
    )


def percent(share: float, *, sign: bool = True) -> str:
    """``0.083`` as ``+8.3 %``, with a true minus."""
    text = f"{share * 100:+.1f} %" if sign else f"{share * 100:.1f} %"
    return text.replace("-", "−").replace("+0.0", "±0.0").replace("−0.0", "±0.0")


def percent_range(low: float, high: float) -> str:
    """``+5.9 to +10.8 %``."""
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"
