"""Files of training data: what they are told to be, and what becomes of their rows."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reindex.config.training_data import DataKind, DataSettings
from reindex.corpus.training_sets import Row
from reindex.datasets.collecting import CorpusAlone
from reindex.datasets.reading import DataFile, read_data, read_examples
from reindex.errors import DataError
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample
from tests.corpus_fixtures import Heap

Fields = dict[str, Any]


def put(file: Path, *rows: Any) -> Path:
    """Rows as JSONL, or as CSV or TSV where the file's name says so."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return file
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), delimiter="\t" if ".tsv" in file.name else ",")
        writer.writeheader()
        writer.writerows(rows)
    return file


def read(file: Path, dead: Heap | None = None, **how: Any) -> DataFile:
    return read_data(DataSettings(path=file, **how), dead)


def rows_of(file: Path, dead: Heap | None = None) -> list[Row]:
    return list(read(file, dead).data.rows)


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
    assert rows_of(put(tmp_path / "a.jsonl", row)) == expected


def test_csv_and_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('question,answer,negative_1\nq,"a, b",\n')
    (tmp_path / "a.tsv").write_text("question\tanswer\tnegative_1\nq\ta, b\tn\n")
    assert rows_of(tmp_path / "a.csv") == [TrainingExample("q", "a, b")]
    assert rows_of(tmp_path / "a.tsv") == [TrainingExample("q", "a, b", ("n",))]


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"anchor": ["q"], "positive": ["p"], "negatives": [["n1", "n2"]]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet") == [TrainingExample("q", "p", ("n1", "n2"))]


def test_unknown_columns_say_what_was_found_and_expected(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {"sentence1": "x", "sentence2": "y"})
    with pytest.raises(DataError) as caught:
        rows_of(file)
    assert "anchor or query or question" in str(caught.value)
    assert "found 'sentence1', 'sentence2'" in str(caught.value)


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
        rows_of(file)
    dead = Heap()
    assert rows_of(file, dead) == [TrainingExample("q", "p")] * 2
    assert dead.reasons == [(2, reason)]
    assert dead.good == 2


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", ""), ("a.txt", "q\tp\n")])
def test_files_without_pairs(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"expected (rows|a file) of training data"):
        rows_of(tmp_path / name)


TWO = {"sentence1": "a", "sentence2": "b"}
NLI = {"premise": "a", "hypothesis": "b"}

KINDS: tuple[tuple[Sequence[Fields], DataKind, Row], ...] = (
    ([{"query": "q", "answer": "p"}], "pairs", TrainingExample("q", "p")),
    ([{"anchor": "q", "positive": "p", "negative": "n"}], "triplets",
     TrainingExample("q", "p", ("n",))),
    ([{**TWO, "score": 0.5}], "scored", ScoredPair("a", "b", 0.5)),
    ([{**TWO, "similarity_score": 4}], "scored", ScoredPair("a", "b", 0.8)),
    ([{**TWO, "label": 0.25}, {**TWO, "label": 1}], "scored", ScoredPair("a", "b", 0.25)),
    ([{**TWO, "label": "3.75"}], "scored", ScoredPair("a", "b", 0.75)),
    ([{**NLI, "label": 0}], "nli", LabelledPair("a", "b", "entailment")),
    ([{**NLI, "label": "contradiction"}], "nli", LabelledPair("a", "b", "contradiction")),
    ([{**TWO, "gold_label": "neutral"}], "nli", LabelledPair("a", "b", "neutral")),
    ([{**TWO, "label": "Entailment"}], "nli", LabelledPair("a", "b", "entailment")),
    ([{**TWO, "label": 1}], "labelled", LabelledPair("a", "b", "1")),
    ([{"question1": "a", "question2": "b", "is_duplicate": True}], "labelled",
     LabelledPair("a", "b", "1")),
    ([{"sentence1": "a", "sentence2": "b", "label": label}
      for label in ("entailment", "entailment", "not_entailment")], "labelled",
     LabelledPair("a", "b", "entailment")),
    ([{**NLI, "label": "entailment"}, {**NLI, "label": "not_entailment"}], "labelled",
     LabelledPair("a", "b", "entailment")),
    ([{"question": "a", "sentence": "b", "label": "not_entailment"}], "labelled",
     LabelledPair("a", "b", "not_entailment")),
    ([{"text": "a", "label": 3}], "classes", LabelledText("a", "3")),
    ([{"text": "a", "intent": "billing"}], "classes", LabelledText("a", "billing")),
    ([{"query": "q", "document": "p", "relevance": 2}], "graded", TrainingExample("q", "p")),
    ([{"query": "q", "document": "p", "label": 1}], "graded", TrainingExample("q", "p")),
    ([{"question": "q", "answer": "p", "label": "legal"}], "pairs", TrainingExample("q", "p")),
    ([{"query": "q", "document": "p", "score": votes} for votes in (0, 31)], "pairs",
     TrainingExample("q", "p")),
)  # fmt: skip


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
@pytest.mark.parametrize(("rows", "kind", "first"), KINDS, ids=str)
def test_the_kind_is_told_by_columns_and_values(
    tmp_path: Path, suffix: str, rows: Sequence[Fields], kind: DataKind, first: Row
) -> None:
    found = read(put(tmp_path / f"a{suffix}", *rows))
    assert found.kind == kind
    assert found.data.rows[0] == first
    first_line = 1 if suffix == ".jsonl" else 2
    assert list(found.data.lines) == list(range(first_line, first_line + len(rows)))


