"""Groups, intervals, tests and verdicts; error rates on simulated data against their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reindex.errors import ComparisonError
from reindex.evaluation.groups import words
from reindex.evaluation.statistics import (
    Mode,
    PairedDifference,
    binomial_upper,
    group_queries,
    judge,
    paired_difference,
    percent,
)
from reindex.records import Judgements, Query
from tests.simulated import bound

Scores = NDArray[np.float64]
SEEDS = (1, 2, 3)
STUDIES = 400  # simulated comparisons per seed
STATED = 0.035  # of the cluster bootstrap, one side, at a nominal 2.5 %


# -- groups


def grouped(
    *queries: tuple[str, str, str | None], qrels: dict[str, dict[str, int]] | None = None
) -> list[int]:
    made = tuple(Query(id, text, group) for id, text, group in queries)
    return list(group_queries(Judgements(made, qrels or {})))


def test_queries_that_share_a_relevant_document_are_one_group_transitively() -> None:
    numbers = grouped(
        ("a", "one", None),
        ("b", "two", None),
        ("c", "three", None),
        ("d", "four", None),
        qrels={"a": {"x": 1}, "b": {"x": 2, "y": 1}, "c": {"y": 1, "z": 0}, "d": {"z": 1}},
    )
    assert numbers == [0, 0, 0, 1]


def test_near_duplicate_texts_are_one_group() -> None:
    long = "how do I flatten a nested list of lists of integers in place"
    numbers = grouped(
        ("a", "How to sort?", None),
        ("b", "to SORT, how", None),
        ("c", "how to sort dictionaries", None),
        ("d", long, None),
        ("e", long + " quickly", None),
        ("f", "???", None),
        ("g", "!!!", None),
    )
    assert numbers == [0, 0, 1, 2, 2, 3, 4]


def test_an_explicit_group_decides_alone() -> None:
    numbers = grouped(
        ("a", "same words", "left"),
        ("b", "same words", "right"),
        ("c", "other", "left"),
        ("d", "same words", None),
        qrels={"a": {"x": 1}, "b": {"x": 1}, "d": {"x": 1}},
    )
    assert numbers == [0, 1, 0, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefghijklmn"), min_size=1).map(" ".join), max_size=12))
def test_groups_equal_the_brute_force_closure(texts: list[str]) -> None:
    """Against all pairs and a transitive closure, so the prefix filter must miss nothing."""
    bags = [words(text) for text in texts]
    near = np.array(
        [[len(one & two) >= 0.9 * len(one | two) for two in bags] for one in bags], dtype=bool
    ).reshape(len(texts), len(texts))
    for middle in range(len(texts)):
        near |= near[:, [middle]] & near[[middle], :]

    numbers = grouped(*((str(i), text, None) for i, text in enumerate(texts)))

    assert [[one == two for two in numbers] for one in numbers] == near.tolist()


# -- difference, interval, test


def singles(live: list[float], candidate: list[float]) -> PairedDifference:
    return paired_difference(np.array(live), np.array(candidate), np.arange(len(live)))


def test_counts_and_means() -> None:
    got = paired_difference(
        np.array([1.0, 0.0, 0.5, 0.5]), np.array([0.0, 1.0, 1.0, 0.5]), np.array([7, 7, 9, 9])
    )
    assert (got.wins, got.losses, got.ties, got.discordant) == (2, 1, 1, 3)
    assert (got.queries, got.groups, got.discordant_groups, got.losing_groups) == (4, 2, 2, 0)
    assert got.mean_live == pytest.approx(0.5)
    assert got.mean_candidate == pytest.approx(0.625)
    assert got.difference == pytest.approx(0.125)
    assert got.relative == pytest.approx(0.25)


def test_same_seed_same_figures_and_another_seed_nearly() -> None:
    rng = np.random.default_rng(0)
    live, candidate, groups = rng.random(300), rng.random(300), rng.integers(80, size=300)
    first = paired_difference(live, candidate, groups, seed=1)
    assert paired_difference(live, candidate, groups, seed=1) == first
    other = paired_difference(live, candidate, groups, seed=2)
    assert other.low != first.low
    assert other.low == pytest.approx(first.low, abs=0.02)


def test_interval_of_independent_queries_agrees_with_the_normal_theory() -> None:
    """On the relative effect: the delta method's interval of a ratio of means."""
    rng = np.random.default_rng(5)
    live = rng.normal(0.6, 0.1, 2000)
    candidate = live + rng.normal(0.03, 0.1, 2000)
    got = singles(list(live), list(candidate))
    ratio = candidate.mean() / live.mean()
    error = np.std(candidate - ratio * live) / live.mean() / math.sqrt(2000)
    assert got.low == pytest.approx(ratio - 1 - 1.96 * error, abs=0.15 * error)
    assert got.high == pytest.approx(ratio - 1 + 1.96 * error, abs=0.15 * error)


