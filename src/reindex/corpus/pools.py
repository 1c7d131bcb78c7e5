"""Files of results for people to judge, and the judgements that they gave.

A pool is JSONL, a line per query, and a BEIR queries file besides::

    {"_id": "q7", "text": "reset a password", "metadata": {"pooled": "12 of 300 queries differ"},
     "documents": [{"_id": "d3", "title": "Accounts", "text": "…", "grade": null}, …],
     "judged": {"d1": 1}}

``documents`` are shuffled, and nothing in the file says who found them. ``judged`` is what was
known before. Answers lie beside it in BEIR's form (``pool.qrels.tsv`` of ``pool.jsonl``), a line
each, written as soon as it is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from reindex.corpus.judgements import read_qrels, read_rows
from reindex.errors import DataError
from reindex.records import Judgements, Query

HEADER = "query-id\tcorpus-id\tscore\n"


@dataclass(frozen=True, slots=True)
class PooledDocument:
    """A result to judge. ``grade`` is one that somebody wrote into the file by hand."""

    id: str
    title: str
    text: str
    grade: int | None = None


@dataclass(frozen=True, slots=True)
class PooledQuery:
    """A query with the results to judge, and what was judged before."""

    id: str
    text: str
    documents: tuple[PooledDocument, ...]
    judged: dict[str, int] = field(default_factory=dict)
    group: str | None = None
    note: str = ""

    def as_line(self) -> str:
        """Its line in the file."""
        metadata = {"pooled": self.note, **({"group": self.group} if self.group else {})}
        documents = [
            {"_id": item.id, "title": item.title, "text": item.text, "grade": item.grade}
            for item in self.documents
        ]
        row = {"_id": self.id, "text": self.text, "metadata": metadata, "documents": documents}
        return json.dumps({**row, "judged": self.judged}, ensure_ascii=False) + "\n"


def write_pool(path: Path, queries: Sequence[PooledQuery]) -> None:
    """Write a pool; the file is whole or not there.

    Raises:
        DataError: there is one already, or it cannot be written.
    """
    check_new(path)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text("".join(query.as_line() for query in queries), "utf-8", "surrogatepass")
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from None


def check_new(path: Path) -> None:
    """Raise DataError where a pool or its judgements would be overwritten."""
    for taken in (path, answers_path(path)):
        if taken.exists():
            raise DataError(f"{taken} is there already, maybe half judged. Name another file.")


def read_pool(path: Path) -> list[PooledQuery]:
    """The queries of a pool.

    Raises:
        DataError: the file cannot be read, or a line is no pooled query.
    """
    return [_pooled(fields, f"{path}:{line}") for line, fields in read_rows(path)]


def _pooled(fields: Mapping[str, Any], where: str) -> PooledQuery:
    try:
        metadata = fields.get("metadata") or {}
        return PooledQuery(
            id=str(fields["_id"]),
            text=str(fields["text"]),
            documents=tuple(_document(item) for item in fields["documents"]),
            judged={str(id): int(grade) for id, grade in (fields.get("judged") or {}).items()},
            group=metadata.get("group"),
            note=str(metadata.get("pooled", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{where}: expected a query to judge, with _id, text and documents, as `reindex pool` "
            f"writes it; {type(error).__name__}: {error}."
        ) from None


def _document(item: Mapping[str, Any]) -> PooledDocument:
    grade = item.get("grade")
    return PooledDocument(
        str(item["_id"]), str(item.get("title") or ""), str(item.get("text") or ""),
        None if grade is None else int(grade),
    )  # fmt: skip


def answers_path(pool: Path) -> Path:
    """Where a pool's judgements are kept: ``pool.qrels.tsv`` beside ``pool.jsonl``."""
    return pool.with_name(f"{pool.stem}.qrels.tsv")


