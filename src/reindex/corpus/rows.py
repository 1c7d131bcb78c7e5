"""Rows of any source -> documents, one of each id; the bad ones to the dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reindex.config import SourceSettings
from reindex.corpus.documents import UnusableRow, document_maker
from reindex.corpus.readers import BadRow, Batch
from reindex.corpus.seen import SeenIds
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink
from reindex.records import Document


def usable(
    batches: Iterable[tuple[str, Batch]],
    settings: SourceSettings,
    name: str,
    dead: DeadLetterSink,
    *,
    any_bad: bool = False,
) -> Iterator[Document]:
    """Stream the documents of a whole source; bad rows go to ``dead``.

    Args:
        batches: where the rows come from (a file, shown in dead letters), and the rows.
        settings: says which fields are id and text, and the payload's shape.
        name: the source's, for messages.
        dead: takes the bad rows.
        any_bad: that no row is a document is no error.

    Raises:
        DataError: not one of the rows is a document.
        TooManyBadRows: ``dead`` says so.
    """
    shape, any_good, first_bad = Shape(settings), False, ""
    for where, batch in batches:
        documents, bad = shape(batch)
        any_good = any_good or bool(documents)
        dead.ok(len(documents))
        for row in bad:
            first_bad = first_bad or f"{where}:{row.line}: {row.reason}"
            dead.add(file=where, line=row.line, reason=row.reason, row=row.row, id=row.id)
        yield from documents
    if first_bad and not any_good and not any_bad:
        raise DataError(f"No row of {name} could be used. The first one is {first_bad}.")


class Shape:
    """Batch of rows -> documents and bad rows, for one run over a source.

    Of rows with the same id the first is a document, the later ones are bad.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._make = document_maker(settings)
        self._seen = SeenIds()

    def __call__(self, batch: Batch) -> tuple[list[Document], list[BadRow]]:
        """The batch's documents, and its bad rows in the order of their lines."""
        made: list[Document] = []
        lines: list[int] = []
        bad = list(batch.bad)
        for line, fields in batch.rows:
            try:
                made.append(self._make(fields))
                lines.append(line)
            except UnusableRow as error:
                bad.append(BadRow(line, str(error), repr(fields), error.id))
        repeated = self._seen.repeated([document.id for document in made])
        if not repeated.any():
            return made, sorted(bad, key=_line)
        for i in repeated.nonzero()[0]:
            bad.append(BadRow(lines[i], "duplicate id", made[i].text, made[i].id))
        kept = [made[i] for i in (~repeated).nonzero()[0]]
        return kept, sorted(bad, key=_line)


def _line(row: BadRow) -> int:
    return row.line
