"""Errors counted: looked at after every single observation, the stated level is held."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from reindex.rollout.interleaving import interleave, winner
from reindex.rollout.sequential import (
    difference,
    log_evidence,
    preference,
    share_interval,
)
from tests.unit.test_rollout import cascade

ALPHA = 0.05
RUNS = 400


def bound(level: float, runs: int) -> int:
    """The most errors in ``runs`` that a true rate of ``level`` gives with 99.9 %."""
    total = 0.0
    for errors in range(runs + 1):
        total += math.comb(runs, errors) * level**errors * (1 - level) ** (runs - errors)
        if total >= 0.999:
            return errors
    raise AssertionError


def decided(seed: int, keys: int, weight: float, effect: float, icc: float) -> int:
    """Whether a difference was ever shown (1, -1) among keys that each search several times.

    ``icc``: correlation of a key's own searches (beta-binomial), so that 0.8 means that nearly
    every search of a key ends alike. The intervals hold at all looks together: one that excludes
    zero after any number of keys is reported at the end, which is looking after every one.
    """
    rng = np.random.default_rng(seed)
    side = rng.random(keys) < weight
    rate = np.where(side, 0.3 + effect, 0.3)
    own = rng.beta(rate * (1 - icc) / icc, (1 - rate) * (1 - icc) / icc)
    searches = rng.geometric(0.25, keys)
    values = rng.binomial(searches, own) / searches
    found = difference(side.tolist(), [weight] * keys, values.tolist(), ALPHA)
    if found.low is None or found.high is None:
        return 0
    return 1 if found.low > 0 or found.contradictory else -1 if found.high < 0 else 0


def false_alarms(weight: float, icc: float, runs: int) -> int:
    """Runs in which equal sides were ever called different."""
    return sum(decided(seed, 2000, weight, 0.0, icc) != 0 for seed in range(runs))


@pytest.mark.parametrize("weight", [0.1, 0.5])
@pytest.mark.parametrize("icc", [0.02, 0.5, 0.8])
def test_equal_sides_are_called_different_at_most_at_the_stated_rate(
    weight: float, icc: float
) -> None:
    assert false_alarms(weight, icc, RUNS) <= bound(ALPHA, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.1, 0.5])
@pytest.mark.parametrize("icc", [0.5, 0.8])
def test_a_thousand_rollouts_of_equal_sides(weight: float, icc: float) -> None:
    assert false_alarms(weight, icc, 1000) <= bound(ALPHA, 1000)


def test_a_fixed_sample_interval_would_not_hold_it() -> None:
    """That the test above can fail: the usual 95 % interval, looked at after every key."""

    def fooled(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        terms = rng.choice([-1.0, 1.0], 2000)
        t = np.arange(1, 2001)
        return bool(np.any((np.abs(np.cumsum(terms)) > 1.96 * np.sqrt(t))[20:]))

    assert sum(map(fooled, range(RUNS))) > 5 * bound(ALPHA, RUNS) / 2


@pytest.mark.parametrize(("weight", "keys"), [(0.5, 2500), (0.1, 6000)])
def test_a_difference_is_found(weight: float, keys: int) -> None:
    shown = [decided(seed, keys, weight, 0.1, 0.5) for seed in range(60)]
    assert shown.count(1) >= 54
    assert shown.count(-1) == 0
    assert sum(decided(seed, keys, weight, -0.1, 0.5) == -1 for seed in range(60)) >= 54


def test_the_true_difference_is_in_the_interval_at_every_look() -> None:
    missed = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        side = rng.random(1500) < 0.3
        values = (rng.random(1500) < np.where(side, 0.55, 0.4)).astype(float)
        found = difference(side.tolist(), [0.3] * 1500, values.tolist(), ALPHA)
        assert found.low is not None
        assert found.high is not None
        missed += not found.low <= 0.15 <= found.high
    assert missed <= bound(ALPHA, RUNS)


def test_a_weight_that_changes_while_everything_changes_with_it_fools_nobody() -> None:
    """Success drops by the hour while the weight grows: a plain difference of means sees a loss."""
    rng = np.random.default_rng(7)
    weights = np.repeat([0.05, 0.5], 3000)
    side = rng.random(6000) < weights
    values = (rng.random(6000) < np.repeat([0.6, 0.2], 3000)).astype(float)
    naive = values[side].mean() - values[~side].mean()
    found = difference(side.tolist(), weights.tolist(), values.tolist(), ALPHA)
    assert naive < -0.1
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_nothing_is_said_of_a_few_keys() -> None:
    found = difference([True] * 9 + [False] * 50, [0.5] * 59, [1.0] * 9 + [0.0] * 50, ALPHA)
    assert (found.candidate_keys, found.live_keys, found.low) == (9, 50, None)


def test_keys_that_are_all_alike_show_nothing_at_once() -> None:
    found = difference([True, False] * 20, [0.5] * 40, [0.0] * 40, ALPHA)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_an_effect_that_turns_round_is_no_verdict() -> None:
    side = [True, False] * 3000
    values = [float(one) for one in side[:3000]] + [float(not one) for one in side[3000:]]
    assert difference(side, [0.5] * 6000, values, ALPHA).contradictory


def test_the_evidence_is_a_martingale_under_no_preference() -> None:
    """Its mean after n decided keys is 1, by summing over all that can happen."""
    for n in (1, 7, 40):
        mean = sum(
            math.comb(n, w) * 0.5**n * math.exp(log_evidence(w, n - w)) for w in range(n + 1)
        )
        assert mean == pytest.approx(1)


def test_the_interval_of_a_share_ends_where_the_evidence_does() -> None:
    low, high = share_interval(30, 10, ALPHA)
    assert low < 0.75 < high
    for edge in (low, high):
        assert log_evidence(30, 10, edge) == pytest.approx(-math.log(ALPHA), abs=1e-3)
    assert share_interval(0, 5, ALPHA)[0] == 0
    assert share_interval(5, 0, ALPHA)[1] == 1


Ranking = Callable[[random.Random], list[int | str]]


def clicked_wins(seed: int, keys: int, live: Ranking, candidate: Ranking) -> list[int]:
    """Per key: who won most of a few interleaved lists, by clicks of the cascade model."""
    rng = random.Random(seed)
    won = []
    for key in range(keys):
        total = 0
        for query in range(1 + int(rng.random() * 3)):
            good: dict[int | str, float] = {n: 0.6 if n < 3 else 0.05 for n in range(20)}
            drafted = interleave(live(rng), candidate(rng), 10, f"{seed} {key} {query}")
            place = cascade(list(drafted.items), good, rng)
            total += winner([drafted.teams[place]] if place >= 0 else [])
        won.append((total > 0) - (total < 0))
    return won


def shuffled(rng: random.Random, swaps: int) -> list[int | str]:
    """The ideal ranking after some random swaps of neighbours: the more, the worse."""
    ranking: list[int | str] = list(range(20))
    for _ in range(swaps):
        place = rng.randrange(19)
        ranking[place : place + 2] = reversed(ranking[place : place + 2])
    return ranking


def test_interleaving_finds_the_better_ranker() -> None:
    def better(rng: random.Random) -> list[int | str]:
        return shuffled(rng, 20)

    def worse(rng: random.Random) -> list[int | str]:
        return shuffled(rng, 80)

    for seed in range(2):
        assert preference(clicked_wins(seed, 1200, worse, better), ALPHA).low > 0.5
        assert preference(clicked_wins(seed, 1200, better, worse), ALPHA).high < 0.5


def false_preferences(runs: int) -> int:
    """Runs in which one of two equal rankers was preferred."""

    def ranker(rng: random.Random) -> list[int | str]:
        return shuffled(rng, 40)

    found = (preference(clicked_wins(seed, 120, ranker, ranker), ALPHA) for seed in range(runs))
    return sum(one.low > 0.5 or one.high < 0.5 for one in found)


def test_interleaving_prefers_neither_of_equal_rankers_at_more_than_the_stated_rate() -> None:
    assert false_preferences(60) <= bound(ALPHA, 60)


@pytest.mark.slow
def test_a_thousand_interleavings_of_equal_rankers() -> None:
    assert false_preferences(1000) <= bound(ALPHA, 1000)
