"""Training data: files of pairs and triplets, or the judgements of a BEIR folder.

Column names are recognised (see ``ANCHORS``, ``POSITIVES``, ``NEGATIVES``), so that the usual
data sets load as they are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.judgements import load_judgements
from reindex.corpus.parquet import read_parquet
from reindex.corpus.readers import BadRow, Batch, Fields, Reader, read_csv, read_jsonl
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import TrainingExample

ANCHORS = ("anchor", "query", "question")
POSITIVES = ("positive", "positives", "pos", "answer", "document", "text")
NEGATIVES = re.compile(r"(hard_)?(negative|neg)s?(_?\d+)?")

_READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
_log = logging.getLogger(__name__)


def read_examples(path: Path, dead: DeadLetterSink | None = None) -> list[TrainingExample]:
    """Training examples of a JSONL, CSV, TSV or Parquet file, in the file's order.

    A positive may be a list of strings (an example each), a negative column a string or a list. A
    row whose ``label`` is 0 is no relevant pair and therefore bad.

    Args:
        path: The file; its suffix tells the format.
        dead: Takes the bad rows. Without it the first bad row is an error.

    Raises:
        DataError: the file cannot be read, its columns are not recognised, or no row is good.
        TooManyBadRows: ``dead`` says so.
    """
    examples: list[TrainingExample] = []
    columns: _Columns | None = None
    for batch in _batches(path):
        if columns is None and batch.rows:
            columns = _Columns(list(batch.rows[0][1]), path)
        made, bad = _shape(batch, columns)
        for row in bad:
            _refuse(row, path, dead)
        if dead is not None:
            dead.ok(len(batch.rows) + len(batch.bad) - len(bad))
        examples.extend(made)
    if not examples:
        raise DataError(f"{path}: expected pairs of a query and a relevant text; there are none.")
    return examples


def _batches(path: Path) -> Iterator[Batch]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: expected a file of pairs that ends in {', '.join(_READERS)}; "
            f"got {path.suffix or 'no suffix'!r}."
        )
    try:
        yield from reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


class _Columns:
    """Which column is what, by the names of a file's first row."""

    def __init__(self, names: Sequence[str], path: Path) -> None:
        self.anchor = self._find(names, ANCHORS, path)
        self.positive = self._find(names, POSITIVES, path)

    @staticmethod
    def _find(names: Sequence[str], known: tuple[str, ...], path: Path) -> str:
        lower = {name.strip().lower(): name for name in reversed(names)}
        for name in known:
            if name in lower:
                return lower[name]
        raise DataError(
            f"{path}: expected a column named {' or '.join(known)}; "
            f"found {', '.join(names) or 'none'}. Rename a column."
        )

    def examples(self, fields: Fields) -> list[TrainingExample]:
        """The examples of one row; ValueError says why there are none."""
        if fields.get("label") in (0, "0"):
            raise ValueError("label 0: not a relevant pair")
        anchors = _strings(fields, self.anchor)
        positives = _strings(fields, self.positive)
        if len(anchors) != 1 or not positives:
            empty = self.positive if anchors else self.anchor
            raise ValueError(f"no text in {empty}")
        names = [name for name in fields if NEGATIVES.fullmatch(name.strip().lower())]
        negatives = tuple(text for name in names for text in _strings(fields, name))
        return [TrainingExample(anchors[0], positive, negatives) for positive in positives]


def _strings(fields: Fields, name: str) -> list[str]:
    value: Any = fields.get(name)
    values = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, str) for text in values):
        raise ValueError(f"{name} is {type(value).__name__}, expected text")
    return [text for text in values if text and not text.isspace()]


def _shape(batch: Batch, columns: _Columns | None) -> tuple[list[TrainingExample], list[BadRow]]:
    made: list[TrainingExample] = []
    bad = list(batch.bad)
    for line, fields in batch.rows:
        try:
            made.extend(columns.examples(fields) if columns else ())
        except ValueError as error:
            bad.append(BadRow(line, str(error), repr(fields)))
    return made, sorted(bad, key=lambda row: row.line)


def _refuse(row: BadRow, path: Path, dead: DeadLetterSink | None) -> None:
    if dead is None:
        raise DataError(f"{path}:{row.line}: {row.reason}.")
    dead.add(file=path.name, line=row.line, reason=row.reason, row=row.row)


def examples_from_beir(
    queries: Path, qrels: Path, source: DocumentSource, dead: DeadLetterSink | None = None
) -> list[TrainingExample]:
    """A pair per positive judgement, in the order of the queries; the text is the embedded one.

    The source is streamed, and only judged documents are kept. Judgements of documents that the
    source does not hold are left out, with a warning in the log.

    Raises:
        DataError: queries or judgements are malformed, or no judged document is in the source.
    """
    judged = load_judgements(queries, qrels)
    wanted = {
        document
        for grades in judged.qrels.values()
        for document, grade in grades.items()
        if grade > 0
    }
    texts = {
        str(document.id): document.text
        for document in source.documents(dead or IgnoredLetters())
        if str(document.id) in wanted
    }
    if not texts:
        raise DataError(
            f"None of the {len(wanted):,} documents judged in {qrels} is in {source.name}, "
            f"for example {min(wanted)!r}. The judgements must be of this source's ids."
        )
    if len(texts) < len(wanted):
        lacking = len(wanted) - len(texts)
        _log.warning("%d of %d documents judged in %s are missing", lacking, len(wanted), qrels)
    return [
        TrainingExample(query.text, texts[document])
        for query in judged.queries
        for document, grade in judged.qrels[query.id].items()
        if grade > 0 and document in texts
    ]