def pool_judgements(path: Path) -> Judgements:
    """A pool's queries with all that is known of them: before, by hand, and from `Answers`.

    Queries without a relevant document are in it, too.
    """
    queries = read_pool(path)
    answers = answers_path(path)
    given = read_qrels(answers) if answers.exists() else {}
    qrels = {query.id: {**query.judged, **by_hand(query), **given.get(query.id, {})}
             for query in queries}  # fmt: skip
    made = (Query(q.id, q.text, q.group, {"pooled": q.note} if q.note else {}) for q in queries)
    return Judgements(tuple(made), qrels)


def by_hand(query: PooledQuery) -> dict[str, int]:
    """The grades that somebody wrote into the pool itself."""
    return {item.id: item.grade for item in query.documents if item.grade is not None}


def pool_warnings(queries: Sequence[Query]) -> tuple[str, ...]:
    """What a reader of figures must know where judged queries were pooled, not drawn."""
    pooled = [query for query in queries if query.metadata.get("pooled")]
    if not pooled:
        return ()
    share = "All" if len(pooled) == len(queries) else f"{len(pooled):,} of the {len(queries):,}"
    return (
        f"{share} judged queries were pooled where two versions differ "
        f"({pooled[0].metadata['pooled']}): the change is the change there, not over all queries.",
    )


def with_pools(base: Judgements | None, pools: Sequence[Path]) -> Judgements | None:
    """``base`` and what people judged; where both judge a document, the pool counts.

    Raises:
        DataError: a pool cannot be read, or has another text for a query that is known.
    """
    if not pools:
        return base
    queries = {query.id: query for query in base.queries} if base else {}
    qrels = {id: dict(grades) for id, grades in base.qrels.items()} if base else {}
    for path in pools:
        found = pool_judgements(path)
        for query in found.queries:
            known = queries.setdefault(query.id, query)
            if known.text != query.text:
                raise DataError(
                    f"{path}: query {query.id!r} is {query.text!r} here and {known.text!r} "
                    "elsewhere. Give the queries of different files different ids."
                )
            qrels.setdefault(query.id, {}).update(found.qrels[query.id])
    kept = {id: grades for id, grades in qrels.items() if any(g > 0 for g in grades.values())}
    return Judgements(tuple(q for q in queries.values() if q.id in kept), kept) if kept else None


class Answers:
    """The judgements of one pool: each on disk before the next is asked for.

    A line that a kill cut off is dropped when the file is opened again.
    """

    def __init__(self, pool: Path) -> None:
        self.path = answers_path(pool)
        self.given: dict[tuple[str, str], int] = {}
        self._order: list[tuple[tuple[str, str], int]] = []

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror or error}.") from None
        self._load()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _load(self) -> None:
        self._file.seek(0)
        whole = self._file.read()
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            self._file.truncate(len(kept))
        if not kept:
            self._write(HEADER)
            return
        offset = 0
        for line in kept.splitlines(keepends=True):
            columns = line.decode("utf-8", "replace").rstrip("\n").split("\t")
            if len(columns) == 3 and columns[2].lstrip("-").isdecimal():
                self._note((columns[0], columns[1]), int(columns[2]), offset)
            offset += len(line)

    def give(self, query: str, document: str, grade: int) -> None:
        """Write one down. Raises DataError for ids that this form cannot hold."""
        if any(mark in id for id in (query, document) for mark in "\t\n\r"):
            raise DataError(f"The id {query!r} or {document!r} has a tab or a line break in it.")
        offset = self._file.seek(0, os.SEEK_END)
        self._write(f"{query}\t{document}\t{grade}\n")
        self._note((query, document), grade, offset)

    @property
    def last(self) -> tuple[str, str] | None:
        """(query, document) of the last one, also of an earlier session."""
        return self._order[-1][0] if self._order else None

    def undo(self) -> None:
        """Take the last one back. Raises IndexError where there is none."""
        pair, offset = self._order.pop()
        del self.given[pair]
        self._file.truncate(offset)
        os.fsync(self._file.fileno())

    def _note(self, pair: tuple[str, str], grade: int, offset: int) -> None:
        self.given[pair] = grade
        self._order.append((pair, offset))

    def _write(self, line: str) -> None:
        self._file.write(line.encode("utf-8", "surrogatepass"))
        self._file.flush()
        os.fsync(self._file.fileno())