def test_whole_scores_that_count_from_0_are_grades(tmp_path: Path) -> None:
    rows = [{"query": at, "document": "p", "score": grade} for at, grade in (("q", 2), ("r", 0))]
    found = read(put(tmp_path / "a.jsonl", *rows))
    assert (found.kind, found.data.rows) == ("graded", [TrainingExample("q", "p")])


def test_json_in_one_piece_and_compressed(tmp_path: Path) -> None:
    rows = [{"query": "q", "answer": "é"}, "no row", {"query": "r", "answer": "s"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "a.json").write_text(json.dumps(rows), "utf-8")
    (tmp_path / "b.json").write_bytes(lines)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines))
    for name in ("a.json", "b.json", "c.jsonl.gz"):
        dead = Heap()
        found = read(tmp_path / name, dead).data
        assert found.rows == [TrainingExample("q", "é"), TrainingExample("r", "s")]
        assert list(found.lines) == [1, 3]
        assert dead.reasons == [(2, "not a JSON object")]
    (tmp_path / "d.json").write_text('[{"query": "q"', "utf-8")
    with pytest.raises(DataError, match=r"d\.json: invalid JSON"):
        read(tmp_path / "d.json")
    (tmp_path / "e.jsonl.gz").write_bytes(lines)
    with pytest.raises(DataError, match=r"e\.jsonl\.gz cannot be read"):
        read(tmp_path / "e.jsonl.gz")


