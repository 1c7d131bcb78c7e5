"""Which candidates become negatives: not the query's own positives, and none that may be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.config.training_negatives import NegativeSettings
from reindex.evaluation.groups import NEAR_DUPLICATE
from reindex.evaluation.sketches import Hashes, similarity, sketch
from reindex.mining.candidates import NONE, Candidates, Numbers
from reindex.mining.judging import Judge
from reindex.mining.results import EXAMPLES, Shown, Taken, Tally
from reindex.mining.snapshot import Snapshot, text_key
from reindex.records import TrainingExample, Vector, query_hash


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All sources' candidates in the order in which they are tried: ``(queries, width)`` each.

    ``origins`` index ``names``; ``ranks`` count from 1; ``scores`` are the judge's where it was
    asked (or need not be), else NaN.
    """

    names: tuple[str, ...]
    numbers: Numbers
    origins: Numbers
    ranks: Numbers
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
        places = np.broadcast_to(np.arange(len(sources)), numbers.shape)
        ranks = np.broadcast_to(np.arange(1 + skip, 1 + skip + width)[:, None], numbers.shape)
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
    taken: list[tuple[int, Taken]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)


class Selector:
    """Takes negatives for rows from a pool, in its order, until each has enough.

    Args:
        own: per query the numbers of its positives.
        positives: per query the texts of its positives; what nearly equals one is none.
        wanted: negatives per row.
    """

    def __init__(
        self, snapshot: Snapshot, own: Sequence[frozenset[int]],
        positives: Sequence[Sequence[str]], wanted: int,
    ) -> None:  # fmt: skip
        self.tally = Tally()
        self.suspects: list[Shown] = []
        self._snapshot, self._own, self._positives = snapshot, own, positives
        self._wanted = wanted
        self._sketches: dict[int, list[Hashes]] = {}
        self._drawn: dict[int, Hashes] = {}

    def from_pool(self, rows: Sequence[Row], pool: Pool, judge: Judge | None) -> None:
        """Try the pool's candidates in waves, so that no more are judged than needed."""
        wave = max(8, 2 * self._wanted * len(pool.names))
        for start in range(0, pool.numbers.shape[1], wave):
            short = [row for row in rows if len(row.taken) < self._wanted]
            if not short:
                return
            columns = range(start, min(start + wave, pool.numbers.shape[1]))
            if judge is not None:
                _judge(pool, sorted({row.query for row in short}), columns, judge)
            for row in short:
                self._try(row, pool, columns)

    def _try(self, row: Row, pool: Pool, columns: range) -> None:
        for column in columns:
            if len(row.taken) == self._wanted:
                return
            number = int(pool.numbers[row.query, column])
            if number == NONE or number in row.seen:
                continue
            score = float(pool.scores[row.query, column])
            self.offer(
                row, number, pool.names[pool.origins[row.query, column]],
                int(pool.ranks[row.query, column]), None if np.isnan(score) else score,
            )  # fmt: skip

    def give(self, row: Row) -> None:
        """Take the negatives that the row brings, but for positives of its query; unjudged."""
        own = set(map(query_hash, self._positives[row.query]))
        wanted = [text for text in row.example.negatives if query_hash(text) not in own]
        numbers = self._snapshot.find([text_key(text) for text in wanted])
        for place, (text, number) in enumerate(zip(wanted, numbers, strict=True), start=1):
            if len(row.taken) < self._wanted:
                row.seen.add(int(number))
                row.taken.append((int(number), Taken("given", place, text)))
                self.tally.take("given", place, None)

    def offer(self, row: Row, number: int, origin: str, rank: int, score: float | None) -> bool:
        """Take the document as a negative of the row, or refuse and count it."""
        row.seen.add(number)
        reason = self._refusal(row, number, score)
        if reason:
            self.tally.refuse(origin, reason)
            if reason != "positive" and len(self.suspects) < EXAMPLES:
                text = self._snapshot.texts([number])[0]
                self.suspects.append(_show(row, Taken(origin, rank, text, score), reason))
            return False
        text = self._snapshot.texts([number])[0]
        row.taken.append((number, Taken(origin, rank, text, score)))
        self.tally.take(origin, rank, score)
        return True

    def _refusal(self, row: Row, number: int, score: float | None) -> str:
        if number in self._own[row.query]:
            return "positive"
        broken = row.bounds.broken(score) if row.bounds and score is not None else ""
        return broken or ("near-duplicate" if self._near(row.query, number) else "")

    def _near(self, query: int, number: int) -> bool:
        if query not in self._sketches:
            self._sketches = {query: [sketch(text) for text in self._positives[query]]}
        if number not in self._drawn:
            if len(self._drawn) > 100_000:
                self._drawn.clear()
            self._drawn[number] = sketch(self._snapshot.texts([number])[0])
        drawn = self._drawn[number]
        return any(similarity(drawn, own) >= NEAR_DUPLICATE for own in self._sketches[query])


def _show(row: Row, other: Taken, reason: str = "") -> Shown:
    return Shown(row.example.anchor, row.example.positive, other, row.score, reason)


def show(rows: Sequence[Row]) -> tuple[Shown, ...]:
    """Some rows with their first negative, spread over all of them."""
    full = [row for row in rows if row.taken]
    step = max(1, len(full) // EXAMPLES)
    return tuple(_show(row, row.taken[0][1]) for row in full[::step][:EXAMPLES])


def _judge(pool: Pool, queries: Sequence[int], columns: range, judge: Judge) -> None:
    """Fill in the scores of these queries' candidates in these columns, where there are none."""
    part = np.ix_(queries, columns)
    missing = np.isnan(pool.scores[part]) & (pool.numbers[part] != NONE)
    rows, places = np.nonzero(missing)
    if not len(rows):
        return
    at = (np.asarray(queries)[rows], np.asarray(columns)[places])
    pool.scores[at] = judge.documents(at[0], pool.numbers[at])
