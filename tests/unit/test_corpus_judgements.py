"""Queries and relevance judgements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reindex.corpus.judgements import load_judgements, read_qrels, read_queries
from reindex.errors import DataError
from reindex.records import Query

HEADER = "query-id\tcorpus-id\tscore\n"


def put(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def put_queries(folder: Path, *ids: str) -> Path:
    rows = [json.dumps({"_id": id, "text": f"text of {id}"}) for id in ids]
    return put(folder / "queries.jsonl", "\n".join(rows))


def test_queries_and_their_groups(tmp_path: Path) -> None:
    rows = [
        {"_id": "a", "text": "x"},
        {"_id": 2, "text": "y", "group": "g"},
        {"_id": "c", "text": "z", "metadata": {"group": 7}, "group": "other"},
    ]
    file = put(tmp_path / "q.jsonl", "\n\n".join(map(json.dumps, rows)))
    assert read_queries(file) == [Query("a", "x"), Query("2", "y", "g"), Query("c", "z", "7")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('{"_id": "b"}', "'b' has no 'text'"),
        ('{"_id": "b", "text": "  "}', "'b' has no 'text'"),
        ('{"text": "x"}', "expected an '_id'"),
        ('{"_id": 1.5, "text": "x"}', "expected an '_id'"),
        ('{"_id": true, "text": "x"}', "expected an '_id'"),
        ('{"_id": "a", "text": "x"}', "'a' is there twice"),
        ("{", "invalid JSON"),
    ],
)
def test_a_bad_query_names_file_and_line(tmp_path: Path, row: str, complaint: str) -> None:
    file = put(tmp_path / "q.jsonl", '{"_id": "a", "text": "x"}\n\n' + row)
    with pytest.raises(DataError) as caught:
        read_queries(file)
    assert f"{file}:3: " in str(caught.value)
    assert complaint in str(caught.value)


EXPECTED = {"q1": {"d 1": 2, "d2": 0}, "q2": {"d2": 1}}


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "q1\td 1\t2\nq1\td2\t0\n\nq2\td2\t1\n",
        "q1\td 1\t2\r\nq1\td2\t0\r\nq2\td2\t1\r\n",
        "\ufeff" + HEADER + "q1\td 1\t2\nq1\td 1\t2\nq1\td2\t0\nq2\td2\t1",
    ],
    ids=["header", "no header, CRLF", "byte order mark, a line twice"],
)
def test_beir_qrels(tmp_path: Path, text: str) -> None:
    assert read_qrels(put(tmp_path / "test.tsv", text)) == EXPECTED


@pytest.mark.parametrize("gap", [" ", "\t", "   "])
def test_trec_qrels(tmp_path: Path, gap: str) -> None:
    lines = [("q1", "0", "d1", "2"), ("q1", "Q0", "d2", "-1"), ("q2", "0", "d2", "1")]
    file = put(tmp_path / "qrels.txt", "\n".join(gap.join(line) for line in lines))
    assert read_qrels(file) == {"q1": {"d1": 2, "d2": -1}, "q2": {"d2": 1}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a b\n", ":1: expected judgements as BEIR"),
        (HEADER + "q\td\t1\nq\td2\n", ":3: expected 3 tab-separated columns"),
        ("q 0 d 1\nq 0 d\n", ":2: expected 4 columns"),
        (HEADER + "q\td\thigh\n", ":2: expected an integer relevance, got 'high'"),
        ("q 0 d 0.5\n", ":1: expected an integer relevance, got '0.5'"),
        (HEADER + "q\td\t1\nq\td\t0\n", ":3: query 'q' and document 'd' were judged 1 before"),
    ],
)
def test_a_bad_judgement_names_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = put(tmp_path / "test.tsv", text)
    with pytest.raises(DataError) as caught:
        read_qrels(file)
    assert f"{file}{complaint}" in str(caught.value)


def test_only_queries_with_a_relevant_document_count(tmp_path: Path) -> None:
    queries = put_queries(tmp_path, "a", "b", "c", "d")
    qrels = put(tmp_path / "t.tsv", HEADER + "c\td1\t1\nb\td1\t0\na\td1\t0\na\td2\t3\n")
    judged = load_judgements(queries, qrels, max_queries=None, seed=1)
    assert [query.id for query in judged.queries] == ["a", "c"]
    assert judged.qrels == {"a": {"d1": 0, "d2": 3}, "c": {"d1": 1}}


def test_a_sample_depends_on_ids_and_seed_alone(tmp_path: Path) -> None:
    ids = [f"q{i}" for i in range(50)]
    lines = [f"{id}\td\t1\n" for id in ids]
    forward = put(tmp_path / "f.tsv", HEADER + "".join(lines))
    backward = put(tmp_path / "b.tsv", HEADER + "".join(reversed(lines)))
    queries = put_queries(tmp_path, *ids)
    samples = [
        load_judgements(queries, qrels, max_queries=10, seed=seed)
        for qrels, seed in ((forward, 3), (backward, 3), (forward, 4))
    ]
    assert samples[0] == samples[1]
    assert samples[0] != samples[2]
    assert len(samples[0].queries) == len(samples[0].qrels) == 10


def test_judged_queries_without_text_are_counted(tmp_path: Path) -> None:
    queries = put_queries(tmp_path, "a")
    qrels = put(tmp_path / "t.tsv", HEADER + "a\td\t1\nx\td\t1\ny\td\t1\nz\td\t0\n")
    with pytest.raises(DataError, match=r"2 of 3 queries .* no text .* example 'x'"):
        load_judgements(queries, qrels, max_queries=None, seed=1)


def test_judgements_without_a_relevant_document(tmp_path: Path) -> None:
    qrels = put(tmp_path / "t.tsv", HEADER + "a\td\t0\n")
    with pytest.raises(DataError, match="no query has a relevant document"):
        load_judgements(put_queries(tmp_path, "a"), qrels, max_queries=None, seed=1)


@pytest.mark.parametrize("read", [read_queries, read_qrels])
def test_a_missing_file(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(DataError, match=r"absent cannot be read: No such file"):
        read(tmp_path / "absent")
