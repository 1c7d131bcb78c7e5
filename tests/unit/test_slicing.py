"""Which queries belong to which slice, and intervals that hold for all slices at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reindex.config.slicing import SliceSettings
from reindex.evaluation.simultaneous import simultaneous_bounds
from reindex.evaluation.slicing import slice_queries
from reindex.records import Judgements, Query


def sliced(
    rows: list[dict[str, Any]], qrels: dict[str, dict[str, int]] | None = None,
    payloads: dict[str, dict[str, Any]] | None = None, **settings: Any,
) -> dict[str, list[int]]:  # fmt: skip
    queries = tuple(
        Query(f"q{at}", row.pop("text", "a b"), None, row) for at, row in enumerate(rows)
    )
    given = SliceSettings(**{"query_fields": (), "head_tail": False, **settings})
    found = slice_queries(Judgements(queries, qrels or {}), payloads or {}, given)
    return {f"{field}={value}": positions for (field, value), positions in found.items()}


def test_by_a_field_of_the_queries_lists_and_gaps_included() -> None:
    rows: list[dict[str, Any]] = [
        {"language": "de"},
        {"language": ["de", "fr"]},
        {},
        {"language": True},
    ]
    assert sliced(rows, query_fields=["language"]) == {
        "language=de": [0, 1], "language=fr": [1], "language=(none)": [2], "language=true": [3],
    }  # fmt: skip


def test_numbers_with_many_values_are_cut_into_bands_and_few_are_not() -> None:
    many = sliced([{"count": number} for number in range(12)], query_fields=["count"])
    assert many == {"count=0-3": [0, 1, 2, 3], "count=4-7": [4, 5, 6, 7], "count=8-11": [8, 9, 10, 11]}  # noqa: E501  # fmt: skip
    few = sliced([{"stars": number % 2} for number in range(4)], query_fields=["stars"])
    assert few == {"stars=0": [0, 2], "stars=1": [1, 3]}


def test_by_length_in_words() -> None:
    rows = [{"text": "w " * (1 + number)} for number in range(8)]
    found = sliced(rows, query_fields=["len(text)"], bands=2)
    assert found == {"len(text)=1-4": [0, 1, 2, 3], "len(text)=5-8": [4, 5, 6, 7]}


def test_by_fields_of_the_relevant_documents() -> None:
    payloads = {"a": {"meta": {"source": "wiki"}}, "b": {"meta": {"source": "blog"}}, "c": {}}
    qrels = {"q0": {"a": 1, "b": 2}, "q1": {"b": 1, "a": 0}, "q2": {"c": 1}}
    found = sliced([{}, {}, {}], qrels, payloads, document_fields=["meta.source"])
    name = "document.meta.source"
    assert found == {f"{name}=wiki": [0], f"{name}=blog": [0, 1], f"{name}=(none)": [2]}


def test_head_and_tail_by_how_often_a_document_is_relevant() -> None:
    qrels = {f"q{at}": {"often" if at < 3 else f"once{at}": 1} for at in range(6)}
    found = sliced([{} for _ in qrels], qrels, head_tail=True)
    assert found == {"popularity=head": [0, 1, 2], "popularity=tail": [3, 4, 5]}
    even = {f"q{at}": {f"once{at}": 1} for at in range(6)}
    assert sliced([{} for _ in even], even, head_tail=True) == {}


def test_the_largest_values_of_a_field_count_and_what_all_share_is_no_slice() -> None:
    rows = [{"source": f"s{min(number, 3)}", "kind": "x"} for number in range(6)]
    found = sliced(rows, query_fields=["source", "kind"], max_values=1)
    assert found == {"source=s3": [3, 4, 5]}


def crowd(
    seed: int, *, queries: int = 300, cluster: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Live scores, differences without any true change, thirty overlapping slices, groups."""
    rng = np.random.default_rng(seed)
    count = queries // cluster
    groups = np.repeat(np.arange(count), cluster)
    live = np.repeat((rng.random(count) < 0.7).astype(float), cluster)
    moved = np.where(rng.random(count) < 0.4, rng.choice([-1.0, 1.0], count), 0.0)
    shares = 1 / np.arange(1, 11)
    fields = [rng.choice(10, size=queries, p=shares / shares.sum()) for _ in range(3)]
    members = np.array([field == value for field in fields for value in range(10)])
    large = [len(np.unique(groups[member])) >= 10 for member in members]
    return live, np.repeat(moved, cluster), members[large], groups


def alarms(studies: int) -> int:
    """Comparisons without a difference in which any slice seems to lose."""
    found = 0
    for seed in range(studies):
        bounds = simultaneous_bounds(*crowd(seed), resamples=400, seed=seed)
        found += bool((bounds.high < 0).any())
    return found


def test_thirty_slices_without_a_difference_raise_no_alarm() -> None:
    assert alarms(60) <= 6  # 2.5 % and its 99.9 % binomial bound


@pytest.mark.slow
def test_the_error_rate_of_all_slices_together_is_the_stated_one() -> None:
    assert alarms(1000) <= 42  # 2.5 % and its 99.9 % binomial bound


def test_one_by_one_they_would_raise_alarms() -> None:
    """The correction is needed: without it a third of all comparisons has a slice that loses."""
    found = 0
    for seed in range(60):
        live, change, members, groups = crowd(seed)
        found += any(
            (simultaneous_bounds(live, change, member[None], groups, resamples=200).high < 0).any()
            for member in members
        )
    assert found > 6


def test_a_slice_that_loses_is_seen_among_thirty_that_do_not() -> None:
    seen = 0
    for seed in range(20):
        live, change, members, groups = crowd(seed)
        hit = members[1]
        change[hit] = np.where(np.random.default_rng(seed).random(hit.sum()) < 0.5, -1.0, 0.0)
        bounds = simultaneous_bounds(live, change, members, groups, resamples=400)
        seen += bool(bounds.high[1] < -0.02)
    assert seen == 20


def test_few_queries_that_agree_are_not_certain() -> None:
    bounds = simultaneous_bounds(
        np.ones(3), -np.ones(3), np.ones((1, 3), bool), np.arange(3), resamples=400
    )
    assert bounds.relative[0] == -1
    assert bounds.high[0] > -0.02
