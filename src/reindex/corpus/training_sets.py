"""What a model is trained on: rows of one kind, with where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal, TypeAlias

from reindex.errors import DataError
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample

RowKind = Literal["pairs", "triplets", "scored", "nli", "labelled", "classes"]
Row: TypeAlias = TrainingExample | ScoredPair | LabelledPair | LabelledText

ROW_TYPES: dict[RowKind, type[Row]] = {
    "pairs": TrainingExample,
    "triplets": TrainingExample,
    "scored": ScoredPair,
    "nli": LabelledPair,
    "labelled": LabelledPair,
    "classes": LabelledText,
}
"""The type of each kind's rows.

``pairs`` have no negatives and ``triplets`` have some (one or several); the labels of ``nli`` are
`NLI_LABELS`, those of ``labelled`` pairs and of ``classes`` are any.
"""

NLI_LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows of one kind.

    Attributes:
        kind: says the type of the rows, see `ROW_TYPES`.
        rows: in the file's order.
        name: what people call it: the file's path.
        lines: where each row stands in its file; empty where that is not known.

    Raises:
        DataError: a row is of another type than the kind's, or there are more or fewer lines.
    """

    kind: RowKind
    rows: Sequence[Row]
    name: str = ""
    lines: Sequence[int] = ()

    def __post_init__(self) -> None:
        expected = ROW_TYPES[self.kind]
        wrong = next((row for row in self.rows if not isinstance(row, expected)), None)
        if wrong is not None:
            raise DataError(
                f"A training set of kind {self.kind!r} holds {expected.__name__} rows, "
                f"got {type(wrong).__name__}."
            )
        if self.lines and len(self.lines) != len(self.rows):
            raise DataError(
                f"Expected a line for each of {len(self.rows)} rows, got {len(self.lines)}."
            )

    @property
    def digest(self) -> str:
        """sha256 over all rows in order: texts, scores and labels, not where they come from."""
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(json.dumps(_flat(row)).encode("utf-8", "surrogatepass") + b"\n")
        return digest.hexdigest()


def _flat(row: Row) -> list[object]:
    if isinstance(row, TrainingExample):
        scores = [list(row.scores)] if row.scores else []
        return [row.anchor, row.positive, *row.negatives, *scores]
    return list(astuple(row))


def texts_of(row: Row) -> tuple[str, ...]:
    """All texts of a row, in their order."""
    if isinstance(row, TrainingExample):
        return (row.anchor, row.positive, *row.negatives)
    return (row.text,) if isinstance(row, LabelledText) else (row.first, row.second)
