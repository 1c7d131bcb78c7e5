"""The metrics against trec_eval, scikit-learn and their definitions, written out by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reindex.errors import ComparisonError
from reindex.evaluation.metrics import answerable, macro, per_query
from reindex.measures import LABELS, Measure, label, parse_measure, parse_measures

CUT_OFFS = (1, 3, 10)
EVERY = tuple(Measure(metric, k) for metric in LABELS for k in CUT_OFFS)
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
    precisions = [number / rank for number, rank in enumerate(ranks, 1)]
    return {
        "recall": len(ranks) / len(relevant),
        "ndcg": gain / best,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum(precisions) / len(relevant),
        "precision": len(ranks) / k,
        "f1": 2 * len(ranks) / (k + len(relevant)),
        "hit_rate": float(bool(ranks)),
    }


def at(k: int) -> list[Measure]:
    return [Measure(metric, k) for metric in LABELS]


@settings(max_examples=100, deadline=None)
@given(run=runs, qrels=judgements, order=st.permutations(EVERY))
def test_agree_with_their_definitions(
    run: dict[str, list[str]], qrels: dict[str, dict[str, int]], order: list[Measure]
) -> None:
    """All at once, at several cut-offs, asked for in any order."""
    got = per_query(run, qrels, order)

    assert list(got) == [str(measure) for measure in order]
    for measure in EVERY:
        assert set(got[str(measure)]) == set(answerable(qrels))
    for query, judged in answerable(qrels).items():
        for k in CUT_OFFS:
            expected = by_hand(run.get(query, []), judged, k)
            for metric, value in expected.items():
                one = got[f"{metric}@{k}"][query]
                assert one == pytest.approx(value, abs=1e-9), f"{metric}@{k}"


TREC = {
    "recall": "recall", "ndcg": "ndcg_cut", "map": "map_cut", "precision": "P",
    "hit_rate": "success",
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(run=runs, qrels=judgements)
def test_agree_with_trec_eval(run: dict[str, list[str]], qrels: dict[str, dict[str, int]]) -> None:
    """Asked directly, without ir_measures between: the whole run, cut by trec_eval itself."""
    trec_eval = pytest.importorskip("pytrec_eval", reason="trec_eval is the oracle")
    judged = answerable(qrels)
    ranked = {
        query: {document: -float(rank) for rank, document in enumerate(dict.fromkeys(found))}
        for query, found in run.items()
    }
    cuts = ",".join(map(str, CUT_OFFS))
    wanted = {f"{name}.{cuts}" for name in TREC.values()}
    expected = trec_eval.RelevanceEvaluator(judged, wanted).evaluate(ranked)

    got = per_query(run, qrels, [one for one in EVERY if one.metric in TREC])

    for query in judged:
        for name, values in got.items():
            metric, k = name.split("@")
            one = expected.get(query, {}).get(f"{TREC[metric]}_{k}", 0.0)
            assert values[query] == pytest.approx(one, abs=1e-6), name


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(DOCUMENTS), judged=graded, k=st.integers(1, 12))
def test_sets_agree_with_scikit_learn(order: list[str], judged: dict[str, int], k: int) -> None:
    """Precision, recall and F1 of "is among the first k" as a classifier of relevance."""
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    if not any(judged.values()):
        judged = {**judged, DOCUMENTS[0]: 1}
    truth = [judged.get(document, 0) >= 1 for document in DOCUMENTS]
    top = [document in order[:k] for document in DOCUMENTS]
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        truth, top, average="binary", zero_division=0
    )

    got = per_query({"q": order}, {"q": judged}, parse_measures(("precision", "recall", "f1"), k))

    for metric, value in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert got[f"{metric}@{k}"]["q"] == pytest.approx(float(value), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(DOCUMENTS), judged=graded, k=st.integers(1, 12))
def test_ndcg_agrees_with_scikit_learn(order: list[str], judged: dict[str, int], k: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    if not any(judged.values()):
        judged = {**judged, DOCUMENTS[0]: 1}
    truth = np.array([[judged.get(document, 0) for document in DOCUMENTS]])
    score = np.array([[-order.index(document) for document in DOCUMENTS]], dtype=float)

    expected = sklearn_metrics.ndcg_score(truth, score, k=k)

    got = per_query({"q": order}, {"q": judged}, [Measure("ndcg", k)])[f"ndcg@{k}"]["q"]
    assert got == pytest.approx(expected, abs=1e-9)


def test_ranks_decide_not_document_ids() -> None:
    """trec_eval would break equal scores by id, descending: both orders must keep their rank."""
    qrels = {"up": {"z": 1}, "down": {"a": 1}}
    got = per_query({"up": ["a", "z"], "down": ["a", "z"]}, qrels, [Measure("recall", 1)])
    assert got["recall@1"] == {"up": 0.0, "down": 1.0}


def test_a_duplicate_neither_counts_twice_nor_takes_a_rank() -> None:
    got = per_query({"q": ["a", "a", "a", "b"]}, {"q": {"a": 1, "b": 1}}, at(2))
    assert got["recall@2"]["q"] == 1.0
    assert got["ndcg@2"]["q"] == pytest.approx(1.0)


def test_a_judged_query_without_results_scores_zero_and_stays() -> None:
    got = per_query(
        {"hit": ["a"], "empty": []}, {q: {"a": 1} for q in ("hit", "empty", "gone")}, at(5)
    )
    for metric in set(LABELS) - {"precision", "f1"}:
        assert got[f"{metric}@5"] == {"hit": pytest.approx(1.0), "empty": 0.0, "gone": 0.0}
        assert macro(got[f"{metric}@5"]) == pytest.approx(1 / 3)
    assert got["precision@5"] == {"hit": pytest.approx(0.2), "empty": 0.0, "gone": 0.0}
    assert got["f1@5"] == {"hit": pytest.approx(1 / 3), "empty": 0.0, "gone": 0.0}


def test_graded_relevance_counts_in_ndcg_alone() -> None:
    qrels = {"q": {"best": 3, "good": 1, "spam": -2}}
    better = per_query({"q": ["best", "good", "spam"]}, qrels, at(3))
    worse = per_query({"q": ["good", "best", "spam"]}, qrels, at(3))
    assert better["ndcg@3"]["q"] == pytest.approx(1.0)
    assert worse["ndcg@3"]["q"] < 0.9
    assert better["recall@3"]["q"] == worse["recall@3"]["q"] == 1.0


@pytest.mark.parametrize(("qrels", "k"), [({}, 10), ({"q": {"a": 0}}, 10), ({"q": {"a": 1}}, 0)])
def test_nothing_to_score_is_an_error(qrels: dict[str, dict[str, int]], k: int) -> None:
    with pytest.raises(ComparisonError, match="relevant document"):
        per_query({"q": ["a"]}, qrels, at(k))


# -- their names


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("recall", "recall@7", "recall@7"),
        ("nDCG@10", "ndcg@10", "nDCG@10"),
        (" MRR@1 ", "mrr@1", "MRR@1"),
        ("hit-rate@5", "hit_rate@5", "hit rate@5"),
    ],
)
def test_names_are_read_as_people_write_them(text: str, name: str, shown: str) -> None:
    measure = parse_measure(text, 7)
    assert (str(measure), measure.label, label(name)) == (name, shown, shown)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ndgc@10", "Did you mean 'ndcg@10'"),
        ("accuracy", "there are recall, ndcg"),
        ("recall@", "'name@k'"),
        ("recall@0", "'name@k'"),
        ("recall@-3", "'name@k'"),
        ("recall@ten", "'name@k'"),
    ],
)
def test_a_mistyped_name_says_what_there_is(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_measure(text, 10)


def test_each_measure_comes_once_in_its_order() -> None:
    found = parse_measures(("mrr", "recall@10", "MRR@10", "recall"), 10)
    assert [str(measure) for measure in found] == ["mrr@10", "recall@10"]
