"""What was mined: the rows, and the evidence of what was taken and what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.records import TrainingExample

EXAMPLES = 5
"""Of what was taken, and of what was refused, so many are shown."""
GIVEN, FILL = "given", "fill"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Spread:
    """How figures are spread: how many, the lowest, five quantiles (5 … 95 %), the highest."""

    count: int
    lowest: float
    quantiles: tuple[float, ...]
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None where there are no figures."""
        if not len(values):
            return None
        found = np.quantile(np.asarray(values, float), (0, *_QUANTILES, 1)).round(4).tolist()
        return cls(len(values), found[0], tuple(found[1:-1]), found[-1])


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that became a negative.

    Attributes:
        number: of the document; -1 for a text that the row brought and the corpus lacks.
        origin: its source; ``given`` where the row brought it, ``fill`` for a random document in
            an empty place. ``rank`` counts from 1 within it.
        score: the judge's, where it was asked.
        text: where it is known already.
    """

    number: int
    origin: str
    rank: int
    score: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """An example for people: a pair, and the text that was taken or refused for it, and why."""

    query: str
    positive: str
    other: Pick
    positive_score: float | None = None
    reason: str = ""


@dataclass(slots=True)
class MiningReport:
    """Counts and distributions of a mining.

    Attributes:
        pairs: given; ``rows``: with negatives; ``left_out``: had too few of them.
        filled: negatives that are random documents, because the sources had no more.
        number: negatives of a row; with ``phases`` so many for each, the easiest first.
        taken: source -> negatives from it. ``refused``: source -> reason -> candidates.
        ranks, scores: source -> how the taken ones are spread. ``positives``: of the positives.
        judge: what scored them.
    """

    pairs: int = 0
    rows: int = 0
    left_out: int = 0
    documents: int = 0
    number: int = 0
    phases: int = 1
    filled: int = 0
    judge: str = ""
    seconds: float = 0.0
    cached: bool = False
    taken: dict[str, int] = field(default_factory=dict)
    refused: dict[str, dict[str, int]] = field(default_factory=dict)
    ranks: dict[str, Spread] = field(default_factory=dict)
    scores: dict[str, Spread] = field(default_factory=dict)
    positives: Spread | None = None
    examples: tuple[Shown, ...] = ()
    suspects: tuple[Shown, ...] = ()

    def count(self, picks: Iterable[Pick]) -> None:
        """Fill in what was taken from where."""
        ranks: dict[str, list[float]] = {}
        scores: dict[str, list[float]] = {}
        for pick in picks:
            ranks.setdefault(pick.origin, []).append(pick.rank)
            if pick.score is not None:
                scores.setdefault(pick.origin, []).append(pick.score)
        self.taken = {origin: len(found) for origin, found in ranks.items()}
        self.filled = self.taken.get(FILL, 0)
        self.ranks, self.scores = _spreads(ranks), _spreads(scores)


def _spreads(figures: Mapping[str, Sequence[float]]) -> dict[str, Spread]:
    spreads = {origin: Spread.of(values) for origin, values in figures.items()}
    return {origin: spread for origin, spread in spreads.items() if spread is not None}


@dataclass(frozen=True, slots=True)
class Mined:
    """Training rows with equal numbers of negatives, and how they came about."""

    rows: tuple[TrainingExample, ...]
    report: MiningReport
