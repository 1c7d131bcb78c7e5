"""The documents that dead letters are about, read again from their source."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reindex.corpus.sources import FileSource
from reindex.protocols import CopiedSource, DeadLetterSink, DocumentSource, RereadableSource
from reindex.records import Document


@dataclass(frozen=True, slots=True)
class Letter:
    """One line of a dead-letter file."""

    file: str
    line: int
    reason: str
    id: int | str | None
    row: str


def read_letters(path: Path) -> list[Letter]:
    """The letters of a file, none where there is no such file; a line cut by a kill is left out."""
    if not path.exists():
        return []
    letters = []
    for line in path.read_text("utf-8").splitlines():
        try:
            letters.append(Letter(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return letters


def write_letters(path: Path, letters: Sequence[Letter]) -> None:
    """Replace the file in one step; without letters there is none."""
    if not letters:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    lines = "".join(json.dumps(asdict(letter)) + "\n" for letter in letters)
    fresh.write_text(lines, "utf-8")
    os.replace(fresh, path)


class Wanted:
    """Which documents and rows letters are about: by id, and where there is none by place."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self.ids = {letter.id for letter in letters if letter.id is not None}
        self.places = {(item.file, item.line) for item in letters if item.id is None}

    def __call__(self, file: str, line: int, id: Any) -> bool:
        """Whether a row is meant."""
        return (file, line) in self.places or (_hashable(id) and id in self.ids)


def _hashable(id: Any) -> bool:
    return isinstance(id, int | str) and not isinstance(id, bool)


class RetrySource:
    """A part of a source: the documents of some dead letters, as they are by now.

    Files are read to their end, and of their rows those are taken that have the id of a letter or,
    where it has none, stand in its place. A database or a collection is asked for the ids. Other
    sources are read to their end.

    ``untried`` are letters that no look at the source can find: without an id, and not of a file.
    """

    part = True

    def __init__(self, source: DocumentSource, letters: Sequence[Letter]) -> None:
        self._source = source
        files = isinstance(source, FileSource)
        self.untried = [item for item in letters if item.id is None and not files]
        self._letters = [item for item in letters if files or item.id is not None]
        self._wanted = Wanted(self._letters)

    @property
    def name(self) -> str:
        """The source's own: points stay its own."""
        return self._source.name

    def count(self) -> int | None:
        """Letters to try."""
        return len(self._letters)

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """The documents that there are; rows that are still bad go to ``dead``."""
        source = self._source
        if isinstance(source, FileSource):
            yield from source.some(self._wanted, dead)
        elif isinstance(source, RereadableSource):
            yield from self._asked(source, dead)
        else:
            chosen = source.documents(_Only(dead, self._wanted))
            yield from (item for item in chosen if item.id in self._wanted.ids)

    def _asked(self, source: RereadableSource, dead: DeadLetterSink) -> Iterator[Document]:
        reasons = {item.id: item for item in self._letters}
        ids = [id for id in reasons if id is not None]
        for start in range(0, len(ids), 1000):
            for id, document in source.current(ids[start : start + 1000]).items():
                if document is not None:
                    yield document
                    continue
                old = reasons[id]
                dead.add(file=old.file, line=old.line, reason=old.reason, row=old.row, id=id)


class RereadRetry(RetrySource):
    """Of a source that can be asked again."""

    def current(self, ids: Sequence[int | str]) -> Mapping[int | str, Document | None]:
        """As the source."""
        assert isinstance(self._source, RereadableSource)
        return self._source.current(ids)


class CopiedRetry(RereadRetry):
    """Of another collection; nothing is deleted, whatever it lacks."""

    mirror = False


def retry_source(source: DocumentSource, letters: Sequence[Letter]) -> RetrySource:
    """The part of ``source`` that ``letters`` are about."""
    if isinstance(source, CopiedSource):
        return CopiedRetry(source, letters)
    if isinstance(source, RereadableSource):
        return RereadRetry(source, letters)
    return RetrySource(source, letters)


class _Only:
    """Passes on the letters about what is wanted."""

    def __init__(self, dead: DeadLetterSink, wanted: Wanted) -> None:
        self._dead, self._wanted = dead, wanted

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        """Keep the row if it is meant."""
        if self._wanted(file, line, id):
            self._dead.add(file=file, line=line, reason=reason, row=row, id=id)

    def ok(self, rows: int = 1) -> None:
        """The share of bad rows says nothing here."""

    @property
    def count(self) -> int:
        """As the other sink."""
        return self._dead.count

    @property
    def ids(self) -> frozenset[int | str]:
        """As the other sink."""
        return self._dead.ids
