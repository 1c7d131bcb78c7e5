"""Graded judgements -> pairs: relevant texts as positives, texts judged not relevant as negatives.

Texts that people judged and found wanting are the best hard negatives there are: no miner has to
guess whether they are false ones.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from reindex.records import TrainingExample

MOST_NEGATIVES = 4
"""Negatives per row at most; each costs a document's step."""


@dataclass(frozen=True, slots=True)
class Graded:
    """A query, a document's text, its grade (0: not relevant), and where the row stands."""

    query: str
    document: str
    grade: float
    line: int = 0


@dataclass(frozen=True, slots=True)
class Weighted:
    """Rows to train on, how often each is drawn beside the others, and their lines.

    ``twice`` counts judgements of a pair that another one gives another grade.
    """

    rows: list[TrainingExample]
    weights: list[float]
    lines: list[int]
    twice: int = 0


def pairs_of(judged: Sequence[Graded], *, min_grade: int, by_grade: bool) -> Weighted:
    """A row per relevant text, in the order of the judgements, with as many negatives each.

    Grades of 0 and less are negatives of their query; grades between that and ``min_grade`` are
    neither. Of a text that was judged twice for a query the highest grade counts.
    """
    best: dict[tuple[str, str], Graded] = {}
    twice = 0
    for item in judged:
        known = best.get((item.query, item.document))
        twice += known is not None and known.grade != item.grade
        if known is None or known.grade < item.grade:
            best[item.query, item.document] = item
    against: dict[str, list[str]] = defaultdict(list)
    for item in best.values():
        if item.grade <= 0:
            against[item.query].append(item.document)
    relevant = [item for item in best.values() if item.grade >= min_grade]
    rows = [
        TrainingExample(item.query, item.document, tuple(against[item.query])) for item in relevant
    ]
    weights = [item.grade if by_grade else 1.0 for item in relevant]
    lines = [item.line for item in relevant]
    return Weighted(even(rows, MOST_NEGATIVES), weights, lines, twice)


def even(rows: Sequence[TrainingExample], most: int, *, seed: int = 13) -> list[TrainingExample]:
    """The rows with as many negatives each: their median number, ``most`` at most.

    A row that has fewer gets its own again, and where it has none, others' at random (as the
    other rows of a batch are its negatives anyway). Where half of the rows have none, none has any.
    """
    if not rows:
        return []
    number = min(most, int(statistics.median_low(len(row.negatives) for row in rows)))
    if not number:
        return [TrainingExample(row.anchor, row.positive) for row in rows]
    positives: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        positives[row.anchor].add(row.positive)
    spare = list(dict.fromkeys(text for row in rows for text in row.negatives))
    draw = random.Random(seed)  # noqa: S311
    made = []
    for row in rows:
        own = [text for text in row.negatives if text not in positives[row.anchor]]
        others = draw.sample(spare, min(len(spare), number + len(positives[row.anchor])))
        pool = own or [text for text in others if text not in positives[row.anchor]]
        taken = tuple(pool[place % len(pool)] for place in range(number)) if pool else ()
        made.append(TrainingExample(row.anchor, row.positive, taken))
    if any(len(row.negatives) != number for row in made):
        return [TrainingExample(row.anchor, row.positive) for row in made]
    return made
