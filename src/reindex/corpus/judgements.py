"""Judged queries: BEIR queries, BEIR and TREC relevance judgements.

These files are small and made by hand or by a tool, so an error in them stops the reading and
names the file and the line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reindex.corpus.readers import Fields, read_jsonl
from reindex.errors import DataError
from reindex.records import Judgements, Qrels, Query, query_hash

_Judgement = tuple[str, str, str]
_Splitter = Callable[[str], _Judgement | None]
_OWN = ("_id", "text", "group", "metadata", "documents", "judged")


def read_queries(path: Path) -> list[Query]:
    """Queries of a BEIR JSONL file: ``_id``, ``text``, and a group where there is one.

    The group is ``metadata.group``, or else ``group``. Ids become strings, as in qrels.

    Raises:
        DataError: the file cannot be read, or a row has no id, no text or an id seen before.
    """
    queries: dict[str, Query] = {}
    for line, fields in read_rows(path):
        query = _query(fields, f"{path}:{line}")
        if query.id in queries:
            raise DataError(f"{path}:{line}: the query id {query.id!r} is there twice.")
        queries[query.id] = query
    return list(queries.values())


def read_query_texts(path: Path) -> list[Query]:
    """Queries as BEIR JSONL (``.jsonl``, ``.json``, or a first line that begins with a brace), or
    as plain text with a query on each line.

    Lines of plain text get their number as the id; empty ones are skipped, and so is a query that
    stands there already.

    Raises:
        DataError: the file cannot be read, is malformed, or has no query.
    """
    if path.suffix in (".jsonl", ".json") or _begins_with_brace(path):
        queries = read_queries(path)
    else:
        texts = dict[str, int]()
        for line, text in _lines(path):
            texts.setdefault(" ".join(text.split()), line)
        queries = [Query(f"line {line}", text) for text, line in texts.items()]
    if not queries:
        raise DataError(f"{path}: expected queries, got an empty file.")
    return queries


def read_rows(path: Path) -> Iterator[tuple[int, Fields]]:
    """Line number and fields of every row of a JSONL file made by hand. Raises DataError."""
    try:
        for batch in read_jsonl(path):
            if batch.bad:
                raise DataError(f"{path}:{batch.bad[0].line}: {batch.bad[0].reason}.")
            yield from batch.rows
    except OSError as error:
        raise _unreadable(path, error) from None


def _query(fields: Fields, where: str) -> Query:
    id, text = fields.get("_id"), fields.get("text")
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        raise DataError(f"{where}: expected an '_id' (string or integer), got {id!r}.")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: query {id!r} has no 'text'.")
    metadata = fields.get("metadata")
    group: Any = metadata.get("group") if isinstance(metadata, dict) else None
    group = fields.get("group") if group is None else group
    rest = {key: value for key, value in fields.items() if key not in _OWN}
    rest |= metadata if isinstance(metadata, dict) else {}
    return Query(str(id), text, None if group is None else str(group), rest)


def without(judged: Judgements, others: Judgements | None) -> Judgements | None:
    """The judgements on queries that do not have the words of ``others``; None: none is left."""
    taken = {query_hash(query.text) for query in others.queries} if others else set()
    kept = tuple(query for query in judged.queries if query_hash(query.text) not in taken)
    if len(kept) == len(judged.queries):
        return judged
    ids = {query.id for query in kept}
    qrels = {id: grades for id, grades in judged.qrels.items() if id in ids}
    return Judgements(kept, qrels) if kept else None


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements as query id -> document id -> relevance. Two formats, told by the first line.

    BEIR: three tab-separated columns (query, document, relevance), with or without a header.
    TREC: four columns (query, iteration, document, relevance), white space between them.

    Raises:
        DataError: the file cannot be read, is in neither format, or judges a pair in two ways.
    """
    qrels: dict[str, dict[str, int]] = {}
    for line, (query, document, relevance) in judgement_rows(path):
        try:
            grade = int(relevance)
        except ValueError:
            raise DataError(
                f"{path}:{line}: expected an integer relevance, got {relevance!r}."
            ) from None
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise DataError(
                f"{path}:{line}: query {query!r} and document {document!r} were judged "
                f"{qrels[query][document]} before, and {grade} here."
            )
    return qrels


def judgement_rows(path: Path) -> Iterator[tuple[int, _Judgement]]:
    """Line and (query, document, relevance) of every row, all as text; see `read_qrels`."""
    split: _Splitter | None = None
    for line, text in _lines(path):
        if split is None:
            split = _format(text, f"{path}:{line}")
            if split is _beir and not _is_integer(text.split("\t")[2]):
                continue  # the header
        judgement = split(text)
        if judgement is None:
            expected = "3 tab-separated" if split is _beir else "4"
            raise DataError(f"{path}:{line}: expected {expected} columns, got {text[:80]!r}.")
        yield line, judgement


def _begins_with_brace(path: Path) -> bool:
    return next((text.lstrip().startswith("{") for _, text in _lines(path)), False)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}.") from None
    return ((i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip())


def _format(text: str, where: str) -> _Splitter:
    for split in (_beir, _trec):
        if split(text) is not None:
            return split
    raise DataError(
        f"{where}: expected judgements as BEIR (query-id, corpus-id, score; tabs between them) "
        f"or TREC (query, iteration, document, relevance); got {text[:80]!r}."
    )


def _beir(text: str) -> _Judgement | None:
    columns = [column.strip() for column in text.split("\t")]
    return (columns[0], columns[1], columns[2]) if len(columns) == 3 and all(columns) else None


def _trec(text: str) -> _Judgement | None:
    columns = text.split()
    return (columns[0], columns[2], columns[3]) if len(columns) == 4 else None


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("+-").isdecimal()


def load_judgements(
    queries: Path, qrels: Path, *, max_queries: int | None = None, seed: int = 0
) -> Judgements:
    """The queries of ``qrels`` that have a relevant document, in the order of ``queries``.

    Args:
        queries: BEIR JSONL, or plain text whose ids are ``line 1`` and so on.
        qrels: BEIR or TREC judgements; a relevance above 0 is relevant.
        max_queries: Take a random sample of this many. The sample depends on the ids and the
            seed, not on the order of the files.
        seed: Seed of the sample.

    Raises:
        DataError: a file is malformed, no query has a relevant document, or a judged query has
            no text.
    """
    graded = read_qrels(qrels)
    judged = sorted(id for id, documents in graded.items() if max(documents.values()) > 0)
    if not judged:
        raise DataError(f"{qrels}: expected judgements above 0; no query has a relevant document.")
    known = read_query_texts(queries)
    _check_texts(judged, known, queries, qrels)
    if max_queries is not None and max_queries < len(judged):
        judged = random.Random(seed).sample(judged, max_queries)  # noqa: S311 (no secret)
    taken = frozenset(judged)
    chosen: Qrels = {id: graded[id] for id in sorted(taken)}
    return Judgements(tuple(query for query in known if query.id in taken), chosen)


def _check_texts(judged: list[str], known: list[Query], queries: Path, qrels: Path) -> None:
    missing = sorted(frozenset(judged).difference(query.id for query in known))
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(judged):,} queries judged in {qrels} have no text in "
            f"{queries}, for example {missing[0]!r}. The two files must belong together."
        )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")
