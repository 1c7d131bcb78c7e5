"""What the folds of a small judged set say: how stable a change is, what a choice is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reindex.evaluation.figure import Figure


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One fold: its queries, their groups, both means, and the relative change."""

    queries: int
    groups: int
    mean_live: float
    mean_candidate: float
    relative: float


@dataclass(frozen=True, slots=True)
class Stability:
    """The judged metric's change in each fold of the queries, groups kept whole.

    ``mean`` and ``spread`` (standard deviation) are of the folds' relative changes, ``expected`` is
    the spread that chance alone gives folds of this size. The folds are parts of the same queries:
    they show how much the change depends on which queries were judged, and are no more evidence
    than all of them together.
    """

    metric: str
    folds: tuple[FoldRow, ...]
    mean: float
    spread: float
    expected: float
    won: int
    lost: int

    @property
    def tied(self) -> int:
        """Folds in which both sides score the same."""
        return len(self.folds) - self.won - self.lost


@dataclass(frozen=True, slots=True)
class Choice:
    """The best of several candidates, and what choosing it is worth on queries that did not choose.

    ``apparent`` is its relative change on the queries that it was chosen by, which flatters it.
    For ``crossed`` each of ``folds`` folds is judged by the candidate that is best on the others.
    ``picks``: in how many folds each candidate was.
    """

    best: str
    apparent: float
    crossed: float
    picks: dict[str, int]
    folds: int


def stability_figures(found: Stability) -> Iterator[Figure]:
    """What the gate language can ask of it."""
    yield Figure("folds.count", len(found.folds), "count", "Folds of a small judged set.")
    yield Figure("folds.won", found.won, "count", "Folds in which the candidate is better.")
    yield Figure("folds.lost", found.lost, "count", "Folds in which the candidate is worse.")
    yield Figure("folds.spread", found.spread, "%", "Spread of the change over the folds.")
