"""Files of training data -> training sets."""

from __future__ import annotations

from pathlib import Path

from reindex.corpus.pairs import read_examples
from reindex.corpus.training_sets import RowKind, TrainingSet
from reindex.protocols import DeadLetterSink


def read_training_set(path: Path, dead: DeadLetterSink | None = None) -> TrainingSet:
    """The rows of a JSONL, CSV, TSV or Parquet file; their kind is told by its columns.

    Args:
        path: the file; its suffix tells the format.
        dead: takes the bad rows. Without it the first bad row is an error.

    Raises:
        DataError: the file cannot be read, its columns are not recognised, or no row is good.
        TooManyBadRows: ``dead`` says so.
    """
    rows = read_examples(path, dead)
    kind: RowKind = "triplets" if any(row.negatives for row in rows) else "pairs"
    return TrainingSet(kind, rows, str(path))
