"""When a limit counts as broken: shown on made figures."""

from __future__ import annotations

import numpy as np
import pytest

from reindex.config import WatchSettings
from reindex.rollout.sequential import mean_sequence
from reindex.rollout.signals import (
    Signal,
    Traffic,
    feedback_signal,
    ks_distance,
    noise,
    traffic_signals,
)
from tests.unit.test_sequential import bound

LIMITS = WatchSettings()


def by_name(signals: list[Signal]) -> dict[str, Signal]:
    return {item.name: item for item in signals}


def seen(
    rng: np.random.Generator, changes: dict[str, float] | None = None, n: int = 200
) -> Traffic:
    values = {"errors": 0, "empty": 0, "score": 0.7, "ms": 10.0} | (changes or {})
    return Traffic(
        n, int(values["errors"]), int(values["empty"]),
        tuple(rng.normal(values["score"], 0.1, n)), tuple(rng.gamma(4, values["ms"] / 4, n)),
    )  # fmt: skip


def test_the_distance_of_distributions() -> None:
    assert ks_distance([1, 2, 3], [1, 2, 3]) == 0
    assert ks_distance([1, 2], [3, 4]) == 1
    assert ks_distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5


def test_chance_seldom_reaches_the_noise() -> None:
    rng = np.random.default_rng(1)
    runs = 2000
    over = sum(
        ks_distance(rng.normal(size=60).tolist(), rng.normal(size=90).tolist()) > noise(60, 90)
        for _ in range(runs)
    )
    assert over <= bound(0.001, runs)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"errors": 10}, ["searches: errors"]),
        ({"errors": 3}, []),
        ({"empty": 30}, ["searches: empty"]),
        ({"score": 0.3}, ["searches: scores"]),
        ({"score": 0.69}, []),
        ({"ms": 60.0}, ["searches: latency"]),
        ({"ms": 15.0}, []),
    ],
)
def test_each_limit_of_searches(changes: dict[str, float], broken: list[str]) -> None:
    rng = np.random.default_rng(2)
    before, own = seen(rng), seen(rng).scores
    found = traffic_signals(seen(rng, changes), before, own, LIMITS)
    assert [item.name for item in found if item.broken] == broken
    assert len(found) == 4


def test_few_searches_say_nothing() -> None:
    rng = np.random.default_rng(3)
    assert traffic_signals(seen(rng, {"errors": 19}, 19), seen(rng), [], LIMITS) == []


def test_feedback_that_stays_the_same_is_seldom_called_worse() -> None:
    """Looked at after every key, for the whole watch."""
    runs = 400
    wrong = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        before = rng.binomial(1, 0.4, 300).astype(float).tolist()
        after = rng.binomial(1, 0.4, 1500).astype(float).tolist()
        signal = feedback_signal(after, before, LIMITS, 0.05)
        assert signal is not None
        wrong += signal.broken
    assert wrong <= bound(0.05, runs)


def test_feedback_that_falls_is_found_beyond_what_is_allowed() -> None:
    rng = np.random.default_rng(5)
    before = rng.binomial(1, 0.5, 500).astype(float).tolist()
    after = rng.binomial(1, 0.2, 500).astype(float).tolist()
    fallen = feedback_signal(after, before, LIMITS, 0.05)
    assert fallen is not None
    assert fallen.broken
    lenient = LIMITS.model_copy(update={"max_feedback_loss": 0.4})
    allowed = feedback_signal(after, before, lenient, 0.05)
    assert allowed is not None
    assert not allowed.broken


def test_a_mean_lies_within_its_sequence() -> None:
    runs = 400
    missed = 0
    for seed in range(runs):
        values = np.random.default_rng(seed).beta(0.5, 2, 1000)
        _, low, high = mean_sequence(values.tolist(), 0.05)
        missed += not low <= 0.2 <= high
    assert missed <= bound(0.05, runs)
