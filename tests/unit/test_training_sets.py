"""Sets of training rows: their kinds, their hashes."""

from __future__ import annotations

import pytest

from reindex.corpus.training_sets import Row, RowKind, TrainingSet, texts_of
from reindex.errors import DataError
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample

ROWS: dict[RowKind, tuple[Row, tuple[str, ...]]] = {
    "pairs": (TrainingExample("q", "p"), ("q", "p")),
    "triplets": (TrainingExample("q", "p", ("n", "m")), ("q", "p", "n", "m")),
    "scored": (ScoredPair("a", "b", 0.5), ("a", "b")),
    "nli": (LabelledPair("a", "b", "neutral"), ("a", "b")),
    "labelled": (LabelledPair("a", "b", "duplicate"), ("a", "b")),
    "classes": (LabelledText("a", "billing"), ("a",)),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_set_knows_its_rows_texts(kind: RowKind) -> None:
    row, texts = ROWS[kind]
    assert TrainingSet(kind, [row]).rows == [row]
    assert texts_of(row) == texts


def test_a_row_of_another_kind_is_an_error() -> None:
    with pytest.raises(DataError, match="'scored' holds ScoredPair rows, got TrainingExample"):
        TrainingSet("scored", [TrainingExample("q", "p")])


def test_every_row_has_a_line_or_none_has() -> None:
    with pytest.raises(DataError, match="a line for each of 1 rows, got 2"):
        TrainingSet("pairs", [TrainingExample("q", "p")], "a.jsonl", [1, 2])


def test_scores_and_labels_are_part_of_the_hash() -> None:
    sets = [
        TrainingSet("scored", [ScoredPair("a", "b", 0.5)]),
        TrainingSet("scored", [ScoredPair("a", "b", 0.6)]),
        TrainingSet("nli", [LabelledPair("a", "b", "neutral")]),
        TrainingSet("nli", [LabelledPair("a", "b", "entailment")]),
    ]
    assert len({item.digest for item in sets}) == 4
    again = TrainingSet("scored", [ScoredPair("a", "b", 0.5)], "elsewhere.csv", [7])
    assert again.digest == sets[0].digest
