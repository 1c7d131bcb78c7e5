"""What was mined: the rows, and the evidence of what was taken and what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.records import TrainingExample

EXAMPLES = 5
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
class Taken:
    """A negative. ``rank`` counts from 1 within its source; ``score`` is the judge's, if any."""

    origin: str
    rank: int
    text: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """An example for people: a pair, and what was taken or refused for it, and why."""

    query: str
    positive: str
    other: Taken
    positive_score: float | None = None
    reason: str = ""


@dataclass(slots=True)
class MiningReport:
    """Counts and distributions of a mining.

    Attributes:
        pairs: given; ``rows``: with negatives; ``left_out``: had too few of them.
        filled: negatives that are random documents, because the sources had no more.
        taken: source -> negatives from it. ``refused``: source -> reason -> candidates.
        ranks, scores: source -> how the taken ones are spread. ``positives``: of the positives.
        judge: what scored them.
    """

    pairs: int = 0
    rows: int = 0
    left_out: int = 0
    documents: int = 0
    number: int = 0
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


@dataclass(frozen=True, slots=True)
class Mined:
    """Training rows with equal numbers of negatives, and how they came about."""

    rows: tuple[TrainingExample, ...]
    report: MiningReport


@dataclass(slots=True)
class Tally:
    """Collects what a `MiningReport` says, a candidate at a time."""

    ranks: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    filled: int = 0

    def take(self, origin: str, rank: int, score: float | None) -> None:
        """Count a negative."""
        self.ranks.setdefault(origin, []).append(rank)
        if score is not None:
            self.scores.setdefault(origin, []).append(score)

    def refuse(self, origin: str, reason: str) -> None:
        """Count a candidate that is no negative."""
        self.refused.setdefault(origin, Counter())[reason] += 1

    def fill_in(self, report: MiningReport) -> None:
        """Write the counts into the report."""
        report.filled = self.filled
        report.taken = {origin: len(ranks) for origin, ranks in self.ranks.items()}
        report.refused = {origin: dict(count) for origin, count in self.refused.items()}
        report.ranks = _spreads(self.ranks)
        report.scores = _spreads(self.scores)


def _spreads(figures: Mapping[str, Sequence[float]]) -> dict[str, Spread]:
    spreads = {origin: Spread.of(values) for origin, values in figures.items()}
    return {origin: spread for origin, spread in spreads.items() if spread is not None}
