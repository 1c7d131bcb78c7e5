"""What unjudged results could do: against every way that they could have been judged."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.bounds import bounds_of
from reindex.evaluation.metrics import per_query
from reindex.evaluation.results_bounds import Bounds
from reindex.evaluation.retrieval import Runs
from reindex.evaluation.statistics import Judged
from reindex.evaluation.verdicts import could_turn
from reindex.measures import Measure
from reindex.records import Judgements, Query

K = 3
DOCUMENTS = "abcdefg"
ranking = st.permutations(DOCUMENTS).map(lambda order: list(order[:K]))
judgement = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 2), min_size=1).filter(
    lambda judged: any(judged.values())
)
SUPERIOR = GateSettings(min_effect=0.05)


def bounds(
    live: dict[str, list[str]], candidate: dict[str, list[str]], qrels: dict[str, dict[str, int]],
    metric: str = "recall", gate: GateSettings = SUPERIOR, **changed: Any,
) -> Bounds | None:  # fmt: skip
    judged = Judgements(tuple(Query(query, query) for query in qrels), qrels)
    runs = [Runs(K, run, {}, {}, {}, {}) for run in (live, candidate)]
    return bounds_of(
        runs[0], runs[1], judged, np.arange(len(qrels)), Measure(metric, K),
        EvaluationSettings(**{"resamples": 100, **changed}), gate,
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["recall", "precision", "f1", "hit_rate", "ndcg", "mrr", "map"])
@settings(max_examples=40, deadline=None)
@given(live=ranking, candidate=ranking, judged=judgement)
def test_no_way_of_judging_what_was_found_goes_past_the_bounds(
    metric: str, live: list[str], candidate: list[str], judged: dict[str, int]
) -> None:
    """Exact where order does not count; where it does, a combination may go a little further."""
    unknown = sorted(set(live + candidate) - judged.keys())
    found = bounds({"q": live}, {"q": candidate}, {"q": judged}, metric)
    assume(found is not None)
    assert found is not None
    best = max(judged.values())
    measure = Measure(metric, K)
    changes = []
    for grades in product((0, best), repeat=len(unknown)):
        qrels = {"q": {**judged, **dict(zip(unknown, grades, strict=True))}}
        scores = [
            per_query({"q": run}, qrels, [measure])[str(measure)]["q"] for run in (live, candidate)
        ]
        changes.append(scores[1] - scores[0])
    slack = 0.2 if metric in ("ndcg", "mrr", "map") else 1e-9
    assert found.against.difference <= min(changes) + slack
    assert found.in_favour.difference >= max(changes) - slack
    if slack < 0.01:
        assert found.against.difference == pytest.approx(min(changes), abs=slack)
        assert found.in_favour.difference == pytest.approx(max(changes), abs=slack)


def world(
    better: int, worse: int, same: int, unknown: tuple[str, str] = ("x", "y")
) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, dict[str, int]]]:
    """Queries that one side answers; each side finds a document that nobody judged, too."""
    sides = [("n", "r")] * better + [("r", "n")] * worse + [("r", "r")] * same
    live = {f"q{i}": [ours, unknown[0]] for i, (ours, _) in enumerate(sides)}
    candidate = {f"q{i}": [theirs, unknown[1]] for i, (_, theirs) in enumerate(sides)}
    return live, candidate, {query: {"r": 1, "n": 0} for query in live}


def test_all_judged_leaves_nothing_to_bound() -> None:
    assert bounds(*world(40, 0, 40, ("n", "n"))) is None


def test_what_both_sides_found_is_nobodys_advantage() -> None:
    assert bounds(*world(40, 0, 40, ("x", "x"))) is None


def test_a_pass_that_they_could_reverse_is_inconclusive() -> None:
    found = bounds(*world(40, 0, 40), unjudged="bound")
    assert found is not None
    assert (found.live_only, found.candidate_only) == (80, 80)
    assert found.against.relative < 0 < found.in_favour.relative
    judged = could_turn(Judged("pass", "Better: +99 %."), found, SUPERIOR)
    assert judged.verdict == "inconclusive"
    assert "Unjudged results could reverse this: Better: +99 %." in judged.reason
    assert "speak for live" in judged.reason
    counted = bounds(*world(40, 0, 40), unjudged="count")
    assert could_turn(Judged("pass", "Better."), counted, SUPERIOR) == Judged("pass", "Better.")


def test_a_fail_that_they_could_reverse_is_inconclusive_and_a_pass_stands() -> None:
    """Judgements collected from live: the candidate alone has unjudged results."""
    found = bounds(*world(0, 40, 40, ("n", "y")), unjudged="bound")
    assert found is not None
    assert (found.live_only, found.candidate_only) == (0, 80)
    assert could_turn(Judged("fail", "Worse."), found, SUPERIOR).verdict == "inconclusive"
    better = bounds(*world(40, 0, 40, ("n", "y")), unjudged="bound")
    assert could_turn(Judged("pass", "Better."), better, SUPERIOR).verdict == "pass"


def test_the_turning_share_turns_the_verdict_and_less_does_not() -> None:
    """Each relevant result of live's takes half a query's recall back from the candidate."""
    live, candidate, qrels = world(60, 0, 240)
    found = bounds(live, candidate, qrels, resamples=500)
    assert found is not None
    assert found.turning is not None
    assert 0.02 < found.turning < 0.6
    few = bounds(*world(60, 0, 240, ("n", "y")), resamples=500)
    assert few is not None
    assert few.turning is None


def test_auto_bounds_where_judgements_say_what_is_not_relevant() -> None:
    """Found by live: relevant or not. Where nobody says no, silence is no evidence."""
    dense, sparse = world(40, 0, 40, ("n", "y")), world(40, 0, 40)
    positives = {query: {"r": 1} for query in sparse[2]}
    rules = [
        found.rule
        for found in (bounds(*dense), bounds(*sparse[:2], positives))
        if found is not None
    ]
    assert rules == ["bound", "count"]


def test_condensed_lists_are_of_what_was_judged() -> None:
    live = {"q": ["x", "n", "r"]}
    found = bounds(live, {"q": ["y", "r", "n"]}, {"q": {"r": 1, "n": 0}})
    assert found is not None
    assert found.condensed is not None
    assert found.condensed == pytest.approx((1 / np.log2(3), 1.0))
    silent = bounds(live, {"q": ["y", "r", "n"]}, {"q": {"r": 1}})
    assert silent is not None
    assert silent.condensed is None
