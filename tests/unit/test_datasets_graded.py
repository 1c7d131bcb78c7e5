"""Graded judgements and qrels as training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.config.training_data import DataSettings
from reindex.corpus.training_sets import drawn
from reindex.datasets.graded import Graded, even, pairs_of
from reindex.datasets.reading import DataFile, read_data
from reindex.errors import DataError
from reindex.records import TrainingExample
from tests.unit.test_datasets_reading import put


def read(file: Path, **how: Any) -> DataFile:
    return read_data(DataSettings(path=file, **how))


def beir(folder: Path, qrels: str, name: str = "qrels/train.tsv") -> Path:
    put(
        folder / "corpus.jsonl",
        *({"_id": f"d{i}", "title": "T", "text": f"x{i}"} for i in range(5)),
    )
    put(folder / "queries.jsonl", *({"_id": f"q{i}", "text": f"text {i}"} for i in range(3)))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(qrels)
    return folder


HEADER = "query-id\tcorpus-id\tscore\n"
TREC = "q0 0 d0 2\nq0 0 d1 0\nq1 0 d2 1\nq1 0 d3 0\n"
BEIR = HEADER + "q0\td0\t2\nq0\td1\t0\nq1\td2\t1\nq1\td3\t0\n"
EXPECTED = [
    TrainingExample("text 0", "T\nx0", ("T\nx1",)),
    TrainingExample("text 1", "T\nx2", ("T\nx3",)),
]


@pytest.mark.parametrize("qrels", [BEIR, BEIR.removeprefix(HEADER), TREC])
@pytest.mark.parametrize("name", ["qrels/train.tsv", "judged.txt", "all.qrels"])
def test_judgements_of_ids_become_texts_from_beside_them(
    tmp_path: Path, qrels: str, name: str
) -> None:
    found = read(beir(tmp_path, qrels, name) / name)
    assert found.kind == "qrels"
    assert found.data.rows == EXPECTED
    assert list(found.data.lines) == ([2, 4] if qrels == BEIR else [1, 3])
    assert found.notes == ("judgements by grade: 0: 2, 1: 1, 2: 1",)


def test_a_beir_folder_means_its_training_judgements(tmp_path: Path) -> None:
    found = read(beir(tmp_path, BEIR))
    assert found.data.rows == EXPECTED
    assert found.data.name == str(tmp_path / "qrels" / "train.tsv")
    with pytest.raises(DataError, match=r"expected a BEIR folder with qrels/train.tsv"):
        read(tmp_path / "qrels")


def test_ids_in_columns_with_named_files(tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    beir(tmp_path / "of", BEIR)
    (tmp_path / "here").mkdir()
    rows = [{"query_id": "q0", "doc_id": "d0", "relevance": 1}]
    file = put(tmp_path / "here" / "judged.jsonl", *rows)
    of = {"queries": tmp_path / "of/queries.jsonl", "documents": tmp_path / "of/corpus.jsonl"}
    assert read(file, **of).data.rows == [TrainingExample("text 0", "T\nx0")]
    with pytest.raises(DataError, match="names queries by ids; expected their texts"):
        read(file)


def test_judgements_without_a_text_are_counted(tmp_path: Path) -> None:
    found = read(beir(tmp_path, "q0\td0\t1\nq0\tgone\t1\nwho\td0\t1\n"))
    assert found.dropped == {"no text for the query": 1, "no text for the document": 1}
    with pytest.raises(DataError, match="none of 1 judgements has the texts"):
        read(beir(tmp_path, "who\td0\t1\n"))


def test_grades_below_the_least_are_neither_positive_nor_negative(tmp_path: Path) -> None:
    file = put(
        tmp_path / "a.jsonl",
        *({"query": "q", "passage": f"p{grade}", "relevance": grade} for grade in (0, 1, 2, 3)),
    )
    rows = read(file, min_grade=2).data.rows
    assert rows == [TrainingExample("q", "p2", ("p0",)), TrainingExample("q", "p3", ("p0",))]
    with pytest.raises(DataError, match="expected grades of 4 or more; the highest of 4 is 3"):
        read(file, min_grade=4)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
@pytest.mark.parametrize(
    ("column", "relevant", "irrelevant"),
    [
        ("label", True, False),
        ("Label", True, False),
        ("label", "relevant", "irrelevant"),
        ("label", "Relevant", "Not relevant"),
        ("relevance", "yes", "no"),
        ("score", True, False),
        ("is_relevant", 1, 0),
        ("Is_Relevant", True, False),
        ("relevant", "yes", "no"),
        ("is_selected", 1, 0),
    ],
)
def test_what_is_judged_irrelevant_is_no_positive(
    tmp_path: Path, suffix: str, column: str, relevant: Any, irrelevant: Any
) -> None:
    rows = [
        {"query": "q", "passage": "p", column: relevant},
        {"query": "q", "passage": "n", column: irrelevant},
        {"query": "r", "passage": "o", column: irrelevant},
    ]
    found = read(put(tmp_path / f"a{suffix}", *rows))
    assert (found.kind, found.data.rows) == ("graded", [TrainingExample("q", "p", ("n",))])
    assert found.notes == ("judgements by grade: 0: 2, 1: 1",)


def test_pairs_are_drawn_by_grade_where_asked(tmp_path: Path) -> None:
    file = put(
        tmp_path / "a.jsonl",
        *({"query": "q", "passage": f"p{grade}", "relevance": grade} for grade in (1, 2, 3)),
    )
    assert not read(file).data.weights
    data = read(file, by_grade=True).data
    assert [row.positive for row in drawn(data).rows] == ["p1", "p2", "p2", "p3", "p3", "p3"]  # type: ignore[union-attr]
    assert data.digest != read(file).data.digest


def test_the_highest_of_two_grades_counts_and_that_there_are_two_is_said(tmp_path: Path) -> None:
    judged = [Graded("q", "p", 0), Graded("q", "p", 2), Graded("q", "n", 0)]
    assert pairs_of(judged, min_grade=1, by_grade=False).rows == [TrainingExample("q", "p", ("n",))]
    rows = [{"query": item.query, "text": item.document, "grade": item.grade} for item in judged]
    found = read(put(tmp_path / "a.jsonl", *rows, rows[2]))
    assert found.data.rows == [TrainingExample("q", "p", ("n",))]
    assert found.dropped == {
        "another judgement of the same pair has another grade; the highest counts": 1
    }


def test_every_row_gets_as_many_negatives() -> None:
    rows = [
        TrainingExample("a", "1", ("x", "y")),
        TrainingExample("b", "2", ("z",)),
        TrainingExample("c", "3", ("u", "v", "w")),
        TrainingExample("d", "4"),
        TrainingExample("e", "5", ("s", "t")),
    ]
    made = even(rows, most=4)
    assert [len(row.negatives) for row in made] == [2] * 5
    assert made[0].negatives == ("x", "y")
    assert made[1].negatives == ("z", "z")
    assert set(made[3].negatives) <= {"s", "t", "u", "v", "w", "x", "y", "z"}
    assert even(rows, most=4) == made
    assert [len(row.negatives) for row in even(rows, most=1)] == [1] * 5


def test_where_half_have_no_negative_none_has() -> None:
    rows = [TrainingExample("a", "1", ("x",)), TrainingExample("b", "2")]
    assert even(rows, most=4) == [TrainingExample("a", "1"), TrainingExample("b", "2")]
    assert even([], most=4) == []


def test_another_positive_of_the_query_is_no_negative() -> None:
    rows = [TrainingExample("a", "1", ("2", "x")), TrainingExample("a", "2", ("1", "x"))]
    assert [row.negatives for row in even(rows, most=1)] == [("x",), ("x",)]
