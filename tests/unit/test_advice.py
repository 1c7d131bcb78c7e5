"""Advice: what follows from figures, the learning curve, fusion, recall among all documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reindex.advice.curve import TRUSTED_REACH, estimate
from reindex.advice.evidence import Bench, Run, dense_run, fused_run, recall_among_all
from reindex.advice.findings import Course, Estimate, Finds, Interval, Judged, Pilot
from reindex.advice.rules import Evidence, advise_on
from reindex.config.advice import AdviceSettings
from reindex.records import Query

DICE = np.random.default_rng(5)


def exact(value: float) -> Interval:
    return Interval(value, value - 0.01, value + 0.01)


def finds(recall: float, role: str = "base", gain: Interval | None = None) -> Finds:
    return Finds(role, role, exact(recall), exact(recall), gain)


def judged(among_all: float | None = None) -> Judged:
    return Judged("dev", 300, 300, 200, 1000, 1000, 10, "set", 1, among_all)


def pilot(low: float, value: float, high: float) -> Pilot:
    guess = Estimate("ndcg@10", 4000, 0.8, 0.7, 0.9, value, low, high, 2.0)
    return Pilot((), (guess,), 1.0, ())


def course(evidence: Evidence) -> Course:
    made = advise_on(evidence, AdviceSettings())
    assert made.because
    assert made.next
    return made.course


def seen(recall: float, pairs: int | None = 5000, **more: object) -> Evidence:
    return replace(Evidence((finds(recall),), judged(), pairs, None, None), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence((), None, 5000, None, None), "judge"),
        (seen(0.9), "stay"),
        (seen(0.9, pairs=100), "stay"),
        (seen(0.9, pairs=None), "stay"),
        (seen(0.9, pairs=100, pilot=pilot(-0.02, 0.05, 0.1)), "synthesise"),
        (seen(0.7), "fine-tune"),
        (seen(0.8), "fine-tune"),
        (seen(0.7, pairs=100), "synthesise"),
        (seen(0.8, pairs=None), "synthesise"),
        (seen(0.9, pilot=pilot(0.1, 0.2, 0.3)), "fine-tune"),
        (seen(0.7, pilot=pilot(-0.02, 0.0, 0.01)), "stay"),
        (seen(0.8, pilot=pilot(-0.02, 0.05, 0.1)), "fine-tune"),
        (seen(0.7, pairs=100, pilot=pilot(0.1, 0.2, 0.3)), "fine-tune"),
        (seen(0.95, judged=judged(among_all=0.7)), "fine-tune"),
    ],
)
def test_what_follows_from_what_was_measured(evidence: Evidence, expected: Course) -> None:
    assert course(evidence) == expected


def test_a_better_pipeline_comes_first_unless_training_gains_more() -> None:
    hybrid = finds(0.9, "hybrid", Interval(0.08, 0.05, 0.11))
    evidence = seen(0.8, finds=(finds(0.8), hybrid))
    assert course(evidence) == "pipeline"
    assert course(replace(evidence, pilot=pilot(0.15, 0.2, 0.25))) == "fine-tune"
    assert course(replace(evidence, pilot=pilot(0.03, 0.05, 0.07))) == "pipeline"
    shaky = replace(hybrid, gain=Interval(0.08, -0.01, 0.2))
    assert course(seen(0.8, finds=(finds(0.8), shaky))) == "fine-tune"


def test_what_training_gains_is_told_against_what_serves() -> None:
    """The pilot's +25 % over the base end below a live model that is 27 % above it."""
    live, hybrid = finds(0.76, "live"), finds(0.8, "hybrid", Interval(0.053, 0.03, 0.08))
    base = finds(0.6, "base", Interval(0.6 / 0.76 - 1, -0.25, -0.17))
    found = seen(0.76, finds=(live, base, hybrid), pilot=pilot(0.2, 0.25, 0.3))
    made = advise_on(found, AdviceSettings())
    assert made.course == "pipeline"
    told = next(rule for rule in made.rules if "pairs against live" in rule.name)
    assert told.votes is None
    assert "-1.3%" in told.measured
    assert course(replace(found, pilot=pilot(0.4, 0.5, 0.6))) == "fine-tune"