def test_a_csv_may_be_separated_by_semicolons(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question;answer\nwhy, then?;so; no\n", "utf-8")
    (tmp_path / "b.csv").write_text("question;answer\nwhy, then?;so\n", "utf-8")
    with pytest.raises(DataError, match="expected 2, got 3"):
        read(tmp_path / "a.csv")
    assert rows_of(tmp_path / "b.csv") == [TrainingExample("why, then?", "so")]


def test_one_score_above_one_makes_all_of_them_0_to_5(tmp_path: Path) -> None:
    rows = [{**TWO, "score": score} for score in (0, 1, 5)]
    assert [row.score for row in rows_of(put(tmp_path / "a.jsonl", *rows))] == [0, 0.2, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("scores", [(-1, 0.5), (0, 99)])
def test_other_scores_want_their_range_named(tmp_path: Path, scores: tuple[float, float]) -> None:
    file = put(tmp_path / "a.jsonl", *({**TWO, "score": score} for score in scores))
    with pytest.raises(DataError, match=r"a\.jsonl:\d: expected scores from 0 to 1, or .*range"):
        read(file)
    named = read(file, score_range=(-1, 99)).data.rows
    assert [row.score for row in named] == [(score + 1) / 100 for score in scores]  # type: ignore[union-attr]


def test_nli_labels_in_another_order_are_named_and_disagreement_is_counted(
    tmp_path: Path,
) -> None:
    file = put(tmp_path / "a.jsonl", *({**NLI, "label": label} for label in (0, 1, -1, 2, "-")))
    usual, other = read(file), read(file, labels=("contradiction", "entailment", "neutral"))
    assert [row.label for row in usual.data.rows] == ["entailment", "neutral", "contradiction"]  # type: ignore[union-attr]
    assert [row.label for row in other.data.rows] == ["contradiction", "entailment", "neutral"]  # type: ignore[union-attr]
    assert usual.dropped == {"label -1: the annotators did not agree": 2}
    assert usual.bad == 0


def test_columns_are_named(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {"title": "t", "body": "b", "wrong": "n", "label": 1})
    found = read(file, columns={"anchor": "title", "positive": "body", "negative": "wrong"})
    assert found.data.rows == [TrainingExample("t", "b", ("n",))]
    assert found.data.kind == "triplets"


def test_a_kind_is_named_where_the_columns_say_another(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {"query": "a", "answer": "b", "score": 0.5})
    found = read(file)
    assert found.kind == "pairs"
    assert "score says nothing here" in found.notes[0]
    assert read(file, kind="scored").data.rows == [ScoredPair("a", "b", 0.5)]
    rows = [{"query": "a", "answer": "b", "Label": label} for label in ("legal", "tax", "no")]
    assert "Label says nothing here" in read(put(tmp_path / "a.csv", *rows[:2])).notes[0]
    with pytest.raises(DataError, match=r"a\.csv:4: Label no: not a relevant pair"):
        read(put(tmp_path / "a.csv", *rows))
    file = put(tmp_path / "b.jsonl", {**NLI, "label": 1})
    assert read(file, kind="labelled").data.rows == [LabelledPair("a", "b", "1")]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"kind": "nli"}, "'nli' wants columns premise, hypothesis, gold_label or label; or"),
        ({"kind": "triplets"}, "kind 'triplets' wants columns anchor or query or question"),
        ({"columns": {"anchr": "subject"}}, "role 'anchr', which no kind has…mean 'anchor'"),
        ({"columns": {"anchor": "subjct"}}, "column 'subjct'; found subject, note…mean 'subject'"),
        ({}, "fit no kind of training data; found 'subject', 'note'. Expected one of"),
    ],
)
def test_what_does_not_fit_says_what_was_found_and_expected(
    tmp_path: Path, how: dict[str, Any], message: str
) -> None:
    file = put(tmp_path / "a.jsonl", {"subject": "t", "note": "b"})
    with pytest.raises(DataError) as caught:
        read(file, **how)
    assert all(part in str(caught.value) for part in message.split("…"))


@pytest.mark.parametrize(
    "scores", [{"scores": [9, 1, 2]}, {"pos_scores": [9], "neg_scores": [1.0, 2.0]}]
)
def test_a_teachers_scores_are_read(tmp_path: Path, scores: Fields) -> None:
    row = {"query": "q", "pos": ["p"], "neg": ["m", "n"]}
    file = put(tmp_path / "a.jsonl", {**row, **scores})
    assert read(file).data.rows == [TrainingExample("q", "p", ("m", "n"), (9.0, 1.0, 2.0))]
    dead = Heap()
    read(put(file, {**row, **scores}, {**row, "scores": [1]}, {**row, "scores": ["x"]}), dead)
    assert dead.reasons == [
        (2, "1 scores for 1 positives and 2 negatives"),
        (3, "scores is ['x'], expected numbers"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "scores"),
    [
        ("label", [9.0, 1.0, 2.5], (9, 1, 2.5)),  # as sentence-transformers' MarginMSELoss takes
        ("score", [9, 1, 2], (9, 1, 2)),
        ("score", [8.0, 6.5], (0, -8, -6.5)),  # how far the positive is above each negative
        ("labels", ["tax", "law", "x"], ()),
        ("score", 3, ()),
    ],
)
def test_a_teachers_scores_are_read_as_other_libraries_write_them(
    tmp_path: Path, column: str, value: Any, scores: tuple[float, ...]
) -> None:
    row = {"query": "q", "positive": "p", "negative_1": "m", "negative_2": "n", column: value}
    found = read(put(tmp_path / "a.jsonl", row)).data.rows
    assert found == [TrainingExample("q", "p", ("m", "n"), scores)]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_one_score_of_a_triplet_is_the_teachers_margin(tmp_path: Path, suffix: str) -> None:
    row = {"query": "q", "positive": "p", "negative": "n", "score": 7.5}
    found = read(put(tmp_path / f"a{suffix}", row)).data.rows
    assert found == [TrainingExample("q", "p", ("n",), (0.0, -7.5))]


