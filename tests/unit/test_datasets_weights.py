"""Rows that are drawn more often than others: what tells it, and that splits keep it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reindex.config.training_data import DataKind
from reindex.corpus.training_sets import Row, drawn
from reindex.datasets.forms import WEIGHTED
from reindex.datasets.splitting import split_rows
from reindex.errors import DataError
from tests.corpus_fixtures import Heap
from tests.unit.test_datasets_checks import project, run
from tests.unit.test_datasets_reading import KINDS, TWO, put, read

PAIR = {"query": "q", "answer": "p"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
@pytest.mark.parametrize(("rows", "kind", "first"), KINDS, ids=str)
def test_a_weight_changes_no_kind(
    tmp_path: Path, suffix: str, rows: Sequence[dict[str, Any]], kind: DataKind, first: Row
) -> None:
    weighted = [{**row, "Weight": 1 + at} for at, row in enumerate([*rows, *rows])]
    found = read(put(tmp_path / f"a{suffix}", *weighted))
    assert (found.kind, found.data.rows[0]) == (kind, first)
    expected = list(range(1, 2 * len(rows) + 1)) if kind in WEIGHTED else []
    assert list(found.data.weights) == expected
    assert ("weight" in found.columns) == (kind in WEIGHTED)


def test_every_positive_of_a_row_has_its_weight(tmp_path: Path) -> None:
    rows = [{"query": "q", "answer": ["a", "b"], "weight": 2}, {**PAIR, "weight": "1"}]
    found = read(put(tmp_path / "a.jsonl", *rows))
    assert list(found.data.weights) == [2, 2, 1]
    assert found.notes == ("rows are drawn by weight, which is from 1 to 2",)
    assert len(drawn(found.data).rows) == 5


def test_a_weight_is_a_number_above_0(tmp_path: Path) -> None:
    dead, rows = Heap(), [{**PAIR, "weight": value} for value in (1, 0, "x", None, 2, 3, 3)]
    assert list(read(put(tmp_path / "a.jsonl", *rows), dead).data.weights) == [1, 2, 3, 3]
    assert dead.reasons == [
        (2, "weight is 0, expected a number above 0"),
        (3, "weight is 'x', expected a number"),
        (4, "weight is None, expected a number"),
    ]
    with pytest.raises(DataError, match=r"weight is from 0.5 to 501; expected weights"):
        read(put(tmp_path / "a.jsonl", *({**PAIR, "weight": value} for value in (0.5, 501))))


def test_another_column_may_be_the_weight_and_one_called_so_none(tmp_path: Path) -> None:
    file = put(tmp_path / "a.jsonl", *({**TWO, "label": "x", "n": n} for n in (1, 4)))
    found = read(file, columns={"weight": "n"})
    assert (found.kind, list(found.data.weights)) == ("labelled", [1, 4])
    file = put(tmp_path / "b.jsonl", *({**PAIR, "weight": value} for value in ("2 kg", "3 kg")))
    assert not read(file).data.weights
    file = put(tmp_path / "c.jsonl", *({**TWO, "weight": value} for value in (0.5, 1)))
    assert not read(file, columns={"score": "weight"}).data.weights
    file = put(tmp_path / "d.jsonl", {**PAIR, "label": 1, "n": 4})
    with pytest.raises(DataError, match="names a weight, which data of kind 'graded' do not"):
        read(file, columns={"weight": "n"})


def clicks(file: Path) -> Path:
    """Queries whose document was clicked at rank 1, 2 or 3, twice each."""
    searches = [
        {"query": f"question {at}", "clicked": [f"text {at}"],
         "shown": [*(f"other {at} {rank}" for rank in range(at % 3)), f"text {at}"]}
        for at in range(24)
    ]  # fmt: skip
    return put(file, *searches, *searches)


def test_a_split_is_drawn_as_its_part_of_the_whole(tmp_path: Path) -> None:
    root, file, out = project(tmp_path), clicks(tmp_path / "log.jsonl"), tmp_path / "out"
    whole = read(file).data
    assert len({*whole.weights}) == 3
    told = json.loads(run(root, "split", str(file), "-o", str(out), "--json").stdout)
    assert not told["weights_lost"]
    places = split_rows(whole.rows, (0.8, 0.1, 0.1), seed=13).parts
    for name, part in zip(("train", "dev", "test"), places, strict=True):
        found = read(out / f"{name}.jsonl").data
        assert found.digest == whole.only(part).digest
        assert len(drawn(found).rows) > len(found.rows)
    beir = run(root, "split", str(file), "-o", str(tmp_path / "beir"), "--beir")
    assert "for which a BEIR folder has no place" in beir.output
