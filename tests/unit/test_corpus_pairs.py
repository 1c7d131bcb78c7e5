"""Training pairs and triplets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.pairs import examples_from_beir, read_examples
from reindex.corpus.sources import open_source
from reindex.errors import DataError
from reindex.records import TrainingExample
from tests.corpus_fixtures import Heap


def put(file: Path, *rows: Any) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.mark.parametrize(
    ("row", "examples"),
    [
        ({"anchor": "q", "positive": "p"}, [("q", "p", ())]),
        ({"query": "q", "pos": "p", "neg": ["n1", "n2"]}, [("q", "p", ("n1", "n2"))]),
        ({"question": "q", "answer": "p", "negative": "n"}, [("q", "p", ("n",))]),
        ({"Query": "q", "Document": "p", "negative_1": "n1", "negative_2": None},
         [("q", "p", ("n1",))]),
        ({"query": "q", "text": "p", "hard_negative_1": "n"}, [("q", "p", ("n",))]),
        ({"query": "q", "pos": ["p1", "p2"], "neg": []}, [("q", "p1", ()), ("q", "p2", ())]),
        ({"anchor": "q", "query": "no", "positive": "p", "text": "no"}, [("q", "p", ())]),
    ],
)  # fmt: skip
def test_columns_are_recognised(
    tmp_path: Path, row: dict[str, Any], examples: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    expected = [TrainingExample(*example) for example in examples]
    assert read_examples(put(tmp_path / "a.jsonl", row)) == expected


def test_csv_and_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('question,answer,negative_1\nq,"a, b",\n')
    (tmp_path / "a.tsv").write_text("question\tanswer\tnegative_1\nq\ta, b\tn\n")
    assert read_examples(tmp_path / "a.csv") == [TrainingExample("q", "a, b")]
    assert read_examples(tmp_path / "a.tsv") == [TrainingExample("q", "a, b", ("n",))]


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"anchor": ["q"], "positive": ["p"], "negatives": [["n1", "n2"]]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet") == [TrainingExample("q", "p", ("n1", "n2"))]


def test_unknown_columns_say_what_was_found_and_expected(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {"sentence1": "x", "sentence2": "y"})
    with pytest.raises(DataError) as caught:
        read_examples(file)
    assert "anchor or query or question" in str(caught.value)
    assert "found sentence1, sentence2" in str(caught.value)


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"query": "", "answer": "p"}, "no text in query"),
    ({"query": "q", "answer": " "}, "no text in answer"),
    ({"query": "q"}, "no text in answer"),
    ({"query": "q", "answer": 5}, "answer is int, expected text"),
    ({"query": "q", "answer": "p", "neg": [1]}, "neg is list, expected text"),
    ({"query": "q", "answer": "p", "label": 0}, "label 0"),
)


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_bad_row_is_an_error_or_a_dead_letter(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    good = {"query": "q", "answer": "p"}
    file = put(tmp_path / "a.jsonl", good, row, good)
    with pytest.raises(DataError, match=rf"a\.jsonl:2: {reason}"):
        read_examples(file)
    dead = Heap()
    assert read_examples(file, dead) == [TrainingExample("q", "p")] * 2
    assert dead.reasons == [(2, reason)]
    assert dead.good == 2


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", ""), ("a.txt", "q\tp\n")])
def test_files_without_pairs(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"expected (pairs|a file of pairs)"):
        read_examples(tmp_path / name)


def beir(folder: Path, qrels: str) -> list[TrainingExample]:
    put(folder / "corpus.jsonl", *({"_id": i, "title": "T", "text": f"x{i}"} for i in range(3)))
    put(folder / "queries.jsonl", *({"_id": f"q{i}", "text": f"text {i}"} for i in range(3)))
    (folder / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    source = open_source(SourceSettings(kind="beir", path=folder), folder)
    return examples_from_beir(folder / "queries.jsonl", folder / "train.tsv", source)


def test_pairs_from_judgements_have_the_embedded_text(tmp_path: Path) -> None:
    assert beir(tmp_path, "q2\t0\t1\nq0\t1\t1\nq0\t2\t2\nq1\t1\t0\nq1\tgone\t1\n") == [
        TrainingExample("text 0", "T\nx1"),
        TrainingExample("text 0", "T\nx2"),
        TrainingExample("text 2", "T\nx0"),
    ]


def test_judgements_of_another_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"None of the 1 documents judged .* example 'gone'"):
        beir(tmp_path, "q1\tgone\t1\n")
