"""Parquet files -> rows, batch by batch (needs the ``[parquet]`` extra)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reindex.corpus.readers import BATCH_ROWS, BadRow, Batch, Fields
from reindex.errors import DataError, MissingExtra


def require_pyarrow() -> Any:
    """The ``pyarrow.parquet`` module.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("parquet", "pyarrow") from None
    return parquet


def read_parquet(file: Path, group: int | None = None) -> Iterator[Batch]:
    """Rows of a Parquet file, or of one row group; the "line" is the row's number in it, from 1.

    Dates, times and timestamps become ISO 8601 text. A row with any other value that strict JSON
    cannot hold (NaN, binary, decimals) is bad.

    Raises:
        DataError: the file is no Parquet file.
    """
    line = 1
    with _open(file) as table:
        names, checked = table.schema_arrow.names, _needs_check(table.schema_arrow)
        groups = None if group is None else [group]
        for records in table.iter_batches(batch_size=BATCH_ROWS, row_groups=groups):
            columns = [_values(column) for column in records.columns]
            rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
            numbered = list(enumerate(rows, line))
            yield _checked(numbered) if checked else Batch(numbered)
            line += len(rows)


def count_parquet(file: Path) -> int:
    """Rows of a Parquet file, from its metadata."""
    with _open(file) as table:
        return int(table.metadata.num_rows)


def parquet_groups(file: Path) -> int:
    """Row groups of a Parquet file."""
    with _open(file) as table:
        return int(table.metadata.num_row_groups)


def _open(file: Path) -> Any:
    parquet = require_pyarrow()
    try:
        return parquet.ParquetFile(file)
    except (ValueError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise DataError(f"{file} cannot be read as Parquet: {error}.") from None


def _values(column: Any) -> list[Any]:
    from pyarrow import types

    values: list[Any] = column.to_pylist()
    if types.is_date(column.type) or types.is_timestamp(column.type) or types.is_time(column.type):
        return [None if value is None else value.isoformat() for value in values]
    return values


def _needs_check(schema: Any) -> bool:
    """Whether a column's type can hold what JSON cannot."""
    from pyarrow import types

    safe = (
        types.is_integer, types.is_boolean, types.is_string, types.is_large_string,
        types.is_date, types.is_time, types.is_timestamp, types.is_null,
    )  # fmt: skip
    return not all(any(check(kind) for check in safe) for kind in schema.types)


def _checked(rows: list[tuple[int, Fields]]) -> Batch:
    batch = Batch()
    for line, fields in rows:
        try:
            json.dumps(fields, allow_nan=False)
        except (TypeError, ValueError) as error:
            batch.bad.append(BadRow(line, f"not JSON: {error}", repr(fields)))
        else:
            batch.rows.append((line, fields))
    return batch