def test_labels_of_a_list_tell_which_texts_are_relevant(tmp_path: Path) -> None:
    row = {"query": "q", "answer": ["a", "b", "c"]}
    marked, none = {**row, "labels": [1, 0, 0]}, {**row, "labels": [0, 0, 0]}
    dead, file = Heap(), tmp_path / "a.jsonl"
    found = read(put(file, marked, {**row, "scores": [0.9, 0.2, 0.1]}, none), dead)
    assert found.data.rows == [TrainingExample("q", "a", ("b", "c"))]
    assert found.kind == "triplets"
    assert [line for line, _ in dead.reasons] == [2, 3]
    assert dead.reasons[0][1].startswith("scores of several texts")


@pytest.mark.parametrize("names", [("positive_passages", "negative_passages"),
                                   ("positive_ctxs", "hard_negative_ctxs")])  # fmt: skip
def test_passages_with_titles_are_texts(tmp_path: Path, names: tuple[str, str]) -> None:
    """As DPR and Tevatron write them."""
    passages = [{"docid": "1", "title": "T", "text": "p"}], [{"title": "", "text": "n"}]
    row = {"query_id": "7", "query": "q", **dict(zip(names, passages, strict=True))}
    file = put(tmp_path / "a.jsonl", row)
    assert read(file).data.rows == [TrainingExample("q", "T\np", ("n",))]


def test_documents_alone_say_that_queries_can_be_made(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {"_id": "1", "title": "t", "text": "b"})
    with pytest.raises(CorpusAlone, match="reindex data synthesize"):
        read(file)


BAD_ROWS: tuple[tuple[Fields, Fields, str], ...] = (
    ({**TWO, "score": 1}, {**TWO, "score": "high"}, "score is 'high', expected a number"),
    ({**TWO, "score": 1}, {"sentence1": "a", "score": 1}, "no text in sentence2"),
    ({**NLI, "label": 0}, {**NLI, "label": 7}, "label 7"),
    ({**NLI, "label": 0}, {**NLI, "label": None}, "no label in label"),
    ({**TWO, "label": "x"}, {**TWO}, "no label in label"),
    ({"text": "a", "label": 1}, {"text": " ", "label": 1}, "no text in text"),
    ({"query": "q", "text": "p", "grade": 1}, {"query": "q", "text": "p", "grade": "?"},
     "grade is '?', expected a number"),
)  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "reason"), BAD_ROWS)
def test_a_bad_row_of_any_kind_is_an_error_or_a_dead_letter(
    tmp_path: Path, good: Fields, bad: Fields, reason: str
) -> None:
    file = put(tmp_path / "a.jsonl", good, bad, good)
    with pytest.raises(DataError, match=rf"a\.jsonl:2: {reason.replace('?', '[?]')}"):
        read(file)
    dead = Heap()
    found = read(file, dead)
    assert dead.reasons == [(2, reason.partition(":")[0])]
    assert (found.bad, dead.good) == (1, 2)


def test_a_file_without_one_good_row_is_an_error_even_with_dead_letters(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {**TWO, "score": None}, {**TWO, "score": "x"})
    with pytest.raises(DataError, match=r"no row could be used. The first one is line 1: score"):
        read(file, Heap())


def test_rows_of_another_kind_are_no_examples(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", {**TWO, "score": 1})
    with pytest.raises(DataError, match="holds rows of kind 'scored'; expected pairs or trip"):
        read_examples(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no .*nowhere.jsonl"):
        read(tmp_path / "nowhere.jsonl")
