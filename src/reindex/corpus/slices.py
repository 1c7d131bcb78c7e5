"""Parts of files that can be read apart, in any process, and put together again in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from reindex.corpus.delimited import read_csv
from reindex.corpus.parquet import parquet_groups, read_parquet
from reindex.corpus.readers import Batch, jsonl_batches
from reindex.errors import DataError

SLICE_BYTES = 16 * 2**20
"""Bytes per slice of a JSONL file: a second of parsing, and memory for as much in flight."""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A part of one file: the lines that begin within bytes [start, stop), or one row group.

    Attributes:
        kind: of the source.
        file: the whole file.
        start, stop: bytes; 0 and 0 where the file is not cut by bytes.
        group: the row group; None where the file has none.
    """

    kind: str
    file: Path
    start: int = 0
    stop: int = 0
    group: int | None = None

    @property
    def place(self) -> str:
        """Where lines are counted on from slice to slice."""
        return str(self.file)

    def read(self) -> Iterator[tuple[Batch, int]]:
        """As `read_slice`.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            yield from read_slice(self)
        except OSError as error:
            raise DataError(f"{self.file} cannot be read: {error.strerror or error}.") from error


def slices_of(kind: str, file: Path, size: int | None = None) -> list[FileSlice]:
    """The file in order: JSONL by bytes, Parquet by row group, anything else whole."""
    if kind in ("beir", "jsonl"):
        size, end = size or SLICE_BYTES, max(1, file.stat().st_size)
        return [FileSlice(kind, file, at, min(at + size, end)) for at in range(0, end, size)]
    if kind == "parquet":
        return [FileSlice(kind, file, group=group) for group in range(parquet_groups(file))]
    return [FileSlice(kind, file)]


def read_slice(part: FileSlice) -> Iterator[tuple[Batch, int]]:
    """Batches, each with how many lines of the slice (rows of the group) were read by then.

    Lines count from the slice's own first one; `renumbered` makes them the file's.
    """
    if part.kind in ("beir", "jsonl"):
        yield from _read_lines(part)
        return
    read: Callable[[Path], Iterator[Batch]] = read_csv
    if part.group is not None:
        read = partial(read_parquet, group=part.group)
    rows = 0
    for batch in read(part.file):
        rows += len(batch.rows) + len(batch.bad)
        yield batch, rows


def renumbered(batch: Batch, before: int) -> Batch:
    """The batch with its lines counted on from ``before``."""
    if not before:
        return batch
    return Batch(
        [(line + before, fields) for line, fields in batch.rows],
        [replace(row, line=row.line + before) for row in batch.bad],
    )


def _read_lines(part: FileSlice) -> Iterator[tuple[Batch, int]]:
    """The lines that begin within the slice; the last one may end beyond it."""
    with part.file.open("rb", buffering=2**20) as file:
        if part.start:
            file.seek(part.start - 1)
            file.readline()  # the end of a line that began before
        lines = _Lines(file, part.stop)
        skew = 0 if part.start == 0 else 1  # a byte order mark may begin line 1 of a file alone
        for batch in jsonl_batches((number + skew, line) for number, line in enumerate(lines, 1)):
            yield renumbered(batch, -skew), lines.read


class _Lines:
    """Lines until ``stop``, counted."""

    def __init__(self, file: BinaryIO, stop: int) -> None:
        self._file, self._stop = file, stop
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        position = self._file.tell()
        while position < self._stop and (line := self._file.readline()):
            position += len(line)
            self.read += 1
            yield line
