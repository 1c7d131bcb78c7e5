"""Folds of a small judged set: groups stay whole, and what is chosen is judged on other queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reindex.config import EvaluationSettings, GateSettings
from reindex.corpus.judgements import without
from reindex.evaluation.family import as_family
from reindex.evaluation.figures import figures
from reindex.evaluation.folds import best_of, grouped_folds, stability_of
from reindex.evaluation.resampling import paired_difference
from reindex.evaluation.results import Comparison
from reindex.evaluation.verdicts import judge_by
from reindex.records import Judgements, Query
from tests.made_comparison import made_comparison
from tests.simulated import FloatArray, IntArray, Study, clustered

SETTINGS = EvaluationSettings(resamples=200)
ANY_GAIN = GateSettings(min_effect=0.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=31, max_size=200), st.integers(2, 6))
def test_groups_stay_whole_and_folds_are_about_equal(others: list[int], folds: int) -> None:
    groups = np.array([*others, *range(31)])  # every group has a query
    fold_of = grouped_folds(groups, folds, seed=1)
    assert set(fold_of) == set(range(folds))
    assert all(len(set(fold_of[groups == group])) == 1 for group in set(groups))
    sizes = np.bincount(fold_of)
    assert sizes.max() - sizes.min() <= np.bincount(groups).max()


def drawn(
    effects: Sequence[float], seed: int, *, groups: int = 60
) -> tuple[FloatArray, dict[str, FloatArray], IntArray]:
    """Live, candidates with these true relative effects, and the groups; as `Study` draws them."""
    rng = np.random.default_rng(seed)
    study = Study(groups=groups)
    live, _, numbers = study.draw(rng)
    made = {
        f"v{place}": live + 0.6 * effect + study.spread * clustered(rng, numbers, study.icc)
        for place, effect in enumerate(effects, start=2)
    }
    return live, made, numbers


def test_choosing_and_judging_on_the_same_queries_is_optimistic_and_folds_are_not() -> None:
    """300 times the best of five candidates that are just as good as live."""
    found = []
    for seed in range(300):
        live, made, groups = drawn([0.0] * 5, seed)
        choice = best_of(live, made, groups, SETTINGS)
        assert choice is not None
        found.append((choice.apparent, choice.crossed))
    apparent, crossed = np.array(found).T
    error = crossed.std() / np.sqrt(len(crossed))
    assert apparent.mean() > 0.03  # a gain of 3 % and more, out of nothing
    assert abs(crossed.mean()) < 3.3 * error + 0.002  # the 99.9 % bound around the truth, zero


def test_folds_do_not_take_a_real_gain_away() -> None:
    """One of three is 10 % better: on the queries that did not choose it, too."""
    crossed = []
    for seed in range(100):
        live, made, groups = drawn([0.0, 0.1, 0.0], seed, groups=100)
        choice = best_of(live, made, groups, SETTINGS)
        assert choice is not None
        crossed.append(choice.crossed)
    assert np.mean(crossed) == pytest.approx(0.10, abs=0.015)


def judged_set(queries: int) -> Judgements:
    asked = tuple(Query(f"q{i}", f"query {i}", f"g{i}") for i in range(queries))
    return Judgements(asked, {query.id: {"d": 1} for query in asked})


def family(scores: dict[str, list[float]], gate: GateSettings) -> dict[str, Comparison]:
    live = scores.pop("live")
    made = []
    for name, values in scores.items():
        one = made_comparison(live, values)
        alone = judge_by(gate, one.judged)
        side = replace(one.candidate, version=name)
        made.append(replace(one, candidate=side, verdict=alone.verdict, reason=alone.reason))
    found, _ = as_family(made, judged_set(len(live)), SETTINGS, gate)
    return {one.candidate.version: one for one in found}


def planted() -> dict[str, list[float]]:
    """Three candidates that win in different folds, by far in their own: none wins elsewhere."""
    fold_of = grouped_folds(np.arange(100), SETTINGS.folds, SETTINGS.seed)
    rng = np.random.default_rng(5)
    made = {"live": [float(value) for value in rng.random(100) < 0.5]}
    for name, fold in (("v2", 0), ("v3", 1), ("v4", 2)):
        gain = np.where(fold_of == fold, 0.9, 0.06)
        made[name] = [min(1.0, value + add) for value, add in zip(made["live"], gain, strict=True)]
    return made


def test_a_gain_that_is_only_where_it_was_chosen_does_not_pass() -> None:
    """Of each candidate the gain sits in one fold; the gate asks for more than the rest give."""
    alone = planted()
    single = family({"live": alone["live"], "v2": alone["v2"]}, GateSettings(min_effect=0.2))
    together = family(planted(), GateSettings(min_effect=0.2))
    (best,) = [one for one in together.values() if one.family and one.family.choice]
    assert best.family is not None
    assert best.family.choice is not None
    assert best.family.choice.apparent > 0.2 > best.family.choice.crossed
    assert single["v2"].verdict == "pass"
    assert best.verdict == "inconclusive"
    assert "queries that did not choose it" in best.reason
    assert figures(best)["family.crossed"].value == best.family.choice.crossed
    assert Comparison.from_dict(best.as_dict()).family == best.family


def test_a_large_set_is_not_split() -> None:
    rng = np.random.default_rng(0)
    live = rng.random(400)
    groups = np.arange(400)
    d = paired_difference(live, live + 0.1, groups, resamples=100)
    assert stability_of("recall@10", live, live + 0.1, groups, d, SETTINGS) is None
    assert best_of(live, {"a": live, "b": live}, groups, SETTINGS) is None
    off = EvaluationSettings(folds_below=0)
    assert stability_of("recall@10", live[:50], live[:50], groups[:50], d, off) is None


def test_stability_says_who_wins_in_how_many_folds() -> None:
    live = np.full(100, 0.5)
    fold_of = grouped_folds(np.arange(100), 5, SETTINGS.seed)
    candidate = live + np.array([0.1, 0.1, 0.1, 0.0, -0.1])[fold_of]
    d = paired_difference(live, candidate, np.arange(100), resamples=200)
    found = stability_of("recall@10", live, candidate, np.arange(100), d, SETTINGS)
    assert found is not None
    assert (found.won, found.tied, found.lost) == (3, 1, 1)
    assert found.mean == pytest.approx(0.08)
    assert found.spread == pytest.approx(np.std([0.2, 0.2, 0.2, 0, -0.2], ddof=1))
    assert sum(row.queries for row in found.folds) == 100


def test_chance_spreads_folds_as_expected() -> None:
    """Where all folds are alike, their spread is what the bootstrap's error says it would be."""
    ratios = []
    for seed in range(60):
        live, candidate, groups = Study(groups=100).draw(np.random.default_rng(seed))
        d = paired_difference(live, candidate, groups, resamples=300)
        found = stability_of("recall@10", live, candidate, groups, d, SETTINGS)
        assert found is not None
        ratios.append(found.spread**2 / found.expected**2)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.25)


def test_a_dev_query_that_is_judged_chooses_nothing() -> None:
    dev = Judgements((Query("a", "Same  words"), Query("b", "other")), {"a": {"d": 1}, "b": {}})
    test = Judgements((Query("x", "same words"),), {"x": {"d": 1}})
    kept = without(dev, test)
    assert kept is not None
    assert [query.id for query in kept.queries] == ["b"]
    assert list(kept.qrels) == ["b"]
    assert without(Judgements(dev.queries[:1], dev.qrels), test) is None
    assert without(dev, None) is dev
