"""Files -> rows: JSON, streamed in batches, every row with its line number.

A reader yields batches; a batch holds the rows that could be read and, apart, those that could
not, each with a reason. What a row must contain is not decided here.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from reindex.errors import DataError

Fields = dict[str, Any]
BATCH_ROWS = 1_000
_BOM = b"\xef\xbb\xbf"
_BACKSLASH = ord("\\")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: where it stands, why, and as much of it as could be read."""

    line: int
    reason: str
    row: str
    id: int | str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in file order, as ``(line, fields)``, and the bad ones among them."""

    rows: list[tuple[int, Fields]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


Reader = Callable[[Path], Iterator[Batch]]


def read_jsonl(file: Path) -> Iterator[Batch]:
    """One JSON object per line, UTF-8. Blank lines are skipped; NaN and Infinity are bad."""
    with file.open("rb", buffering=2**20) as lines:
        yield from jsonl_batches(enumerate(lines, 1))


def read_json(file: Path) -> Iterator[Batch]:
    """One JSON array of objects, whose "lines" are their numbers from 1; else as `read_jsonl`.

    Raises:
        DataError: it begins as an array and is none.
    """
    with file.open("rb") as beginning:
        first = beginning.read(1024).removeprefix(_BOM).lstrip()[:1]
    if first != b"[":
        yield from read_jsonl(file)
        return
    try:
        rows = strict_decoder().decode(file.read_bytes().removeprefix(_BOM).decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: {explain(error)}.") from None
    # Once more as lines: what is a bad row is decided in one place.
    yield from jsonl_batches((at, json.dumps(row).encode()) for at, row in enumerate(rows, 1))


def read_jsonl_gz(file: Path) -> Iterator[Batch]:
    """As `read_jsonl`, compressed by gzip. Raises OSError: it is not."""
    with gzip.open(file, "rb") as lines:
        yield from jsonl_batches(enumerate(lines, 1))


def jsonl_batches(numbered: Iterator[tuple[int, bytes]]) -> Iterator[Batch]:
    """Lines with their numbers -> batches. A byte order mark may begin line 1."""
    decode = strict_decoder().decode
    while chunk := list(islice(numbered, BATCH_ROWS)):
        batch = Batch()
        for line, raw in chunk:
            try:
                _parse(raw, line, decode, batch)
            except (ValueError, RecursionError) as error:
                reason = explain(error)
                batch.bad.append(BadRow(line, reason, raw.decode("utf-8", "backslashreplace")))
        yield batch


def _parse(raw: bytes, line: int, decode: Callable[[str], Any], batch: Batch) -> None:
    if line == 1:
        raw = raw.removeprefix(_BOM)
    if raw.isspace() or not raw:
        return
    fields = decode(raw.decode())
    if type(fields) is not dict:
        raise ValueError(f"not a JSON object: {type(fields).__name__}")
    # Only an escape can make half a surrogate pair. A single byte is found 30 times as fast.
    if _BACKSLASH in raw and (b"\\ud" in raw or b"\\uD" in raw):
        json.dumps(fields, ensure_ascii=False).encode()
    batch.rows.append((line, fields))


def strict_decoder() -> json.JSONDecoder:
    """A decoder that refuses what strict JSON lacks: NaN, Infinity, and numbers as large."""

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"a number that JSON cannot hold: {text[:40]}")
        return value

    return json.JSONDecoder(parse_constant=number, parse_float=number)


def explain(error: Exception) -> str:
    """A reason for people; what stands before the colon groups equal reasons."""
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error.msg} at column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return "invalid text: half of a surrogate pair"
    if isinstance(error, RecursionError):
        return "invalid JSON: nested too deeply"
    return str(error)
