"""Training examples -> columns and keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reindex.errors import DataError
from reindex.records import TrainingExample, query_hash
from reindex.training.batching import RowKeys


def to_columns(examples: Sequence[TrainingExample]) -> dict[str, list[str]]:
    """``anchor``, ``positive``, ``negative_1``, … each with a text per example.

    The loss takes the columns by their order, and needs as many negatives in every row.

    Raises:
        DataError: no examples, or rows with different numbers of negatives.
    """
    if not examples:
        raise DataError("Expected training examples, got none.")
    counts = Counter(len(example.negatives) for example in examples)
    if len(counts) > 1:
        found = ", ".join(f"{rows} with {count}" for count, rows in sorted(counts.items()))
        raise DataError(
            f"Expected the same number of negatives in every training row, got rows {found}. "
            "Cut all rows to the smallest number, or leave out the rows that have fewer."
        )
    columns = {
        "anchor": [example.anchor for example in examples],
        "positive": [example.positive for example in examples],
    }
    for place in range(next(iter(counts))):
        columns[f"negative_{place + 1}"] = [example.negatives[place] for example in examples]
    return columns


def row_keys(examples: Sequence[TrainingExample]) -> list[RowKeys]:
    """Per example what decides which others may be in its batch."""
    hashed = [
        tuple(map(query_hash, (example.anchor, example.positive, *example.negatives)))
        for example in examples
    ]
    answers: dict[str, set[str]] = {}
    for anchor, positive, *_ in hashed:
        answers.setdefault(anchor, {anchor}).add(positive)
    own = {anchor: frozenset(texts) for anchor, texts in answers.items()}
    return [RowKeys(own[row[0]], frozenset(row)) for row in hashed]
