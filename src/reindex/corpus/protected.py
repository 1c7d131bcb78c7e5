"""Protected queries: a file of queries whose answers must stay among the first k."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reindex.corpus.readers import read_jsonl
from reindex.errors import DataError
from reindex.records import Query

SEPARATOR = ";"
"""Between the document ids of one cell of a CSV file."""


@dataclass(frozen=True, slots=True)
class ProtectedQuery:
    """A query, the documents that must be found, and among how many results."""

    text: str
    documents: tuple[str, ...]
    k: int


def read_protected(path: Path, queries: Sequence[Query], *, k: int) -> list[ProtectedQuery]:
    """Read a ``.csv`` file with a header, or JSONL.

    A row has ``query`` (the text) or ``query_id`` (of one of ``queries``), ``documents`` (a list;
    in CSV with semicolons between) and ``k``, without which it is ``k``.

    Raises:
        DataError: the file or one of its rows cannot be used; names the line.
    """
    texts = {query.id: query.text for query in queries}
    rows = _csv(path) if path.suffix.lower() == ".csv" else _jsonl(path)
    found = [_protected(row, texts, f"{path}:{line}", k) for line, row in rows]
    if not found:
        raise DataError(f"{path}: expected protected queries, found no row.")
    return found


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for row in reader:
        yield reader.line_num, {str(key): value for key, value in row.items() if value}


def _jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        for batch in read_jsonl(path):
            for bad in batch.bad:
                raise DataError(f"{path}:{bad.line}: {bad.reason}.")
            yield from batch.rows
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _protected(
    row: Mapping[str, Any], texts: Mapping[str, str], where: str, k: int
) -> ProtectedQuery:
    return ProtectedQuery(_text(row, texts, where), _documents(row, where), _k(row, where, k))


def _text(row: Mapping[str, Any], texts: Mapping[str, str], where: str) -> str:
    text, id = row.get("query"), row.get("query_id")
    if (text is None) == (id is None):
        raise DataError(f"{where}: expected either 'query' (the text) or 'query_id'; got {row}.")
    if text is not None:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: 'query' is {text!r}, expected a text.")
        return text
    if str(id) not in texts:
        raise DataError(f"{where}: no judged query has the id {id!r}. Write its text as 'query'.")
    return texts[str(id)]


def _documents(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    given = row.get("documents")
    items = given.split(SEPARATOR) if isinstance(given, str) else given
    if isinstance(items, int) and not isinstance(items, bool):
        items = [items]
    if not isinstance(items, list) or not all(isinstance(item, str | int) for item in items):
        raise DataError(f"{where}: 'documents' is {given!r}, expected document ids.")
    ids = tuple(dict.fromkeys(str(item).strip() for item in items))
    if not ids or "" in ids:
        raise DataError(f"{where}: 'documents' is {given!r}, expected at least one document id.")
    return ids


def _k(row: Mapping[str, Any], where: str, k: int) -> int:
    given = row.get("k", k)
    number = int(given) if isinstance(given, int) or str(given).strip().isdecimal() else 0
    if isinstance(given, bool) or number < 1:
        raise DataError(f"{where}: 'k' is {given!r}, expected a number of 1 or more.")
    if number < len(_documents(row, where)):
        raise DataError(f"{where}: {len(_documents(row, where))} documents cannot be in {number}.")
    return number
