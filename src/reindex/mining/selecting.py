"""Which candidates become negatives: not the query's own positives, and none that may be one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reindex.config.training_negatives import NegativeSettings
from reindex.evaluation.groups import NEAR_DUPLICATE
from reindex.evaluation.sketches import Hashes, similarity, sketch
from reindex.mining.candidates import NONE, Candidates, Numbers
from reindex.mining.judging import Judge
from reindex.mining.results import EXAMPLES, GIVEN, Pick, Shown
from reindex.mining.snapshot import Snapshot, text_key
from reindex.records import TrainingExample, Vector, query_hash

DRAWN = 100_000
"""Sketches of candidates that are kept: 30 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All sources' candidates in the order in which they are tried: ``(queries, width)`` each.

    ``origins`` index ``names``; ``ranks`` count from 1; ``scores`` are the judge's where it was
    asked (or need not be), else NaN.
    """

    names: tuple[str, ...]
    numbers: Numbers
    origins: NDArray[np.int8]
    ranks: NDArray[np.int32]
    scores: Vector

    @classmethod
    def of(cls, sources: Sequence[Candidates], *, skip: int, judged: Sequence[str]) -> Pool:
        """The sources in turn, rank by rank; the scores of those in ``judged`` are the judge's."""
        width = max(found.numbers.shape[1] for found in sources)
        numbers = np.stack([_widened(found.numbers, width, NONE) for found in sources], axis=2)
        scores = [
            _widened(
                found.scores if found.origin in judged else found.scores * np.nan, width, np.nan
            )
            for found in sources
        ]
        each = np.arange(len(sources), dtype=np.int8)
        rank = np.arange(1 + skip, 1 + skip + width, dtype=np.int32)[:, None]
        places, ranks = (np.broadcast_to(item, numbers.shape) for item in (each, rank))
        flat = (len(numbers), width * len(sources))
        return cls(
            tuple(found.origin for found in sources),
            numbers.reshape(flat), places.reshape(flat), ranks.reshape(flat),
            np.stack(scores, axis=2).reshape(flat),
        )  # fmt: skip

    def shuffled(self, seed: int) -> Pool:
        """Every query's candidates in random order."""
        dice = np.random.default_rng(seed).random(self.numbers.shape)
        order = np.argsort(np.where(self.numbers == NONE, 2.0, dice), axis=1)
        return Pool(
            self.names,
            np.take_along_axis(self.numbers, order, axis=1),
            np.take_along_axis(self.origins, order, axis=1),
            np.take_along_axis(self.ranks, order, axis=1),
            np.take_along_axis(self.scores, order, axis=1),
        )


def _widened(array: np.ndarray, width: int, value: float) -> np.ndarray:
    return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=value)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The highest and lowest score of a negative of one row, by what set each."""

    upper: tuple[tuple[str, float], ...]
    lower: float | None

    @classmethod
    def of(cls, settings: NegativeSettings, positive: float) -> Bounds:
        """With the margins as shares, or absolute, below the positive's score."""
        upper: list[tuple[str, float]] = []
        if settings.absolute_margin is not None:
            upper.append(("absolute margin", positive - settings.absolute_margin))
        if settings.relative_margin is not None:
            margin = abs(positive) * settings.relative_margin
            upper.append(("relative margin", positive - margin))
        if settings.max_score is not None:
            upper.append(("max score", settings.max_score))
        return cls(tuple(upper), settings.min_score)

    def broken(self, score: float) -> str:
        """What refuses the score; empty where nothing does."""
        for name, bound in self.upper:
            if score > bound:
                return name
        return "min score" if self.lower is not None and score < self.lower else ""


@dataclass(slots=True)
class Row:
    """One pair on its way to its negatives."""

    example: TrainingExample
    query: int
    score: float | None
    bounds: Bounds | None
    taken: list[Pick] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)


