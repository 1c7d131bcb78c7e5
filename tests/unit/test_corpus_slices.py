"""Slices put together again are the file, whatever their size."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.delimited import read_csv
from reindex.corpus.readers import Batch, read_jsonl
from reindex.corpus.slices import read_slice, renumbered, slices_of
from reindex.corpus.sources import FileSource

FILES = {
    "plain": b'{"a": 1}\n{"a": 2}\n{"a": 3}\n',
    "no newline at the end": b'{"a": 1}\n{"a": 2}',
    "mark, blank lines, CRLF": b'\xef\xbb\xbf{"a": 1}\r\n\r\n\n{"a": 22}\r\n  \n{"a": 3}\r\n',
    "a mark where none may be": b'{"a": 1}\n\xef\xbb\xbf{"a": 2}\n{"a": 3}\n',
    "bad lines": b'{"a": 1}\nno\n[2]\n{"a": NaN}\n\xff\n{"a": "' + "ü".encode() * 9 + b'"}\n',
    "one long line": b'{"a": "' + b"x" * 50 + b'"}',
    "empty": b"",
    "only newlines": b"\n\n\n",
}


def together(kind: str, file: Path, size: int) -> list[dict[str, Any]]:
    found, before = [], 0
    for part in slices_of(kind, file, size):
        batches = list(read_slice(part))
        found += [renumbered(batch, before) for batch, _ in batches]
        before += batches[-1][1] if batches else 0
    return merged(found)


def merged(batches: list[Batch]) -> list[dict[str, Any]]:
    rows = [{"line": line, "fields": fields} for batch in batches for line, fields in batch.rows]
    return rows + [asdict(row) for batch in batches for row in batch.bad]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 10, 18, 1000])
def test_jsonl_by_bytes(tmp_path: Path, name: str, size: int) -> None:
    file = tmp_path / "f.jsonl"
    file.write_bytes(FILES[name])
    assert together("jsonl", file, size) == merged(list(read_jsonl(file)))


def test_csv_is_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text('a,b\n1,"x\ny"\n2\n3,z\n', "utf-8")
    assert len(slices_of("csv", file, 3)) == 1
    assert together("csv", file, 3) == merged(list(read_csv(file)))


def test_parquet_by_row_group(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from reindex.corpus.parquet import read_parquet

    file = tmp_path / "f.parquet"
    values = [float(number) if number % 40 else float("nan") for number in range(1, 101)]
    parquet.write_table(arrow.table({"a": values}), file, row_group_size=30)
    assert len(slices_of("parquet", file)) == 4
    whole = merged(list(read_parquet(file)))
    assert [row["line"] for row in whole if "reason" in row] == [40, 80]
    assert together("parquet", file, 1) == whole


def test_a_source_s_slices_are_in_the_order_of_its_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n", "utf-8")
    source = FileSource(SourceSettings(kind="jsonl", path=Path("*.jsonl")), tmp_path)
    assert [part.file.name for part in source.slices()] == ["a.jsonl", "b.jsonl"]
