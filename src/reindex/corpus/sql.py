"""Rows of an SQL query -> documents, through SQLAlchemy (needs the ``[sql]`` extra).

The query runs as it is written, behind a cursor of the server's where the driver has one: memory
stays flat in the number of rows.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.config import SourceSettings
from reindex.corpus.documents import UnusableRow, document_maker
from reindex.corpus.readers import BadRow, Batch
from reindex.corpus.rows import usable
from reindex.corpus.sql_database import Database
from reindex.corpus.sql_values import BACK, NoJsonForm, plain, plain_row
from reindex.errors import ConfigError, DataError
from reindex.protocols import DeadLetterSink
from reindex.records import Document

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement, Connection, Result, TextClause

logger = logging.getLogger(__name__)
IDS_PER_QUERY = 500
"""In one IN list: below the limits of every database (Oracle's is 1,000)."""


class SqlSource:
    """Documents of a query, one per row. Of rows with the same id the first one counts.

    Can be read again and again, from any thread; every reading has a connection of its own.
    """

    def __init__(self, settings: SourceSettings, root: Path) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigError: the URL is missing, malformed or holds a password in the file.
            MissingExtra: SQLAlchemy, or the database's driver, is not installed.
        """
        if not settings.query.strip():
            raise ConfigError(
                "source.query is empty: an SQL source needs the SELECT that gives a row per "
                'document, e.g. query = "SELECT id, title, body FROM articles".'
            )
        self._settings, self._root = settings, root
        self._query = settings.query.strip().rstrip(";").rstrip()
        self._database = Database.of(settings, root)

    @property
    def name(self) -> str:
        """``source.name``, else the database without user, password and options."""
        return self._settings.name or f"sql:{self._database.name}"

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents in the query's order; bad rows go to ``dead``.

        Raises:
            DataError: the database cannot be reached, the query fails or lacks a column, or not
                one of the rows is a document.
            TooManyBadRows: ``dead`` says so.
        """
        with contextlib.closing(self.batches()) as batches:
            yield from self.usable(batches, dead)

    def usable(self, batches: Iterable[Batch], dead: DeadLetterSink) -> Iterator[Document]:
        """The documents among the rows, whoever read them; see `documents`."""
        placed = ((self.name, batch) for batch in batches)
        yield from usable(placed, self._settings, self.name, dead)

    def elsewhere(self) -> Callable[[], SqlSource]:
        """What opens the same source in another process, and can be pickled; it holds no secret."""
        return partial(SqlSource, self._settings, self._root)

    def slices(self, rows: int) -> list[SqlSlice]:
        """The query's rows by ranges of their ids, about ``rows`` each, in the ids' order.

        The database numbers the ids in their order, so it needs window functions, and to take the
        query as a subquery.

        Raises:
            DataError: it cannot.
        """
        from sqlalchemy import column, func, literal_column, select

        id: ColumnElement[Any] = column(self._settings.id_field)
        number = func.row_number().over(order_by=id).label("reindex_number")
        numbered = self._around(id).add_columns(number).where(id.is_not(None)).subquery()
        bounds = (
            select(numbered.c[0])
            .where((numbered.c.reindex_number - 1) % rows == literal_column("0"))
            .order_by(numbered.c[0])
        )
        with self._database.connection() as connection:
            starts = [None, *dict.fromkeys(connection.execute(bounds).scalars().all()[1:])]
        return [
            SqlSlice(self._settings, self._root, start, stop)
            for start, stop in zip(starts, [*starts[1:], None], strict=True)
        ]

    def count(self) -> int | None:
        """Rows of the query, counted by the database; None where it cannot count this query."""
        try:
            with self._database.connection() as connection:
                return int(connection.execute(self._around("count(*)")).scalar_one())
        except DataError as error:  # some refuse ORDER BY or WITH in a subquery
            logger.debug("the rows of %s cannot be counted: %s", self.name, error)
            return None

    def current(self, ids: Sequence[int | str]) -> dict[int | str, Document | None]:
        """Read some documents again: those that the query still gives, by id.

        An id that it no longer gives is left out; one whose row makes no document is None.

        Raises:
            DataError: the database cannot be reached, or the query fails.
        """
        found: dict[int | str, Document | None] = {}
        make = document_maker(self._settings)
        with self._database.connection() as connection:
            native = self._id_type(connection)
            for start in range(0, len(ids), IDS_PER_QUERY):
                wanted = list(_native(ids[start : start + IDS_PER_QUERY], native))
                if not wanted:
                    continue
                result = connection.execute(self._some(), {"ids": wanted})
                names = self._columns(result)
                for row in result:
                    id, document = self._one(names, tuple(row), make)
                    if id is not None:
                        found.setdefault(id, document)
        asked = set(ids)
        return {id: document for id, document in found.items() if id in asked}

    def batches(self, part: SqlSlice | None = None) -> Generator[Batch, None, None]:
        """The rows as they come, or those of a part; lines count from its own first row."""
        rows = self._settings.fetch_rows
        query = self._text(self._query) if part is None else self._within(part)
        with self._database.connection() as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=rows)
            result = streamed.execute(query)
            names, line = self._columns(result), 1
            for fetched in result.partitions(rows):
                yield self._batch(names, line, fetched)
                line += len(fetched)

    def _batch(self, names: list[str], line: int, rows: Sequence[Any]) -> Batch:
        batch = Batch()
        for number, row in enumerate(rows, line):
            try:
                batch.rows.append((number, plain_row(names, row)))
            except NoJsonForm as error:
                batch.bad.append(BadRow(number, str(error), repr(row), self._id(names, row)))
        return batch

    def _id(self, names: list[str], row: Sequence[Any]) -> int | str | None:
        """The id of a row that makes no document: it counts as present all the same."""
        try:
            id = plain(row[names.index(self._settings.id_field)])
        except NoJsonForm:
            return None
        return id if type(id) in (int, str) else None

    def _one(
        self, names: list[str], row: tuple[Any, ...], make: Any
    ) -> tuple[int | str | None, Document | None]:
        try:
            document: Document = make(plain_row(names, row))
        except (NoJsonForm, UnusableRow):
            return self._id(names, row), None
        return document.id, document

    def _columns(self, result: Result[Any]) -> list[str]:
        """The columns' names; DataError where one that is needed is missing, or one is twice."""
        names = list(map(str, result.keys()))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"source.query gives two columns named {twice[0]!r}. Name one of them with AS."
            )
        needed = {"id_field": (self._settings.id_field,), "text_fields": self._settings.text_fields}
        for key, fields in needed.items():
            if missing := [field for field in fields if field not in names]:
                raise DataError(
                    f"source.{key} names {missing[0]!r}, but source.query gives the columns "
                    f"{', '.join(names)}. Correct reindex.toml, or rename a column with AS."
                )
        return names

    def _id_type(self, connection: Connection) -> type:
        """What the driver gives for the id column, of a row that has one."""
        from sqlalchemy import column

        id: ColumnElement[Any] = column(self._settings.id_field)
        sample = connection.execute(self._around(id).where(id.is_not(None)).limit(1)).scalar()
        return type(sample)

    def _some(self) -> Any:
        from sqlalchemy import bindparam, column, literal_column

        wanted: BindParameter[Any] = bindparam("ids", expanding=True)
        return self._around(literal_column("*")).where(column(self._settings.id_field).in_(wanted))

    def _within(self, part: SqlSlice) -> Any:
        """The rows of a part; those without an id belong to the first one."""
        from sqlalchemy import and_, column, literal_column, or_, true

        id: ColumnElement[Any] = column(self._settings.id_field)
        low = true() if part.start is None else id >= part.start
        high = true() if part.stop is None else id < part.stop
        chosen = and_(low, high)
        if part.start is None:
            chosen = or_(chosen, id.is_(None))
        return self._around(literal_column("*")).where(chosen)

    def _around(self, what: Any) -> Any:
        from sqlalchemy import literal_column, select

        column = literal_column(what) if isinstance(what, str) else what
        # no AS: Oracle has none before a table's alias
        return select(column).select_from(self._text(f"({self._query}\n) reindex_rows"))

    def _text(self, sql: str) -> TextClause:
        """SQL as it stands: a colon in it is no parameter."""
        from sqlalchemy import text

        return text(sql.replace(":", r"\:"))


@dataclass(frozen=True, slots=True)
class SqlSlice:
    """The rows whose ids are within [start, stop), as the database compares them; None: no bound.

    Can be read in any process that reaches the database.
    """

    settings: SourceSettings
    root: Path
    start: Any
    stop: Any

    @property
    def place(self) -> str:
        """One for all: lines are counted on from slice to slice."""
        return ""

    def read(self) -> Iterator[tuple[Batch, int]]:
        """Batches, each with how many rows of the slice were read by then."""
        whole = self.start is None and self.stop is None
        rows = 0
        for batch in SqlSource(self.settings, self.root).batches(None if whole else self):
            rows += len(batch.rows) + len(batch.bad)
            yield batch, rows


def _native(ids: Sequence[int | str], kind: type) -> Iterator[Any]:
    """Ids as the database has them; one that cannot be of its type cannot be in it."""
    back = BACK.get(kind)
    for id in ids:
        if back is None:
            yield id
            continue
        with contextlib.suppress(ValueError, ArithmeticError, TypeError):
            yield back(id)
