"""The early look: what it may err by, what it chooses."""

from __future__ import annotations

import numpy as np
import pytest

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.early import (
    LengthStrata,
    choose_queries,
    hard_distractors,
    judge_early,
    relevant_of,
)
from reindex.evaluation.subset import exact_scores
from reindex.measures import LABELS, Measure
from reindex.records import Document, Judgements, Query

GROUPS, PER_GROUP = 60, 4
STUDIES = 400
STATED = 0.01
"""Of looks at a candidate that is as good as live, those that stop it."""
BOUND = 11
"""The 99.9 % quantile of the binomial (400, 0.01): more is no accident."""


def clustered(rng: np.random.Generator, gain: float, icc: float) -> tuple[np.ndarray, np.ndarray]:
    """Hits of live and candidate, whose true means differ by ``gain``; queries of a group share
    their luck with intra-class correlation ``icc``, on each side.
    """

    def hits(mean: float) -> np.ndarray:
        shared = rng.random((GROUPS, 1)) < mean
        own = rng.random((GROUPS, PER_GROUP)) < mean
        together = rng.random((GROUPS, PER_GROUP)) < np.sqrt(icc)
        return np.where(together, shared, own).astype(float).ravel()

    return hits(0.6), hits(0.6 + gain)


def stops(
    gain: float, icc: float, seed: int, *, mode: str = "superiority", studies: int = STUDIES
) -> int:
    """In how many of the studies the candidate is stopped."""
    rng = np.random.default_rng(seed)
    queries = tuple(
        Query(f"q{i}", f"query {i}", f"g{i // PER_GROUP}") for i in range(GROUPS * PER_GROUP)
    )
    judged = Judgements(queries, {query.id: {query.id: 1} for query in queries})
    settings = EvaluationSettings(resamples=400)
    gate = GateSettings(mode=mode, margin=0.05)
    stopped = 0
    for _ in range(studies):
        live, candidate = (
            dict(zip((query.id for query in queries), side.tolist(), strict=True))
            for side in clustered(rng, gain, icc)
        )
        look = judge_early("recall@10", judged, live, candidate, 100, settings, gate)
        stopped += look.worse
    return stopped


@pytest.mark.parametrize("icc", [0.5, 0.8])
def test_a_candidate_as_good_as_live_is_stopped_as_rarely_as_stated(icc: float) -> None:
    assert stops(0.0, icc, seed=5) <= BOUND


def test_a_truly_better_candidate_is_stopped_hardly_ever() -> None:
    assert stops(0.05, 0.5, seed=6) <= 2


def test_a_much_worse_candidate_is_stopped() -> None:
    assert stops(-0.3, 0.5, seed=7, studies=100) > 90


def test_non_inferiority_allows_its_margin() -> None:
    modes = "superiority", "non-inferiority"
    worse = [stops(-0.2, 0.5, seed=8, mode=mode, studies=100) for mode in modes]
    assert worse[0] > worse[1]


# -- the bound that a subset gives


@pytest.mark.parametrize("metric", LABELS)
def test_fewer_documents_never_lower_a_candidates_score(metric: str) -> None:
    """Of any subset that holds the relevant documents, for every metric and query."""
    rng = np.random.default_rng(4)
    documents = rng.normal(size=(300, 16)).astype(np.float32)
    queries = rng.normal(size=(40, 16)).astype(np.float32)
    ids = [str(number) for number in range(300)]
    qrels = {
        f"q{i}": {
            str(d): int(grade)
            for d, grade in zip(rng.choice(300, 6), [0, 1, 1, 2, 3, 0], strict=True)
        }
        for i in range(40)
    }
    judged = Judgements(tuple(Query(f"q{i}", "") for i in range(40)), qrels)
    measure = Measure(metric, 10)
    whole = exact_scores(judged, queries, ids, documents, [measure])[str(measure)]
    relevant = {int(id) for id in relevant_of(judged)}
    for share in (0.0, 0.3, 0.8):
        rows = [row for row in range(300) if row in relevant or rng.random() < share]
        part = exact_scores(
            judged, queries, [ids[row] for row in rows], documents[rows], [measure]
        )[str(measure)]
        assert all(part[query] >= whole[query] - 1e-12 for query in whole)


# -- what is chosen


def test_every_query_gets_its_first_distractor_before_any_gets_a_second() -> None:
    live = {"a": ["r", "1", "2"], "b": ["3", "4", "5"]}
    words = {"a": ["6", "1"], "b": []}
    assert hard_distractors([live, words], {"r"}, 2) == {"3", "6"}
    assert hard_distractors([live, words], {"r"}, 4) == {"3", "6", "1", "4"}
    assert hard_distractors([live, words], {"r"}, 99) == {"1", "2", "3", "4", "5", "6"}


def test_queries_are_chosen_while_their_answers_fit() -> None:
    queries = tuple(Query(f"q{i}", "") for i in range(20))
    judged = Judgements(queries, {f"q{i}": {f"d{i}": 1, f"e{i}": 2, "no": 0} for i in range(20)})
    rng = np.random.default_rng(1)
    chosen = choose_queries(judged, 10, rng)
    assert len(chosen.queries) == 5
    assert len(relevant_of(chosen)) == 10
    assert len(choose_queries(judged, 1, rng).queries) == 1


def test_the_sample_has_every_length_in_proportion() -> None:
    strata = LengthStrata(100, np.random.default_rng(2))
    for number in range(10_000):
        length = 30 if number % 10 else 3000
        strata.see(Document(number, "x" * length, {}))
    strata.see(Document("alone", "x" * 100_000, {}))
    sample = strata.sample()
    lengths = [len(document.text) for document in sample]
    assert (lengths.count(30), lengths.count(3000), lengths.count(100_000)) == (89, 9, 1)
    numbers = [document.id for document in sample if len(document.text) == 30]
    assert np.mean([int(number) for number in numbers]) == pytest.approx(5000, abs=1000)
