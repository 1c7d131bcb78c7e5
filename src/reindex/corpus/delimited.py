"""CSV and TSV -> rows, in batches. What quotes mean is told first, and what a broken one costs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from reindex.corpus.readers import BATCH_ROWS, BadRow, Batch, Fields
from reindex.errors import DataError

FUSED_LINES = 10
"""A row of so many lines is none if each of them has the header's number of fields.

A text of so many lines that have as many commas each as the table is hardly ever written; rows
between the quote that opens one field and the quote that closes another look just like this.
"""
_FIELD_LIMIT = 16 * 2**20  # Python's default of 128 KiB is less than a long document
_QUOTED = r'"[^"]*(?:""[^"]*)*"'
_RECORD = re.compile(rf'(?:{_QUOTED}|[^"\t]*)(?:\t(?:{_QUOTED}|[^"\t]*))*[\r\n]*')
_QUOTED_HEADER = re.compile(r'"[^"\t]*"(?:\t"[^"\t]*")*[\r\n]*')


def read_csv(file: Path) -> Iterator[Batch]:
    """A header and rows; comma-separated, or tab-separated if the name ends in ``.tsv``.

    Where the header has no comma, semicolons (as spreadsheets write where a comma is a decimal
    point) or tabs may separate. Between tabs a quote is a character like any other, unless the
    file is evidently quoted: see `is_quoted`.

    The line of a row is the one that it starts on (a quoted field may hold newlines). All values
    are strings. Where a row cannot be read, each line that it took in and that would be a row by
    itself is bad as well.

    Raises:
        DataError: there is no header, or a column stands in it twice.
    """
    # The csv module knows one limit for the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        delimiter = _delimiter(lines, file)
        literal = delimiter == "\t" and not is_quoted(lines)
        lines.seek(0)
        taken: list[str] = []
        reader = csv.reader(
            _keeping(lines, taken), delimiter=delimiter, strict=True,
            quoting=csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL,
        )  # fmt: skip
        table = _Table(_header(reader, file), delimiter)
        numbered = _rows(reader, table, taken)
        while chunk := list(islice(numbered, BATCH_ROWS)):
            yield Batch(
                [row for row in chunk if not isinstance(row, BadRow)],
                [row for row in chunk if isinstance(row, BadRow)],
            )


def _delimiter(lines: IO[str], file: Path) -> str:
    if file.suffix == ".tsv":
        return "\t"
    header = lines.readline()
    lines.seek(0)
    return next((mark for mark in ",;\t" if mark in header), ",")


def is_quoted(lines: Iterable[str]) -> bool:
    """Whether the lines of a tab-separated file were written with quotes around fields.

    They were if each name in the header is quoted. Otherwise every quote must stand where a
    writer of CSV puts it (around a whole field, doubled within), one field at least must need it
    (it holds a tab, a newline or a quote, as Python and pandas write), and no quotes may take in
    two lines that have the header's number of fields: those are rows that begin or end with a
    quote by chance.
    """
    rest = iter(lines)
    header = next(rest, "")
    if _QUOTED_HEADER.fullmatch(header):
        return True
    tabs, needed = header.count("\t"), False
    rest = chain([header], rest)
    for line in rest:
        if '"' not in line:
            continue
        record = _record(line, rest)
        text = "".join(record)
        whole = sum(part.count("\t") == tabs for part in record)
        if (len(record) > 1 and whole > 1) or not _RECORD.fullmatch(text):
            return False
        needed = needed or any(_needed(field) for field in re.findall(_QUOTED, text))
    return needed


def _record(line: str, rest: Iterator[str]) -> list[str]:
    """The line and those after it, until all quotes are closed, or as much as a field may be."""
    record, quotes, size = [line], line.count('"'), len(line)
    while quotes % 2 and size <= _FIELD_LIMIT and (line := next(rest, "")):
        record.append(line)
        quotes, size = quotes + line.count('"'), size + len(line)
    return record


def _needed(field: str) -> bool:
    return any(mark in field[1:-1] for mark in '\t\r\n"')


def _keeping(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _header(reader: Any, file: Path) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{file}:1: the header cannot be read as CSV: {error}.") from None
    if not header:
        raise DataError(f"{file}:1: expected a header with the columns' names; the line is empty.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{file}:1: the header has {twice[0]!r} twice. Rename one of the columns.")
    return header


@dataclass(frozen=True, slots=True)
class _Table:
    header: list[str]
    delimiter: str

    def fused(self, lines: list[str]) -> bool:
        """Whether the lines of one row are rows each."""
        return (
            len(lines) >= FUSED_LINES
            and len(self.header) > 1
            and all(line.count(self.delimiter) == len(self.header) - 1 for line in lines)
        )

    def is_row(self, line: str) -> bool:
        """Whether a line would be a row by itself, its quotes read as such or as characters."""
        if not line.strip():
            return False
        if line.count(self.delimiter) == len(self.header) - 1:
            return True
        try:
            values = next(csv.reader([line], delimiter=self.delimiter, strict=True))
        except csv.Error:
            return False
        return len(values) == len(self.header)


def _rows(reader: Any, table: _Table, taken: list[str]) -> Iterator[tuple[int, Fields] | BadRow]:
    """The rows; ``taken`` are the lines that were read since it was emptied."""
    while True:
        taken.clear()
        try:
            values = next(reader)
            reason = _wrong(values, table, taken) if values else ""
        except StopIteration:
            return
        except csv.Error as error:
            values, reason = [], f"invalid CSV: {error}"
        line = reader.line_num - len(taken) + 1
        if reason:
            yield from _bad(line, reason, taken, table)
        elif values:
            yield line, dict(zip(table.header, values, strict=True))


def _wrong(values: list[str], table: _Table, lines: list[str]) -> str:
    """Why the values are no row; "" if they are."""
    if len(values) != len(table.header):
        return f"wrong number of fields: expected {len(table.header)}, got {len(values)}"
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return "invalid UTF-8"
    return "invalid CSV: quotes around several rows" if table.fused(lines) else ""


def _bad(line: int, reason: str, lines: list[str], table: _Table) -> Iterator[BadRow]:
    """The row that cannot be used, and those that it took in."""
    if len(lines) > 1:
        mark = "" if ":" in reason else ":"
        reason = f"{reason}{mark} in lines {line:,} to {line + len(lines) - 1:,}"
    yield BadRow(line, reason, _shown("".join(lines)))
    for number, text in enumerate(lines[1:], line + 1):
        if table.is_row(text):
            within = f"invalid CSV: within a row that begins in line {line:,}"
            yield BadRow(number, within, _shown(text))


def _shown(text: str) -> str:
    raw = text.rstrip("\r\n").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")
