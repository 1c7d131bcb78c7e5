"""Several candidates at once: Holm's order, and that the family-wise rate holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.family import as_family, holm
from reindex.evaluation.figures import figures
from reindex.evaluation.results import Comparison
from reindex.evaluation.verdicts import judge_by, verdict_of
from reindex.records import Judgements, Query
from tests.made_comparison import made_comparison
from tests.simulated import bound

SETTINGS = EvaluationSettings(resamples=400)
ANY_GAIN = GateSettings(min_effect=0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted))
def test_holm_s_p_values_reject_what_the_step_down_rejects(p_values: list[float]) -> None:
    """Written out as the procedure: go on while the j-th p is at most a / (m - j + 1)."""
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected = 0
        for p in p_values:
            if p * (len(p_values) - rejected) > level:
                break
            rejected += 1
        assert [p <= level for p in adjusted] == [i < rejected for i in range(len(p_values))]


def judged_set(queries: int) -> Judgements:
    asked = tuple(Query(f"q{i}", f"query {i}", f"g{i}") for i in range(queries))
    return Judgements(asked, {query.id: {"d": 1} for query in asked})


def family(
    shares: list[float], gate: GateSettings = ANY_GAIN, *, queries: int = 200, seed: int = 0
) -> tuple[Comparison, ...]:
    """Candidates that find these shares of the answers; live finds 60 %."""
    rng = np.random.default_rng(seed)
    live = (rng.random(queries) < 0.6).astype(float)
    made = []
    for number, share in enumerate(shares, start=2):
        one = made_comparison(list(live), list((rng.random(queries) < share).astype(float)))
        alone = judge_by(gate, one.judged)
        side = replace(one.candidate, version=f"v{number}")
        made.append(replace(one, candidate=side, verdict=alone.verdict, reason=alone.reason))
    return as_family(made, judged_set(queries), SETTINGS, gate)[0]


def test_candidates_keep_their_order_and_know_their_place() -> None:
    found = family([0.6, 0.9, 0.75])
    assert [one.candidate.version for one in found] == ["v2", "v3", "v4"]
    families = [one.family for one in found if one.family]
    assert [item.place for item in families] == [3, 1, 2]
    assert {item.candidates for item in families} == {("v2", "v3", "v4")}
    levels = [item.difference.confidence for item in families]
    assert levels == pytest.approx([0.95, 1 - 0.05 / 3, 1 - 0.05 / 2])
    assert [one.verdict for one in found][1:] == ["pass", "pass"]
    assert "Holds among 3 candidates (Holm)" in found[1].reason
    assert figures(found[1])["family.size"].value == 3


def test_the_recorded_verdict_is_what_the_gate_says_later() -> None:
    for one in family([0.6, 0.9, 0.72]):
        read = Comparison.from_dict(one.as_dict())
        assert verdict_of(read, ANY_GAIN).verdict == one.verdict
        assert read.family == one.family


def test_a_worse_candidate_does_not_take_the_best_one_s_place() -> None:
    """Its p-value is the smallest; of being better, it says nothing."""
    worse, better = family([0.1, 0.85])
    assert (worse.verdict, better.verdict) == ("fail", "pass")
    assert better.family is not None
    assert (better.family.place, worse.family and worse.family.p_value) == (1, 1.0)


def test_what_passes_alone_and_not_among_others_is_inconclusive() -> None:
    gate, seed = ANY_GAIN, 0
    while True:  # a candidate whose evidence is just enough for one
        alone = family([0.7], seed=seed)[0]
        if alone.verdict == "pass" and alone.judged.p_value > 0.02:
            break
        seed += 1
    assert alone.family is None
    among = family([0.7, *[0.6] * 7], gate, seed=seed)[0]
    assert among.verdict == "inconclusive"
    assert "Not shown among 8 candidates" in among.reason


def test_non_inferiority_is_ordered_by_the_distance_to_the_margin() -> None:
    gate = GateSettings(mode="non-inferiority", margin=0.25)
    found = family([0.55, 0.3, 0.62], gate)
    assert [one.family.place for one in found if one.family] == [2, 3, 1]
    assert found[1].verdict != "pass"
    assert found[2].verdict == "pass"


def family_rates(seed: int, studies: int) -> tuple[float, float]:
    """How often any of five candidates like live passes: together, and each judged alone."""
    together = alone = 0
    for number in range(studies):
        found = family([0.6] * 5, queries=120, seed=10_000 * seed + number)
        together += any(one.verdict == "pass" for one in found)
        alone += any(judge_by(ANY_GAIN, one.judged).verdict == "pass" for one in found)
    return together / studies, alone / studies


def test_no_candidate_passes_more_often_than_stated_where_none_is_better() -> None:
    """One side of 5 % for the whole family; alone they would break it."""
    together, alone = family_rates(1, 25)
    assert together <= bound(0.035, 25)
    assert alone >= together


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_family_keeps_its_rate_in_many_comparisons(seed: int) -> None:
    together, alone = family_rates(seed, 300)
    assert together <= bound(0.035, 300)
    assert alone > bound(0.035, 300)