def test_sign_flip_p_value_agrees_with_full_enumeration() -> None:
    change = np.array([0.9, 0.4, 0.3, -0.2, 0.6, 0.5, -0.1, 0.2, 0.7, 0.1])
    signs = np.array([[1 if code >> bit & 1 else -1 for bit in range(10)] for code in range(1024)])
    exact = float((np.abs(signs @ change) >= abs(change.sum()) - 1e-9).mean())
    live = np.full(10, 0.1)
    got = paired_difference(live, live + change, np.arange(10), resamples=20_000)
    assert got.p_value == pytest.approx(exact, abs=0.004)


def test_p_value_is_never_zero_and_one_where_nothing_differs() -> None:
    assert singles([0.0] * 200, [1.0] * 200).p_value == 1 / 2001
    assert singles([0.5] * 200, [0.5] * 200).p_value == 1.0


def test_a_live_side_that_finds_nothing_gives_finite_figures() -> None:
    got = singles([0.0] * 40, [1.0] * 30 + [0.0] * 10)
    assert math.isfinite(got.low)
    assert math.isfinite(got.high)
    assert got.relative == pytest.approx(30)  # 0.75 over one full answer in 40


def test_needs_the_same_queries_on_both_sides() -> None:
    with pytest.raises(ComparisonError, match="same queries"):
        paired_difference(np.ones(3), np.ones(2), np.arange(3))
    with pytest.raises(ComparisonError, match="at least one"):
        paired_difference(np.ones(0), np.ones(0), np.arange(0))


# -- error rates: the stated rate plus the 99.9 % bound of its binomial


def study(rng: np.random.Generator, candidate: float) -> tuple[Scores, Scores, NDArray[np.int64]]:
    """Clustered hits: live finds 70 % of the answers; within a group mostly the same ones."""
    groups = np.repeat(np.arange(100), 1 + rng.poisson(3, 100))
    shared = rng.random((2, 100))[:, groups]
    alone = rng.random((2, len(groups)))
    luck = np.where(rng.random(len(groups)) < 0.8, shared, alone)
    return (luck[0] < 0.7) * 1.0, (luck[1] < candidate) * 1.0, groups


def rates(
    seed: int, candidate: float, *events: Callable[[PairedDifference], bool], clustered: bool = True
) -> list[float]:
    rng = np.random.default_rng(seed)
    found = np.zeros(len(events))
    for number in range(STUDIES):
        live, other, groups = study(rng, candidate)
        got = paired_difference(
            live, other, groups if clustered else np.arange(len(live)), resamples=300, seed=number
        )
        found += [event(got) for event in events]
    return list(found / STUDIES)


@pytest.mark.parametrize("seed", SEEDS)
def test_null_differences_pass_no_more_often_than_stated(seed: int) -> None:
    above, below, significant = rates(
        seed, 0.7, lambda d: d.low > 0, lambda d: d.high < 0, lambda d: d.p_value <= 0.05
    )
    assert above <= bound(STATED, STUDIES)
    assert below <= bound(STATED, STUDIES)
    assert significant <= bound(0.05, STUDIES)


def test_ignoring_the_groups_would_break_that_bound() -> None:
    (above,) = rates(1, 0.7, lambda d: d.low > 0, clustered=False)
    assert above > bound(STATED, STUDIES)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_interval_covers_the_truth_and_a_true_effect_does_not_fail(seed: int) -> None:
    missed, failed = rates(
        seed,
        0.77,
        lambda d: not d.low <= 0.1 <= d.high,
        lambda d: judge(d, mode="superiority", min_effect=0.1, margin=0).verdict == "fail",
    )
    assert missed <= bound(2 * STATED, STUDIES)
    assert failed <= bound(STATED, STUDIES)


