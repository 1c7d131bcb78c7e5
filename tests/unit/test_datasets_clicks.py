"""Logged searches as training pairs."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reindex.config.training_data import ClickSettings, DataSettings
from reindex.datasets.clicks import LoggedSearch, Shown, pairs_of_clicks
from reindex.datasets.graded import Weighted
from reindex.datasets.reading import DataFile, read_data
from reindex.errors import DataError
from reindex.records import TrainingExample
from reindex.registry.interactions import Feedback, Interactions, Search
from tests.corpus_fixtures import Heap
from tests.unit.test_datasets_reading import put

TEXTS = {key: f"text of {key}" for key in "abcdef"}


def search(shown: str, clicked: str = "", query: str = "q", **dwell: float) -> LoggedSearch:
    """A search that showed a document per letter."""
    return LoggedSearch(
        query,
        tuple(
            Shown(key, rank, key in clicked, dwell.get(key)) for rank, key in enumerate(shown, 1)
        ),
    )


def pairs(*searches: LoggedSearch, **settings: Any) -> Weighted:
    return pairs_of_clicks(searches, ClickSettings(**settings), TEXTS)


def texts(found: Weighted) -> list[tuple[str, tuple[str, ...]]]:
    return [(row.positive[-1], tuple(text[-1] for text in row.negatives)) for row in found.rows]


def test_a_pair_takes_clicks_in_several_searches() -> None:
    found = pairs(search("abc", "a"), search("abc", "a"), search("abc", "b"))
    assert texts(found) == [("a", ())]
    assert texts(pairs(search("abc", "a"), search("bca", "b"), min_clicks=1, negatives=0)) == [
        ("a", ()),
        ("b", ()),
    ]


def test_queries_that_differ_in_case_and_space_are_one() -> None:
    found = pairs(search("a", "a", "Two  Words"), search("a", "a", "two words"))
    assert [row.anchor for row in found.rows] == ["Two  Words"]


def test_what_was_passed_over_as_often_as_clicked_is_no_positive() -> None:
    """The first result gets clicks by its rank alone; those who look on prefer another."""
    log = [search("abc", "a")] * 3 + [search("abc", "c")] * 4
    assert texts(pairs(*log, negatives=0)) == [("c", ())]


def test_what_was_passed_over_and_never_clicked_is_a_negative() -> None:
    found = pairs(*[search("abc", "c")] * 2, search("abc", "b"), search("ab"))
    assert texts(found) == [("c", ("a",))]
    assert texts(pairs(*[search("abc", "c")] * 2, negatives=2)) == [("c", ("a", "b"))]


def test_what_stood_below_the_click_was_perhaps_not_seen() -> None:
    assert texts(pairs(*[search("abc", "a")] * 9)) == [("a", ())]


def test_a_short_visit_counts_neither_for_nor_against_a_document() -> None:
    log = [search("ab", "ab", a=5, b=60)] * 2
    assert texts(pairs(*log)) == [("b", ())]
    assert [key for key, _ in texts(pairs(*log, min_dwell=5))] == ["a", "b"]


def test_a_click_far_down_weighs_more_up_to_a_limit() -> None:
    log = [search("a", "a", "one")] * 2 + [search("abc", "c", "two")] * 2
    assert pairs(*log).weights == [2, 2 * 3]
    assert pairs(*log, max_weight=2).weights == [2, 4]
    assert pairs(*log, position_bias=0).weights == [2, 2]
    assert pairs(*log, position_bias=0.5).weights == pytest.approx([2, 2 * 3**0.5])


def test_too_little_evidence_says_how_much_there_is() -> None:
    with pytest.raises(DataError, match=r"1 queries with 1 clicks that count.*lower .*min_clicks"):
        pairs(search("ab", "a"))


# -- from files


def read(file: Path, dead: Heap | None = None, **how: Any) -> DataFile:
    return read_data(DataSettings(path=file, **how), dead)


LISTS = [
    {"query": "how to", "shown": ["the first text", "the second text"], "clicked": clicked}
    for clicked in (["the second text"], [0, 1], [False, True], "the second text")
]
EXPECTED = [TrainingExample("how to", "the second text", ("the first text",))]


def test_a_log_of_lists(tmp_path: Path) -> None:
    found = read(put(tmp_path / "log.jsonl", *LISTS))
    assert found.kind == "interactions"
    assert found.data.rows == EXPECTED
    assert found.notes == ("4 searches with 4 clicks gave 1 pairs",)


def test_a_log_of_lists_in_a_csv(tmp_path: Path) -> None:
    rows = [
        {"query": "how to", "shown": '["the first text", "the second text"]', "clicked": clicked,
         "dwell": dwell}
        for clicked, dwell in (('["the second text"]', "40"), ("the second text", "[0, 31]"))
    ]  # fmt: skip
    assert read(put(tmp_path / "log.csv", *rows)).data.rows == EXPECTED


def flat(text: str, rank: int, clicked: Any, **more: Any) -> dict[str, Any]:
    return {"query": "how to", "document": text, "rank": rank, "clicked": clicked, **more}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_log_with_a_row_per_result(tmp_path: Path, suffix: str) -> None:
    one = [flat("the first text", 1, 0), flat("the second text", 2, 1)]
    assert read(put(tmp_path / f"log{suffix}", *one, *one)).data.rows == EXPECTED


def test_rows_of_searches_that_mingle_are_told_apart_by_their_id(tmp_path: Path) -> None:
    rows = [
        flat(text, rank, rank == 2, session=session)
        for rank, text in ((1, "the first text"), (2, "the second text"))
        for session in ("s1", "s2")
    ]
    assert read(put(tmp_path / "log.jsonl", *rows)).data.rows == EXPECTED


def test_dwell_in_milliseconds(tmp_path: Path) -> None:
    short, long = (
        [flat("the only text", 1, 1, session=n, dwell_ms=ms) for n in range(2)]
        for ms in (2_000, 40_000)
    )
    assert read(put(tmp_path / "log.jsonl", *long)).data.rows
    with pytest.raises(DataError, match="0 clicks that count"):
        read(put(tmp_path / "log.jsonl", *short))


BAD = (
    ({**LISTS[0], "clicked": ["unseen"]}, "clicked and not shown"),
    ({**LISTS[0], "shown": []}, "nothing in shown"),
    ({**LISTS[0], "query": ""}, "no text in query"),
    ({**LISTS[0], "shown": 7.5}, "shown is float, expected a list of documents"),
    (flat("x y", 0, 1), "rank is 0, expected a rank"),
    (flat("x y", 1, "maybe"), "clicked is 'maybe', expected 0 or 1"),
    (flat("x y", 1, 1, dwell="long"), "dwell is 'long', expected seconds"),
)


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_bad_rows_of_a_log_go_to_the_dead_letters(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    good = LISTS if "shown" in bad else [flat("x y", 1, 1, session=n, dwell="") for n in (1, 2)]
    dead = Heap()
    found = read(put(tmp_path / "log.jsonl", *good, bad), dead)
    assert found.bad == 1
    assert [row["reason"].partition(":")[0] for row in dead.rows] == [reason]


def test_ids_want_their_documents(tmp_path: Path) -> None:
    rows = [{"query": "how to", "shown": ["d1", "d2"], "clicked": ["d2"]}] * 2
    file = put(tmp_path / "log.jsonl", *rows)
    with pytest.raises(DataError, match="the documents look like ids, for example 'd1'"):
        read(file)
    put(tmp_path / "corpus.jsonl", *({"_id": f"d{n}", "text": f"text {n}"} for n in (1, 2)))
    assert read(file).data.rows == [TrainingExample("how to", "text 2", ("text 1",))]


# -- what a project recorded


def recorded(key: str, query: str | None, side: str = "live") -> Search:
    return Search(
        id=key, at=time.time(), version="v1", phase=None, side=side, unit="u", query=query or "x",
        logged=query, latency_ms=1.0, position=1, documents=(1, "d2"),
    )  # fmt: skip


def test_what_a_project_recorded_is_a_log(tmp_path: Path) -> None:
    put(tmp_path / "corpus.jsonl", {"_id": 1, "text": "one"}, {"_id": "d2", "text": "two"})
    clicked = [Feedback(key, 0.0, "clicked", "d2", 1.0) for key in ("s1", "s2", "s3", "bad", "no")]
    bad = Feedback("bad", 0.0, "grade", None, 0.0)
    with closing(Interactions(tmp_path / "interactions.db")) as file:
        searches = [recorded(key, "how to") for key in ("s1", "s2", "bad")]
        searches += [recorded("no", None), recorded("s3", "how to", "shadow")]
        assert not file.add(searches, [*clicked, bad])
    found = read(tmp_path / "interactions.db")
    assert found.data.rows == [TrainingExample("how to", "two", ("one",))]
    assert found.notes == ("3 searches with 3 clicks gave 1 pairs",)


def test_a_project_that_logs_no_queries_is_told_how(tmp_path: Path) -> None:
    with closing(Interactions(tmp_path / "interactions.db")) as file:
        file.add([recorded("s1", None)], [])
    with pytest.raises(DataError, match="log_queries = true"):
        read(tmp_path / "interactions.db")
