"""The metrics against scikit-learn and against their definitions, written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reindex.errors import ComparisonError
from reindex.evaluation.metrics import METRICS, answerable, macro, per_query

DOCUMENTS = [f"d{number}" for number in range(12)]
graded = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1, max_size=8)
ranking = st.lists(st.sampled_from(DOCUMENTS), max_size=15)  # duplicates happen
judgements = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), graded, min_size=1).filter(
    lambda qrels: bool(answerable(qrels))
)
runs = st.dictionaries(st.sampled_from(["q1", "q2", "q3", "nobody-judged"]), ranking)


def by_hand(documents: list[str], judged: dict[str, int], k: int) -> dict[str, float]:
    top = list(dict.fromkeys(documents))[:k]
    relevant = {document for document, grade in judged.items() if grade >= 1}
    ranks = [rank for rank, document in enumerate(top, start=1) if document in relevant]
    gain = sum(
        judged.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(top, 1)
    )
    ideal = sorted(judged.values(), reverse=True)[:k]
    best = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(ideal, 1))
    return {
        "recall": len(ranks) / len(relevant),
        "ndcg": gain / best,
        "mrr": 1 / ranks[0] if ranks else 0.0,
    }


@settings(max_examples=100, deadline=None)
@given(run=runs, qrels=judgements, k=st.integers(1, 12))
def test_agree_with_their_definitions(
    run: dict[str, list[str]], qrels: dict[str, dict[str, int]], k: int
) -> None:
    got = per_query(run, qrels, k=k)

    assert set(got) == set(METRICS)
    for metric in METRICS:
        assert set(got[metric]) == set(answerable(qrels))
    for query, judged in answerable(qrels).items():
        expected = by_hand(run.get(query, []), judged, k)
        for metric in METRICS:
            assert got[metric][query] == pytest.approx(expected[metric], abs=1e-9), metric


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(DOCUMENTS), judged=graded, k=st.integers(1, 12))
def test_ndcg_agrees_with_scikit_learn(order: list[str], judged: dict[str, int], k: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    if not any(judged.values()):
        judged = {**judged, DOCUMENTS[0]: 1}
    truth = np.array([[judged.get(document, 0) for document in DOCUMENTS]])
    score = np.array([[-order.index(document) for document in DOCUMENTS]], dtype=float)

    expected = sklearn_metrics.ndcg_score(truth, score, k=k)

    got = per_query({"q": order}, {"q": judged}, k=k)["ndcg"]["q"]
    assert got == pytest.approx(expected, abs=1e-9)


def test_ranks_decide_not_document_ids() -> None:
    """trec_eval would break equal scores by id, descending: both orders must keep their rank."""
    qrels = {"up": {"z": 1}, "down": {"a": 1}}
    got = per_query({"up": ["a", "z"], "down": ["a", "z"]}, qrels, k=1)
    assert got["recall"] == {"up": 0.0, "down": 1.0}


def test_a_duplicate_neither_counts_twice_nor_takes_a_rank() -> None:
    got = per_query({"q": ["a", "a", "a", "b"]}, {"q": {"a": 1, "b": 1}}, k=2)
    assert got["recall"]["q"] == 1.0
    assert got["ndcg"]["q"] == pytest.approx(1.0)


def test_a_judged_query_without_results_scores_zero_and_stays() -> None:
    got = per_query(
        {"hit": ["a"], "empty": []}, {q: {"a": 1} for q in ("hit", "empty", "gone")}, k=5
    )
    for metric in METRICS:
        assert got[metric] == {"hit": pytest.approx(1.0), "empty": 0.0, "gone": 0.0}
        assert macro(got[metric]) == pytest.approx(1 / 3)


def test_graded_relevance_counts_in_ndcg_alone() -> None:
    qrels = {"q": {"best": 3, "good": 1, "spam": -2}}
    better = per_query({"q": ["best", "good", "spam"]}, qrels, k=3)
    worse = per_query({"q": ["good", "best", "spam"]}, qrels, k=3)
    assert better["ndcg"]["q"] == pytest.approx(1.0)
    assert worse["ndcg"]["q"] < 0.9
    assert better["recall"]["q"] == worse["recall"]["q"] == 1.0


@pytest.mark.parametrize(("qrels", "k"), [({}, 10), ({"q": {"a": 0}}, 10), ({"q": {"a": 1}}, 0)])
def test_nothing_to_score_is_an_error(qrels: dict[str, dict[str, int]], k: int) -> None:
    with pytest.raises(ComparisonError, match="relevant document"):
        per_query({"q": ["a"]}, qrels, k=k)
