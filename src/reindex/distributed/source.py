"""A source of files that is read in slices on the cluster."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reindex.corpus.readers import Batch
from reindex.corpus.slices import FileSlice, read_slice, renumbered
from reindex.corpus.sources import FileSource
from reindex.distributed.failures import raised_there
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import Document


def sliced(source: DocumentSource) -> DocumentSource:
    """Files are read in slices on the cluster, anything else in the driver."""
    return SlicedSource(source) if isinstance(source, FileSource) else source


class SlicedSource:
    """Implements ``protocols.DocumentSource``: the same documents and dead letters as its files
    read one after the other, in the same order, from any number of machines that see the files.

    What must be seen as a whole stays in the driver: equal ids in different slices, the numbers of
    the lines, the share of bad rows.
    """

    def __init__(self, files: FileSource) -> None:
        self._files = files

    @property
    def name(self) -> str:
        """The files' own."""
        return self._files.name

    def count(self) -> int | None:
        """The files' own."""
        return self._files.count()

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents in the order of the files; bad rows go to ``dead``."""
        yield from self._files.usable(self._batches(), dead)

    def _batches(self) -> Iterator[tuple[Path, Batch]]:
        """The slices' batches in order, their lines counted through each file."""
        parts = self._files.slices()
        before = lines = 0
        last = 0
        for index, batch, read in _read(parts):
            if index != last:
                same = parts[index].file == parts[last].file
                before = before + lines if same else 0
                last = index
            lines = read
            yield parts[index].file, renumbered(batch, before)


def _read(parts: list[FileSlice]) -> Iterator[tuple[int, Batch, int]]:
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
    part: FileSlice = pickle.loads(row["part"])  # noqa: S301 (our own)
    try:
        for batch, lines in read_slice(part):
            yield {"index": row["index"], "batch": pickle.dumps(batch), "lines": lines}
    except OSError as error:
        raise DataError(f"{part.file} cannot be read: {error.strerror or error}.") from error