@pytest.mark.parametrize("queries", [30, 100, 400])
def test_non_inferiority_of_a_system_that_loses_the_margin_rarely_passes(queries: int) -> None:
    """Live finds 80 %, the candidate loses one answer in 50 of those: a loss at the margin."""
    rng = np.random.default_rng(queries)
    passed = 0
    for number in range(STUDIES):
        live = (rng.random(queries) < 0.8).astype(np.float64)
        candidate = live * (rng.random(queries) >= 0.02).astype(np.float64)
        got = paired_difference(live, candidate, np.arange(queries), resamples=200, seed=number)
        passed += judge(got, mode="non-inferiority", min_effect=0, margin=0.02).verdict == "pass"
    assert passed / STUDIES <= bound(STATED, STUDIES)


# -- verdicts


def outcome(wins: int, losses: int, hits: int, misses: int) -> PairedDifference:
    live = [0.0] * wins + [1.0] * losses + [1.0] * hits + [0.0] * misses
    candidate = [1.0] * wins + [0.0] * losses + [1.0] * hits + [0.0] * misses
    return singles(live, candidate)


@pytest.mark.parametrize(
    ("scores", "verdict", "words_of_reason"),
    [
        (outcome(120, 20, 600, 260), "pass", "Better: +16.1 %"),
        (outcome(34, 8, 700, 258), "inconclusive", "Better, but +5.0 % is not shown: +3.7 %"),
        (outcome(60, 40, 150, 150), "inconclusive", "Neither better nor worse is shown: +10.5 %"),
        (outcome(20, 60, 600, 320), "fail", "Worse: −6.1 %"),
        (outcome(20, 4, 2400, 600), "fail", "Better, but by less than +5.0 %: +0.7 %"),
        (outcome(30, 30, 2400, 600), "fail", "A gain of +5.0 % is ruled out: ±0.0 %"),
        (outcome(15, 4, 300, 100), "inconclusive", "19 of 419 queries score differently"),
        (outcome(26, 4, 960, 10), "fail", "leaves room for +3.7 % at most"),
        (outcome(26, 4, 960, 10), "fail", "Ask for gate.mode = 'non-inferiority'"),
    ],
)
def test_superiority(scores: PairedDifference, verdict: str, words_of_reason: str) -> None:
    judged = judge(scores, mode="superiority", min_effect=0.05, margin=0.01)
    assert judged.verdict == verdict, judged.reason
    assert words_of_reason in judged.reason


@pytest.mark.parametrize(
    ("scores", "verdict", "words_of_reason"),
    [
        (outcome(40, 30, 2400, 500), "pass", "Not worse: +0.4 %"),
        (outcome(40, 40, 400, 100), "inconclusive", "More than a loss of 1.0 % is not ruled out"),
        (outcome(10, 90, 600, 100), "fail", "Worse: −11.6 %"),
        (outcome(0, 0, 800, 200), "pass", "bounds the loss at 0.5 %"),
        (outcome(0, 0, 80, 20), "inconclusive", "460 groups without a loss would do"),
        (outcome(3, 9, 80, 20), "inconclusive", "9 of 112 independent groups lose"),
    ],
)
def test_non_inferiority(scores: PairedDifference, verdict: str, words_of_reason: str) -> None:
    judged = judge(scores, mode="non-inferiority", min_effect=0.05, margin=0.01)
    assert judged.verdict == verdict, judged.reason
    assert words_of_reason in judged.reason


@pytest.mark.parametrize("mode", ["superiority", "non-inferiority"])
def test_many_queries_in_few_groups_are_not_many_observations(mode: Mode) -> None:
    live = np.tile(np.array([0.0] * 30 + [1.0] * 70), 5)
    better = paired_difference(live, np.ones(500), np.repeat(np.arange(5), 100))
    judged = judge(better, mode=mode, min_effect=0.05, margin=0.01)
    assert judged.verdict == "inconclusive"
    assert "5 of 5 independent groups" in judged.reason


@pytest.mark.parametrize(("hits", "trials"), [(0, 30), (3, 120), (19, 5000), (5, 5)])
def test_binomial_bound_leaves_just_the_tail(hits: int, trials: int) -> None:
    share = binomial_upper(hits, trials, 0.025)
    below = sum(
        math.comb(trials, i) * share**i * (1 - share) ** (trials - i) for i in range(hits + 1)
    )
    assert below == pytest.approx(0.025 if hits < trials else 1.0, rel=1e-6)


def test_percent_reads_well() -> None:
    assert [percent(share) for share in (0.083, -0.02, 0.0, -1e-9)] == [
        "+8.3 %",
        "−2.0 %",
        "±0.0 %",
        "±0.0 %",
    ]
