"""The configured source of documents; and files of one kind, streamed in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from reindex.config import SourceSettings
from reindex.corpus.delimited import read_csv
from reindex.corpus.parquet import count_parquet, read_parquet, require_pyarrow
from reindex.corpus.readers import Batch, Reader, read_jsonl
from reindex.corpus.rows import usable
from reindex.corpus.slices import FileSlice, slices_of
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import Document

BEIR_CORPUS = "corpus.jsonl"


def count_lines(file: Path) -> int:
    """Lines of a file, a last one without a newline included. About 3 GB/s."""
    lines, last = 0, b"\n"
    with file.open("rb", buffering=0) as raw:
        while block := raw.read(2**20):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


@dataclass(frozen=True, slots=True)
class _Kind:
    read: Reader
    count: Callable[[Path], int] | None


_KINDS = {
    "beir": _Kind(read_jsonl, count_lines),
    "jsonl": _Kind(read_jsonl, count_lines),
    "csv": _Kind(read_csv, None),  # a quoted field may hold newlines: counting means parsing
    "parquet": _Kind(read_parquet, count_parquet),
}


def open_source(settings: SourceSettings, root: Path) -> DocumentSource:
    """The source that the config describes; ``root`` is the folder that its path starts from.

    Raises:
        ConfigError: ``[source]`` of an SQL source does not say which database.
        DataError: there is no such file or folder, or nothing matches the glob.
        MissingExtra: Parquet without pyarrow, SQL without SQLAlchemy.
    """
    if settings.kind == "sql":
        from reindex.corpus.sql import SqlSource

        return SqlSource(settings, root)
    if settings.kind == "parquet":
        require_pyarrow()
    source = FileSource(settings, root)
    source.files()
    return source


class FileSource:
    """Documents of a BEIR folder, a file, or the files of a glob in the order of their names.

    Of rows with the same id within the source the first is a document, the later ones are bad.
    """

    def __init__(self, settings: SourceSettings, root: Path) -> None:
        self._settings = settings
        self._root = root
        self._path = settings.path if settings.path.is_absolute() else root / settings.path
        self._kind = _KINDS[settings.kind]
        if settings.image_field:
            images = self.folder if settings.images is None else root / settings.images
            self._settings = settings.model_copy(update={"images": images.resolve()})
        self._began: dict[Path, tuple[int, int, int] | None] = {}
        self._counts: dict[tuple[Path, int, int], int] = {}

    @property
    def name(self) -> str:
        """``source.name``, else the kind and the path as seen from the project's root."""
        return self._settings.name or f"{self._settings.kind}:{self._shown(self._path)}"

    @property
    def folder(self) -> Path:
        """The folder that holds all files: of a glob, down to its first wildcard."""
        if self._settings.kind == "beir":
            return self._path
        if self._path.is_file():
            return self._path.parent
        parts = list(takewhile(lambda part: not glob.has_magic(part), self._path.parts[:-1]))
        return Path(*parts)

    def files(self) -> list[Path]:
        """The files as they are now.

        Raises:
            DataError: there are none.
        """
        if self._settings.kind == "beir":
            corpus = self._path / BEIR_CORPUS
            if not corpus.is_file():
                raise DataError(
                    f"source.path: expected a BEIR folder with {BEIR_CORPUS}; "
                    f"there is no file {corpus}."
                )
            return [corpus]
        if self._path.is_file():
            return [self._path]
        found = sorted(Path(name) for name in glob.glob(str(self._path), recursive=True))
        files = [file for file in found if file.is_file()]
        if not files:
            raise DataError(
                f"source.path: expected a {self._settings.kind} file or a glob such as "
                f"'data/*.{self._settings.kind}'; no file matches {self._path}."
            )
        return files

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; bad rows go to ``dead``.

        Raises:
            DataError: a file cannot be read, or not one of the rows is a document.
            TooManyBadRows: ``dead`` says so.
        """
        yield from self.usable(self._batches(), dead)

    def usable(
        self, batches: Iterable[tuple[Path, Batch]], dead: DeadLetterSink
    ) -> Iterator[Document]:
        """The documents among the rows of all files, however those were read; see `documents`."""
        self._began = self._state()
        shown = ((self._shown(file), batch) for file, batch in batches)
        yield from usable(shown, self._settings, self.name, dead)

    def some(
        self, wanted: Callable[[str, int, Any], bool], dead: DeadLetterSink
    ) -> Iterator[Document]:
        """Stream those rows alone that ``wanted`` (file, line, id) picks; all may be bad."""
        id_field = self._settings.id_field
        picked = (
            (
                where,
                Batch(
                    [row for row in batch.rows if wanted(where, row[0], row[1].get(id_field))],
                    [bad for bad in batch.bad if wanted(where, bad.line, bad.id)],
                ),
            )
            for where, batch in ((self._shown(file), batch) for file, batch in self._batches())
        )
        yield from usable(picked, self._settings, self.name, dead, any_bad=True)

    def _batches(self) -> Iterator[tuple[Path, Batch]]:
        return ((file, batch) for file in self.files() for batch in self._read(file))

    def changed(self) -> list[str]:
        """Files that changed, came or went since the last reading began."""
        now, began = self._state(), self._began
        return [self._shown(file) for file in now.keys() | began.keys()
                if now.get(file) != began.get(file)]  # fmt: skip

    def _state(self) -> dict[Path, tuple[int, int, int] | None]:
        try:
            return {file: _identity(file) for file in self.files()}
        except DataError:
            return {}

    def slices(self) -> list[FileSlice]:
        """All files in parts that can be read apart, in the order of `documents`."""
        kind = self._settings.kind
        return [part for file in self.files() for part in slices_of(kind, file)]

    def count(self) -> int | None:
        """Rows of all files (kept until a file changes); None for CSV."""
        if self._kind.count is None:
            return None
        return sum(self._count(file, self._kind.count) for file in self.files())

    def _count(self, file: Path, count: Callable[[Path], int]) -> int:
        stat = file.stat()
        key = (file, stat.st_size, stat.st_mtime_ns)
        if key not in self._counts:
            self._counts[key] = count(file)
        return self._counts[key]

    def _read(self, file: Path) -> Iterator[Batch]:
        try:
            yield from self._kind.read(file)
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error

    def _shown(self, path: Path) -> str:
        """Relative to the root: the same in every checkout, and it tells nothing of the host."""
        try:
            return Path(os.path.relpath(path, self._root)).as_posix()
        except ValueError:  # another drive
            return path.name


def _identity(file: Path) -> tuple[int, int, int] | None:
    """Which file it is, and in which state; None where it is gone."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
