"""Negatives that a search finds before their row's positive: suspected to be relevant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reindex.datasets.checks import Place, found, short
from reindex.evaluation.baselines import bm25_words, import_bm25s
from reindex.inspection.findings import Finding
from reindex.protocols import Encoder
from reindex.records import TrainingExample

MOST = 1000
"""Rows that are looked at, drawn at random: enough to see whether there is a problem."""

Scores = Callable[[TrainingExample], Sequence[float]]
"""Of a row's positive and of each of its negatives."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    ahead: float
    told: str


def by_words(rows: Sequence[Place], *, seed: int = 13) -> Iterator[Finding]:
    """By BM25 (Lucene's, as mining has it), among all texts that answer in the rows.

    Raises:
        MissingExtra: bm25s is not installed.
    """
    drawn = _drawn(rows, seed)
    if not drawn:
        return
    library = import_bm25s()
    texts = list(dict.fromkeys(text for place, _ in drawn for text in _answers(place)))
    numbers = {text: number for number, text in enumerate(texts)}
    index = library.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(bm25_words(library, texts), show_progress=False)

    def scores(row: TrainingExample) -> Sequence[float]:
        [asked] = bm25_words(library, [row.anchor])
        if not asked:
            return [0.0] * (1 + len(row.negatives))
        of_all = index.get_scores(asked)
        return [float(of_all[numbers[text]]) for text in (row.positive, *row.negatives)]

    yield from found(
        "info", "false negatives by words",
        f"negatives of {len(drawn):,} rows match the query's words better than the positive (BM25)",
        "Hard negatives look so too: read the examples. A model judges better (--model).",
        _suspects(drawn, scores, 0.0),
    )  # fmt: skip


def by_vectors(
    rows: Sequence[Place], encoder: Encoder, *, margin: float = 0.0, seed: int = 13
) -> Iterator[Finding]:
    """By a model's cosines; ``margin``: a negative is near from this share below the positive."""
    drawn = _drawn(rows, seed)
    if not drawn:
        return

    def scores(row: TrainingExample) -> Sequence[float]:
        answers = encoder.encode_documents([row.positive, *row.negatives])
        return [float(score) for score in answers @ encoder.encode_queries([row.anchor])[0]]

    yield from found(
        "warning", "false negatives by a model",
        f"negatives of {len(drawn):,} rows are at least {1 - margin:.0%} as near to the query as "
        "the positive",
        "Read the examples: leave out what is relevant, or mine again with margins.",
        _suspects(drawn, scores, margin),
    )  # fmt: skip


def _drawn(rows: Sequence[Place], seed: int) -> list[tuple[Place, TrainingExample]]:
    all_of_them = [
        (place, place.row)
        for place in rows
        if isinstance(place.row, TrainingExample) and place.row.negatives
    ]
    if len(all_of_them) <= MOST:
        return all_of_them
    return random.Random(seed).sample(all_of_them, MOST)  # noqa: S311


def _answers(place: Place) -> tuple[str, ...]:
    row = place.row
    return (row.positive, *row.negatives) if isinstance(row, TrainingExample) else ()


def _suspects(
    drawn: Sequence[tuple[Place, TrainingExample]], scores: Scores, margin: float
) -> list[str]:
    """Those farthest ahead of their positive first."""
    suspects = []
    for place, row in drawn:
        positive, *others = scores(row)
        for text, score in zip(row.negatives, others, strict=True):
            if score > 0 and score >= (1 - margin) * positive:
                told = f"{place}: {short(text)} ({score:.2f}; the positive {positive:.2f})"
                suspects.append(_Suspect(score - positive, told))
    return [item.told for item in sorted(suspects, key=lambda item: -item.ahead)]
