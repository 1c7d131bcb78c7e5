"""Overlap, rank-biased overlap and Kendall's tau-b, held against definitions and an oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.config import EvaluationSettings
from reindex.evaluation.agreement import agreement, agreement_figures
from reindex.evaluation.rankings import kendall_tau, overlap, rank_biased_overlap

rankings = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=10)


def by_definition(first: list[str], second: list[str], p: float) -> float:
    """RBO as the infinite sum, where both lists go on for ever agreeing as they did at the end."""
    depth = len(first)
    agreed = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, depth + 1)]
    agreed += [agreed[-1]] * 2000
    return (1 - p) * math.fsum(share * p**d for d, share in enumerate(agreed))


def test_rbo_of_lists_of_one_length_is_the_infinite_sum_with_the_last_agreement() -> None:
    rng = np.random.default_rng(5)
    letters = list("abcdefghijklmnop")
    for _ in range(50):
        first, second = (list(rng.permutation(letters)[:10]) for _ in range(2))
        assert rank_biased_overlap(first, second) == pytest.approx(
            by_definition(first, second, 0.9), abs=1e-9
        )


def test_rbo_of_uneven_lists_takes_the_shorter_one_as_going_on_as_it_did() -> None:
    """Shared within the first d: 1, 2, 2, 2, and the shorter list agrees by 2/2 at its end.

    Past it, equation 32 takes it as agreeing by 2/2 on: 2 + 1 and 2 + 2 of three and four.
    """
    p = 0.9
    agreed = [1, 1, 2 / 3 + 1 / 3, 2 / 4 + 2 / 4]
    by_hand = (1 - p) / p * sum(a * p**d for d, a in enumerate(agreed, 1))
    by_hand += ((2 - 2) / 4 + 2 / 2) * p**4
    assert rank_biased_overlap(["a", "b"], ["a", "b", "c", "d"]) == pytest.approx(by_hand)


@given(rankings, rankings)
def test_measures_stay_in_their_range_and_know_no_side(first: list[str], second: list[str]) -> None:
    for measure in (overlap, rank_biased_overlap):
        value = measure(first, second)
        assert -1e-12 <= value <= 1 + 1e-12
        assert value == pytest.approx(measure(second, first))
        assert measure(first, first) == pytest.approx(1.0)


def test_a_change_at_the_top_weighs_more_than_one_at_the_end() -> None:
    base = list("abcdefghij")
    top, end = ["x", *base[1:]], [*base[:-1], "x"]
    assert overlap(base, top) == overlap(base, end) == 0.9
    assert rank_biased_overlap(base, top) < rank_biased_overlap(base, end)


def test_nothing_found_by_both_is_agreement_and_by_one_is_not() -> None:
    assert overlap([], []) == rank_biased_overlap([], []) == 1.0
    assert overlap([], ["a"]) == rank_biased_overlap(["a"], []) == 0.0


def test_tau_is_scipys_tau_b_with_ties() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(7)
    for _ in range(50):
        first, second = rng.integers(0, 6, size=(2, 9)).astype(float)
        ours = kendall_tau(*({str(i): v for i, v in enumerate(side)} for side in (first, second)))
        assert ours == pytest.approx(stats.kendalltau(first, second).statistic)


def test_tau_counts_shared_results_alone_and_needs_an_order() -> None:
    first = {"a": 3.0, "x": 2.5, "b": 2.0, "c": 1.0}
    assert kendall_tau(first, {"c": 9.0, "y": 8.0, "b": 7.0, "a": 6.0}) == -1.0
    assert kendall_tau(first, {"a": 1.0, "y": 0.5}) is None
    assert kendall_tau(first, {"a": 1.0, "b": 1.0}) is None


def test_agreement_counts_what_a_reader_would_count() -> None:
    live = {
        "same": {"a": 0.9, "b": 0.5},
        "turned": {"a": 0.8, "b": 0.4},
        "other": {"a": 0.7, "b": 0.3},
        "empty": {},
    }
    candidate = {
        "same": {"a": 0.6, "b": 0.2},
        "turned": {"b": 0.6, "a": 0.5},
        "other": {"c": 0.6, "d": 0.1},
        "empty": {"a": 0.1},
    }
    found = agreement(live, candidate, np.arange(4), EvaluationSettings(k=2, resamples=200))
    assert (found.identical, found.same_first, found.disjoint) == (1, 1, 2)
    assert found.overlap.mean == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert found.overlap.low <= found.overlap.mean <= found.overlap.high
    assert found.tau is not None
    assert (found.tau.mean, found.tau.queries) == (0.0, 2)
    assert found.live_scores.empty == 1
    assert found.live_scores.first[2] == pytest.approx(0.8)
    figures = {figure.name: figure for figure in agreement_figures(found)}
    assert figures["overlap@2"].value == pytest.approx(0.5)
    assert figures["agreement.disjoint_share"].value == 0.5
    assert found.thresholds[2] == pytest.approx((0.5, 0.6, 0.5))


def test_without_any_order_there_is_no_tau_and_without_results_no_profile() -> None:
    found = agreement(
        {"q": {}}, {"q": {"a": 1.0}}, np.arange(1), EvaluationSettings(k=5, resamples=50)
    )
    assert found.tau is None
    assert found.live_scores.first == ()
    assert found.thresholds == ()
