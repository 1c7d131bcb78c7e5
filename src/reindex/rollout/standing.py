"""How a canary stands: both sides' figures, the intervals that hold at every look, the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reindex.config import RolloutSettings
from reindex.registry.canaries import Canary, Phase
from reindex.registry.interactions import Interactions
from reindex.rollout.outcomes import (
    Outcome,
    SideFigures,
    by_key,
    closed,
    figures_of,
    interleaved_wins,
    of_phases,
    split_observations,
)
from reindex.rollout.sequential import (
    Difference,
    Preference,
    difference,
    log_evidence,
    preference,
)

Verdict = Literal["pass", "fail", "inconclusive"]

SIDES = ("live", "candidate", "interleaved", "shadow")

UNEVEN_BELOW = 0.001
"""Chance, for all looks together, that fairly assigned sides are called uneven."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A canary so far.

    Attributes:
        verdict: of the mode that it is in; None for a shadow, which nobody sees.
        reason: the verdict in words.
        difference: of success rates per key, candidate minus live, where keys were split.
        preference: of keys that got interleaved lists.
        counted, waiting: keys whose window has closed, and those for which it has not.
        uneven: the sides hold other shares of the keys than they were given: something drops
            searches of one side, so nothing here can be trusted.
    """

    canary: Canary
    phases: tuple[Phase, ...]
    sides: tuple[SideFigures, ...]
    verdict: Verdict | None
    reason: str
    difference: Difference | None
    preference: Preference | None
    counted: int
    waiting: int
    uneven: bool


def stand(
    canary: Canary, phases: Sequence[Phase], interactions: Interactions,
    settings: RolloutSettings, now: float,
) -> Standing:  # fmt: skip
    """Read what was recorded and judge it. ``now``: seconds since 1970."""
    outcomes = of_phases(interactions, phases)
    answered = [item for item in outcomes if item.side != "shadow"]
    window = settings.key_window_minutes * 60
    keys, waiting = closed(by_key(answered), window, now)
    split = {phase.id: phase.weight for phase in phases if phase.mode == "split"}
    seen = split_observations(keys, split, window)
    wins = interleaved_wins(keys, canary.version, window)
    apart = (
        difference(
            [item.candidate for item in seen],
            [item.weight for item in seen],
            [item.value for item in seen],
            settings.alpha,
        )
        if seen
        else None
    )
    preferred = preference(wins, settings.alpha) if wins else None
    uneven = _uneven(phases, keys)
    verdict, reason = _judge(canary, apart, preferred, uneven=uneven)
    return Standing(
        canary,
        tuple(phases),
        tuple(
            figures_of(side, found)
            for side in SIDES
            if (found := [item for item in outcomes if item.side == side])
        ),
        verdict,
        reason,
        apart,
        preferred,
        len(keys),
        waiting,
        uneven,
    )


def _uneven(phases: Sequence[Phase], keys: Sequence[Sequence[Outcome]]) -> bool:
    """Sample ratio mismatch, tested so that one may look at any time: the product over phases of
    the beta-binomial mixture's evidence against the weight (Lindon & Malek, "Anytime-valid
    inference for multinomial count data", NeurIPS 2022).
    """
    evidence = 0.0
    for phase in phases:
        if 0 < phase.weight < 1:
            sides = [item[0].side for item in keys if item[0].phase == phase.id]
            live = sides.count("live")
            evidence += log_evidence(len(sides) - live, live, phase.weight)
    return evidence > -math.log(UNEVEN_BELOW)


def _judge(
    canary: Canary, apart: Difference | None, preferred: Preference | None, *, uneven: bool
) -> tuple[Verdict | None, str]:
    if canary.weight == 0:
        return None, "A shadow: it answers nobody, so nobody can say which is better."
    if uneven:
        return "inconclusive", (
            "The sides hold other shares of the keys than their weights: searches of one side are "
            "lost somewhere. Nothing below can be trusted until that is mended."
        )
    if canary.mode == "interleave":
        return _judge_preference(preferred)
    return _judge_difference(apart)


def _judge_difference(apart: Difference | None) -> tuple[Verdict, str]:
    if apart is None or apart.low is None or apart.high is None:
        return "inconclusive", "Too few keys on one of the sides to say anything."
    if apart.contradictory:
        return (
            "inconclusive",
            "The difference has changed on the way: early and late keys disagree.",
        )
    if apart.low > 0:
        return "pass", "Better: the candidate's keys succeed more often."
    if apart.high < 0:
        return "fail", "Worse: the candidate's keys succeed less often."
    return "inconclusive", "Neither better nor worse is shown yet."


def _judge_preference(preferred: Preference | None) -> tuple[Verdict, str]:
    if preferred is None or preferred.share is None:
        return "inconclusive", "No key has preferred either side yet."
    if preferred.low > 0.5:
        return "pass", "Better: keys prefer the candidate's results."
    if preferred.high < 0.5:
        return "fail", "Worse: keys prefer the live version's results."
    return "inconclusive", "No preference is shown yet."
