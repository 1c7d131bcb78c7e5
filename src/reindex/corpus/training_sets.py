"""What a model is trained on: rows of one kind, with where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Literal, TypeAlias

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
        weights: how often each row is drawn beside the others; empty: all alike. See `drawn`.

    Raises:
        DataError: a row is of another type than the kind's, or there are more or fewer lines or
            weights than rows.
    """

    kind: RowKind
    rows: Sequence[Row]
    name: str = ""
    lines: Sequence[int] = ()
    weights: Sequence[float] = ()

    def __post_init__(self) -> None:
        expected = ROW_TYPES[self.kind]
        wrong = next((row for row in self.rows if not isinstance(row, expected)), None)
        if wrong is not None:
            raise DataError(
                f"A training set of kind {self.kind!r} holds {expected.__name__} rows, "
                f"got {type(wrong).__name__}."
            )
        for one, many in (("line", self.lines), ("weight", self.weights)):
            if many and len(many) != len(self.rows):
                raise DataError(
                    f"Expected a {one} for each of {len(self.rows)} rows, got {len(many)}."
                )

    @property
    def digest(self) -> str:
        """sha256 over all rows in order: texts, scores and labels, not where they come from."""
        digest = hashlib.sha256()
        for row in drawn(self).rows:
            digest.update(json.dumps(_flat(row)).encode("utf-8", "surrogatepass") + b"\n")
        return digest.hexdigest()

    def only(self, places: Iterable[int]) -> TrainingSet:
        """The rows at these places, in this order, with their lines and weights."""
        taken = list(places)

        def at(values: Sequence[Any]) -> list[Any]:
            return [values[place] for place in taken] if values else []

        return replace(self, rows=at(self.rows), lines=at(self.lines), weights=at(self.weights))


def drawn(data: TrainingSet) -> TrainingSet:
    """Each row as often as its weight says beside the smallest one, rounded; without weights."""
    if not data.weights:
        return data
    least = min(data.weights)
    times = [round(weight / least) for weight in data.weights]
    places = (place for place, count in enumerate(times) for _ in range(count))
    return replace(data.only(places), weights=())


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