class Selector:
    """Takes negatives for rows from a pool, in its order.

    Args:
        own: per query the numbers of its positives.
        positives: per query the texts of its positives; what nearly equals one is none.

    Attributes:
        refused: source -> reason -> candidates.
        suspects: the first that were refused for another reason than being a positive.
    """

    def __init__(
        self, snapshot: Snapshot, own: Sequence[frozenset[int]], positives: Sequence[Sequence[str]]
    ) -> None:
        self.refused: dict[str, Counter[str]] = {}
        self.suspects: list[Shown] = []
        self._snapshot, self._own, self._positives = snapshot, own, positives
        self._nearest: tuple[int, list[Hashes]] = (-1, [])
        self._drawn: dict[int, Hashes] = {}

    def from_pool(
        self, rows: Sequence[Row], pool: Pool, judge: Judge | None, *, wanted: int | None
    ) -> None:
        """Try the pool's candidates in waves, so that no more are judged than needed.

        ``wanted``: negatives of a row; None: all that are any.
        """
        width = pool.numbers.shape[1]
        wave = width if wanted is None else max(8, 2 * wanted * len(pool.names))
        for start in range(0, width, max(1, wave)):
            short = [row for row in rows if wanted is None or len(row.taken) < wanted]
            if not short:
                return
            columns = range(start, min(start + wave, width))
            if judge is not None:
                _judge(pool, sorted({row.query for row in short}), columns, judge)
            for row in short:
                self._try(row, pool, columns, wanted)

    def _try(self, row: Row, pool: Pool, columns: range, wanted: int | None) -> None:
        for column in columns:
            if len(row.taken) == wanted:
                return
            number = int(pool.numbers[row.query, column])
            if number != NONE and number not in row.seen:
                score = float(pool.scores[row.query, column])
                origin = pool.names[pool.origins[row.query, column]]
                rank = int(pool.ranks[row.query, column])
                self.offer(row, Pick(number, origin, rank, None if np.isnan(score) else score))

    def give(self, row: Row, wanted: int) -> None:
        """Take the negatives that the row brings, but for positives of its query; unjudged."""
        own = set(map(query_hash, self._positives[row.query]))
        texts = [text for text in row.example.negatives if query_hash(text) not in own][:wanted]
        numbers = self._snapshot.find([text_key(text) for text in texts])
        for place, (text, number) in enumerate(zip(texts, numbers, strict=True), start=1):
            row.seen.add(int(number))
            row.taken.append(Pick(int(number), GIVEN, place, text=text))

    def offer(self, row: Row, pick: Pick) -> None:
        """Take the document as a negative of the row, or refuse and count it."""
        row.seen.add(pick.number)
        reason = self._refusal(row, pick)
        if not reason:
            row.taken.append(pick)
            return
        self.refused.setdefault(pick.origin, Counter())[reason] += 1
        if reason != "positive" and len(self.suspects) < EXAMPLES:
            self.suspects.append(show(row, pick, self._snapshot, reason))

    def _refusal(self, row: Row, pick: Pick) -> str:
        if pick.number in self._own[row.query]:
            return "positive"
        broken = ""
        if row.bounds is not None and pick.score is not None:
            broken = row.bounds.broken(pick.score)
        return broken or ("near-duplicate" if self._near(row.query, pick.number) else "")

    def _near(self, query: int, number: int) -> bool:
        if self._nearest[0] != query:
            self._nearest = query, [sketch(text) for text in self._positives[query]]
        if number not in self._drawn:
            if len(self._drawn) >= DRAWN:
                self._drawn.clear()
            self._drawn[number] = sketch(self._snapshot.texts([number])[0])
        drawn = self._drawn[number]
        return any(similarity(drawn, own) >= NEAR_DUPLICATE for own in self._nearest[1])


def show(row: Row, pick: Pick, snapshot: Snapshot, reason: str = "") -> Shown:
    """An example with its text."""
    text = pick.text if pick.text is not None else snapshot.texts([pick.number])[0]
    shown = dataclasses.replace(pick, text=text)
    return Shown(row.example.anchor, row.example.positive, shown, row.score, reason)


def examples(rows: Sequence[Row], snapshot: Snapshot) -> tuple[Shown, ...]:
    """Some rows with their hardest negative, spread over all of them."""
    full = [row for row in rows if row.taken]
    step = max(1, len(full) // EXAMPLES)
    return tuple(show(row, row.taken[-1], snapshot) for row in full[::step][:EXAMPLES])


def _judge(pool: Pool, queries: Sequence[int], columns: range, judge: Judge) -> None:
    """Fill in the scores of these queries' candidates in these columns, where there are none."""
    part = np.ix_(queries, columns)
    missing = np.isnan(pool.scores[part]) & (pool.numbers[part] != NONE)
    rows, places = np.nonzero(missing)
    if not len(rows):
        return
    at = (np.asarray(queries)[rows], np.asarray(columns)[places])
    pool.scores[at] = judge.documents(at[0], pool.numbers[at])
