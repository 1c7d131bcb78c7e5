"""Splits and folds: what belongs together stays together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.corpus.training_sets import ROW_TYPES, Row, RowKind, TrainingSet, drawn
from reindex.datasets.near import groups_of
from reindex.datasets.reading import read_examples
from reindex.datasets.splitting import fold_rows, split_rows
from reindex.datasets.writing import as_beir, as_files, write_files
from reindex.errors import DataError
from reindex.evaluation.groups import NEAR_DUPLICATE, words
from reindex.records import LabelledText, ScoredPair, TrainingExample, query_hash
from tests.unit.test_datasets_reading import read

WORDS = st.lists(st.sampled_from("abcdefghijklm"), min_size=1, max_size=4).map(" ".join)
EXAMPLES = st.builds(TrainingExample, WORDS, WORDS, st.just(("shared negative",)))
PAIRS = st.builds(ScoredPair, WORDS, WORDS, st.just(0.5))


def tied(one: Row, other: Row) -> bool:
    """Whether two rows share a text, or nearly: the definition, without any index."""
    own = [
        (row.anchor, row.positive) if isinstance(row, TrainingExample) else (row.first, row.second)  # type: ignore[union-attr]
        for row in (one, other)
    ]
    return any(
        query_hash(a) == query_hash(b)
        or len(words(a) & words(b)) >= NEAR_DUPLICATE * len(words(a) | words(b))
        for a in own[0]
        for b in own[1]
    )


@given(st.lists(st.one_of(EXAMPLES, PAIRS), min_size=1, max_size=25), st.integers(2, 4))
def test_no_group_is_in_two_parts_and_every_row_in_one(rows: list[Row], parts: int) -> None:
    if len(groups_of(rows)) < parts:
        with pytest.raises(DataError, match=rf"at least {parts} groups"):
            fold_rows(rows, parts, seed=1)
        return
    found = fold_rows(rows, parts, seed=1).parts
    assert sorted(place for part in found for place in part) == list(range(len(rows)))
    assert all(found)
    home = {place: number for number, part in enumerate(found) for place in part}
    for one in range(len(rows)):
        for other in range(one):
            assert home[one] == home[other] or not tied(rows[one], rows[other])


def many(count: int) -> list[Row]:
    return [TrainingExample(f"question {n}", f"answer text {n}") for n in range(count)]


def test_parts_have_their_shares_and_the_seed_decides() -> None:
    rows = many(100)
    first = split_rows(rows, (8, 1, 1), seed=1)
    assert [len(part) for part in first.parts] == [80, 10, 10]
    assert split_rows(rows, (8, 1, 1), seed=1) == first
    assert split_rows(rows, (8, 1, 1), seed=2) != first
    assert [len(part) for part in fold_rows(rows, 3, seed=1).parts] == [34, 33, 33]


def test_a_group_that_is_most_of_the_rows_is_told() -> None:
    rows = [TrainingExample(f"asked {n}", "the one answer") for n in range(8)]
    found = split_rows([*rows, *many(4)], (0.5, 0.5), seed=1)
    assert (found.groups, found.largest, found.lopsided) == (5, 8, True)
    assert not split_rows(many(4), (0.5, 0.5), seed=1).lopsided


def test_mined_negatives_tie_nothing_together() -> None:
    rows: list[Row] = [
        TrainingExample(f"question {n}", f"answer text {n}", ("the same",)) for n in range(5)
    ]
    assert len(groups_of(rows)) == 5


ROWS: list[Row] = [
    TrainingExample("a", "b"),
    TrainingExample("c", "d", ("e", "f"), (1.0, 0.5, 0.25)),
    ScoredPair("a", "b", 0.25),
    LabelledText("a", "b"),
]


def kind_of(row: Row) -> RowKind:
    return next(kind for kind, type in ROW_TYPES.items() if isinstance(row, type))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_written_reads_back(tmp_path: Path, row: Row) -> None:
    part = TrainingSet(kind_of(row), [row])
    (file,) = write_files(tmp_path, as_files({"train": part}), force=False)
    assert read(file).data.rows == [row]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_weights_are_written_and_read_back(tmp_path: Path, row: Row) -> None:
    whole = TrainingSet(kind_of(row), [row] * 3, weights=[0.3, 1 / 3, 2.0])
    for places in ([0, 1, 2], [1, 2], [2, 2]):
        part = whole.only(places)
        (file,) = write_files(tmp_path, as_files({"train": part}), force=True)
        found = read(file)
        assert (found.data.digest, len(drawn(found.data).rows)) == (
            part.digest, len(drawn(part).rows)
        )  # fmt: skip


def test_a_beir_folder_reads_back(tmp_path: Path) -> None:
    train: list[Row] = [TrainingExample("a", "b", ("c",)), TrainingExample("d", "c", ("b",))]
    test: list[Row] = [TrainingExample("e", "b")]
    write_files(tmp_path, as_beir({"train": train, "test": test}), force=False)
    assert read_examples(tmp_path) == train
    assert read_examples(tmp_path / "qrels" / "test.tsv") == test
    with pytest.raises(DataError, match="queries with documents"):
        as_beir({"train": [ScoredPair("a", "b", 1.0)]})


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.jsonl": "old"}, force=False)
    with pytest.raises(DataError, match=r"a\.jsonl is there already"):
        write_files(tmp_path, {"b.jsonl": "new", "a.jsonl": "new"}, force=False)
    assert not (tmp_path / "b.jsonl").exists()
    write_files(tmp_path, {"a.jsonl": "new"}, force=True)
    assert (tmp_path / "a.jsonl").read_text() == "new"
