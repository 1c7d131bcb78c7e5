"""Files and tables that are read in slices on the cluster; see `collection` for collections."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from reindex.corpus.readers import Batch
from reindex.corpus.slices import renumbered
from reindex.corpus.sources import FileSource
from reindex.corpus.sql import SqlSource
from reindex.distributed.failures import raised_there
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink
from reindex.records import Document

logger = logging.getLogger(__name__)

SLICE_ROWS = 10_000
"""Rows of a table per slice: a tenth of a second of a query, ten megabytes or so in flight."""


class Part(Protocol):
    """A part of a source that any process can read once it is unpickled."""

    @property
    def place(self) -> str:
        """Lines are counted on from one part to the next of the same place."""

    def read(self) -> Iterator[tuple[Batch, int]]:
        """Batches, each with how many lines of the part were read by then."""


class SlicedFiles:
    """Implements ``protocols.DocumentSource``: the same documents and dead letters as its files
    read one after the other, in the same order, from any number of machines that see the files.

    What must be seen as a whole stays in the driver: equal ids in different slices, the numbers of
    the lines, the share of bad rows.
    """

    def __init__(self, files: FileSource) -> None:
        self._files = files
        self.reading = ""

    @property
    def name(self) -> str:
        """The files' own."""
        return self._files.name

    def count(self) -> int | None:
        """The files' own."""
        return self._files.count()

    def changed(self) -> Sequence[str]:
        """The files' own."""
        return self._files.changed()

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents in the order of the files; bad rows go to ``dead``."""
        yield from self._files.usable(self._batches(), dead)

    def _batches(self) -> Iterator[tuple[Path, Batch]]:
        parts = self._files.slices()
        self.reading = f"{len(parts):,} slices"
        for place, batch in _numbered(parts):
            yield Path(place), batch


class SlicedTable:
    """Implements ``protocols.RereadableSource``: the rows of a query, by ranges of their ids.

    In the order of the ids, not in the query's; lines are numbered in that order. The slices are
    read at different times, so what is written meanwhile may be seen or not.
    """

    def __init__(self, table: SqlSource) -> None:
        self._table = table
        self.opener = table.elsewhere()
        self.reading = ""

    @property
    def name(self) -> str:
        """The table's own."""
        return self._table.name

    def count(self) -> int | None:
        """The table's own."""
        return self._table.count()

    def current(self, ids: Sequence[int | str]) -> Mapping[int | str, Document | None]:
        """The table's own."""
        return self._table.current(ids)

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; bad rows go to ``dead``. Where the database cannot divide the
        query, it is read here, in one piece.
        """
        try:
            parts = self._table.slices(SLICE_ROWS)
            pickle.dumps(parts[-1])
        except (DataError, pickle.PicklingError, TypeError) as error:
            self.reading = f"one piece, for it cannot be divided: {error}"
            logger.warning("%s is read in %s", self.name, self.reading)
            yield from self._table.documents(dead)
            return
        self.reading = f"{len(parts):,} slices"
        yield from self._table.usable((batch for _, batch in _numbered(parts)), dead)


def _numbered(parts: Sequence[Part]) -> Iterator[tuple[str, Batch]]:
    """Place and batch of all parts in order, the lines counted through each place."""
    before = lines = last = 0
    for index, batch, read in _read(parts):
        if index != last:
            same = parts[index].place == parts[last].place
            before = before + lines if same else 0
            last = index
        lines = read
        yield parts[index].place, renumbered(batch, before)


def _read(parts: Sequence[Part]) -> Iterator[tuple[int, Batch, int]]:
    """Slice number, batch, and lines of the slice so far; read by Ray Data tasks, given in order.

    The tasks reserve no cores: those belong to the encoders, and reading takes a small share.
    """
    from ray import data

    rows = [{"index": index, "part": pickle.dumps(part)} for index, part in enumerate(parts)]
    dataset = data.from_items(rows, override_num_blocks=len(rows))
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every run
    for row in _told(dataset.flat_map(_rows, num_cpus=0)):
        yield row["index"], pickle.loads(row["batch"]), row["lines"]  # noqa: S301 (our own)


def _told(dataset: Any) -> Iterator[Any]:
    """The rows; what a task raises is raised here."""
    from ray.exceptions import RayError

    try:
        yield from dataset.iter_rows()
    except RayError as error:
        raise raised_there(error, "reading the source") from error


def _rows(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    part: Part = pickle.loads(row["part"])  # noqa: S301 (our own)
    for batch, lines in part.read():
        yield {"index": row["index"], "batch": pickle.dumps(batch), "lines": lines}
