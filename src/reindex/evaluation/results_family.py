"""Several candidates against one live version: what each one's verdict rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reindex.evaluation.figure import Figure
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results_folds import Choice


@dataclass(frozen=True, slots=True)
class Family:
    """A candidate's place among those that were compared at once (Holm 1979).

    ``place`` is by evidence, 1 for the strongest. ``p_value`` is Holm's adjusted one of being
    better than live (1 where it is not). ``difference`` is the judged metric's with the interval of
    the level that its place asks for. ``stopped``: a stronger candidate did not pass, so that this
    one cannot. ``choice``: of the best one on a small judged set, what choosing it is worth.
    """

    candidates: tuple[str, ...]
    place: int
    p_value: float
    difference: PairedDifference
    stopped: bool = False
    choice: Choice | None = None


def family_figures(family: Family) -> Iterator[Figure]:
    """What the gate language can ask of it."""
    yield Figure("family.size", len(family.candidates), "count", "Candidates compared at once.")
    yield Figure("family.p", family.p_value, "", "Holm's adjusted p-value of being better.")
    if family.choice is not None:
        what = "Change of the best candidate on queries that did not choose it."
        yield Figure("family.crossed", family.choice.crossed, "%", what, signed=True)
