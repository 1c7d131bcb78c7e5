"""A query read in parts, by ranges of its ids."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.sql import SqlSlice, SqlSource
from reindex.errors import DataError
from tests.sql_fixtures import SOURCE, put


def source_of(folder: Path, **values: Any) -> SqlSource:
    return SqlSource(SourceSettings(**{**SOURCE, **values}), folder)


def read(parts: list[SqlSlice]) -> list[list[Any]]:
    """The ids of each part, read as another process would."""
    copies: list[SqlSlice] = pickle.loads(pickle.dumps(parts))
    return [
        [fields["id"] for batch, _ in part.read() for _, fields in batch.rows] for part in copies
    ]


def test_ranges_of_integers_and_texts_cover_all_rows_once(tmp_path: Path) -> None:
    numbers = [7 * number for number in range(50)]
    texts = [f"é{number:02}" for number in range(50)]
    put(tmp_path, [(id, f"body of {id}") for id in [*texts, *numbers]])
    parts = source_of(tmp_path).slices(15)
    found = read(parts)
    assert [len(ids) for ids in found] == [15, 15, 15, 15, 15, 15, 10]
    assert [id for ids in found for id in ids] == numbers + texts


def test_rows_without_an_id_and_with_the_same_one_are_in_one_part(tmp_path: Path) -> None:
    put(tmp_path, [(id, "body") for id in range(30)])
    query = (
        "SELECT id, title, body FROM articles UNION ALL SELECT id, title, body FROM articles "
        "UNION ALL SELECT NULL, title, body FROM articles WHERE id < 2"
    )
    found = read(source_of(tmp_path, query=query).slices(7))
    assert found[0].count(None) == 2
    assert all(set(ids).isdisjoint(others) for ids, others in itertools.pairwise(found))
    assert sorted(id for ids in found for id in ids if id is not None) == sorted([*range(30)] * 2)


def test_lines_and_bad_rows_count_within_the_part(tmp_path: Path) -> None:
    put(tmp_path, [(id, "body") for id in range(10)])
    put(tmp_path, [(4, b"\xff".decode("latin-1"))])
    *_, (batch, rows) = source_of(tmp_path, fetch_rows=2).slices(5)[1].read()
    assert ([line for line, _ in batch.rows], rows) == ([5], 5)


@pytest.mark.parametrize("rows", [1, 10, 11, 1000])
def test_few_rows_are_few_parts(tmp_path: Path, rows: int) -> None:
    put(tmp_path, [(id, "body") for id in range(10)])
    parts = source_of(tmp_path).slices(rows)
    assert len(parts) == (10 if rows == 1 else 1)
    assert list(itertools.chain(*read(parts))) == list(range(10))


def test_no_rows_are_one_part(tmp_path: Path) -> None:
    put(tmp_path, [])
    assert read(source_of(tmp_path).slices(10)) == [[]]


def test_a_query_that_cannot_be_divided_says_so(tmp_path: Path) -> None:
    put(tmp_path, [(1, "body")])
    with pytest.raises(DataError, match="sqlite"):
        source_of(tmp_path, query="PRAGMA table_info(articles)").slices(10)