def test_the_next_step_is_one_that_was_shown_to_gain() -> None:
    hybrid = finds(0.84, "hybrid", Interval(0.04, 0.02, 0.06))
    other = Finds("big/model", "other", exact(0.86), exact(0.86), Interval(0.08, -0.01, 0.2))
    made = advise_on(seen(0.8, finds=(finds(0.8), hybrid, other)), AdviceSettings())
    assert made.course == "pipeline"
    assert made.next[0].startswith("hybrid")
    trained = seen(0.8, finds=(finds(0.8), hybrid, other), pilot=pilot(0.05, 0.06, 0.07))
    assert course(trained) == "fine-tune"  # more than what was shown, if less than what was not


def test_the_lines_of_the_rules_are_the_settings() -> None:
    made = advise_on(seen(0.9), AdviceSettings(enough_recall=0.95, low_recall=0.92))
    assert made.course == "fine-tune"
    assert all(rule.source for rule in made.rules)


def curve_scores(sizes: tuple[int, ...], at: dict[int, float]) -> dict[int, np.ndarray]:
    return {size: np.clip(at[size] + 0.05 * DICE.standard_normal(400), 0, 1) for size in sizes}


def test_a_power_law_is_extended_and_its_lower_end_is_no_more_gain() -> None:
    law = {size: 1 - 2.0 * size**-0.3 for size in (256, 512, 1024, 4096)}
    scores = curve_scores((256, 512, 1024), law) | {0: np.full(400, 0.5)}
    found = estimate("ndcg@10", scores, np.arange(400), 4096, seed=1)
    assert found is not None
    assert found.value == pytest.approx(law[4096], abs=0.02)
    assert found.low < law[1024] + 0.01 < found.value < found.high
    assert found.gain == pytest.approx(found.value / 0.5 - 1)
    assert found.reach == 4.0


def test_a_curve_is_not_extended_far_and_not_made_of_one_slice() -> None:
    law = {256: 0.6, 512: 0.7, 1024: 0.78}
    scores = curve_scores((256, 512, 1024), law) | {0: np.full(400, 0.5)}
    far = estimate("ndcg@10", scores, np.arange(400), 10**6, seed=1)
    assert far is not None
    assert far.pairs == 1024 * TRUSTED_REACH
    one = {0: scores[0], 256: scores[256]}
    assert estimate("ndcg@10", one, np.arange(400), 4096, seed=1) is None


def test_a_curve_without_a_gain_promises_none() -> None:
    scores = {0: np.full(400, 0.5)} | {n: np.full(400, 0.5) for n in (64, 128, 256)}
    found = estimate("ndcg@10", scores, np.arange(400), 1024, seed=1)
    assert found is not None
    assert (found.gain_low, found.gain, found.gain_high) == pytest.approx((0, 0, 0))


def test_fusion_prefers_what_both_rankings_found() -> None:
    fused = fused_run({"q": ["a", "b", "c"]}, {"q": ["d", "b", "e"]})
    assert fused["q"][0] == "b"
    assert set(fused["q"]) == set("abcde")
    assert fused_run({"q": ["a"]}, {})["q"] == ["a"]


def test_recall_among_all_documents_is_told_from_a_sample() -> None:
    """Random vectors, where the truth can be had: 4,000 documents, of which 1,000 are looked at."""
    dice = np.random.default_rng(3)
    documents = dice.standard_normal((4000, 16)).astype(np.float32)
    queries = documents[:200] + 1.1 * dice.standard_normal((200, 16)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    ids, names = [f"d{i}" for i in range(4000)], [f"q{i}" for i in range(200)]
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(200)}

    def bench(count: int) -> tuple[Bench, Run]:
        made = Bench(
            tuple(Query(name, name) for name in names), qrels, np.arange(200),
            {name: name for name in ids[:count]}, 10, 1,
        )  # fmt: skip
        return made, dense_run(queries, documents[:count], ids[:count], names)

    everything, among_all = bench(4000)
    truth = everything.scores(among_all)[0].mean()
    sampled, run = bench(1000)
    naive = sampled.scores(run)[0].mean()
    told = recall_among_all(sampled, run, 4000)
    assert naive - truth > 0.1
    assert abs(told - truth) < (naive - truth) / 3
    assert recall_among_all(everything, among_all, 4000) == truth


def test_a_gain_over_next_to_nothing_has_no_size() -> None:
    assert Interval(0.05, -0.1, 3.0).as_gain() == "+5.0% (-10.0% to +300.0%)"
    assert Interval(0.05, -0.1, 5e9).as_gain() == "+5.0% (-10.0% to more than tenfold)"
