"""From rows to observations: what became of every search, and of every key once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reindex.registry.canaries import Phase
from reindex.registry.interactions import Interactions
from reindex.rollout.interleaving import Team, winner

GOOD_GRADE = 0.5
"""From this grade on an answer counts as a success; a grade counts more than clicks."""


@dataclass(slots=True)
class Outcome:
    """One search with what became of it until some moment."""

    at: float
    unit: str
    phase: int | None
    side: str
    version: str
    latency_ms: float
    found: int
    top_score: float | None
    overlap: float | None
    error: str | None
    actions: list[tuple[float, str, float, str]] = field(default_factory=list)
    """(when, kind, grade, the version that gets the credit in an interleaved list)"""

    def success(self, until: float = float("inf")) -> bool:
        """Whether it served: by the last grade, else by a click or use."""
        seen = [item for item in self.actions if item[0] <= until]
        grades = [grade for _, kind, grade, _ in seen if kind == "grade"]
        return grades[-1] >= GOOD_GRADE if grades else bool(seen)

    def credited(self, until: float) -> list[str]:
        """The versions whose results were clicked or used, once per click."""
        return [team for at, kind, _, team in self.actions if at <= until and kind != "grade"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One key: on the candidate's side or not, how likely that was, and what it gave."""

    candidate: bool
    weight: float
    value: float


_SEARCHES = """
SELECT id, at, unit, phase, side, version, latency_ms, json_array_length(documents), top_score,
       overlap, error
FROM searches WHERE {where} ORDER BY number
"""
_FEEDBACK = """
SELECT f.search, f.at, f.kind, f.grade, f.team FROM feedback f
JOIN searches ON searches.id = f.search WHERE {where} ORDER BY f.number
"""


def read_outcomes(
    interactions: Interactions, where: str, parameters: Sequence[object]
) -> list[Outcome]:
    """Searches in order of their recording, with all feedback. ``where`` is on ``searches``."""
    rows = interactions.execute(_SEARCHES.format(where=where), parameters)
    found = {row[0]: Outcome(*row[1:]) for row in rows}
    for search, *action in interactions.execute(_FEEDBACK.format(where=where), parameters):
        if search in found:
            found[search].actions.append(_action(*action))
    return list(found.values())


def _action(at: float, kind: str, grade: float, team: str) -> tuple[float, str, float, str]:
    return at, kind, grade, team


def of_phases(interactions: Interactions, phases: Iterable[Phase]) -> list[Outcome]:
    """What was searched for in some phases of a canary, shadows too."""
    numbers = [phase.id for phase in phases]
    marks = ", ".join("?" for _ in numbers)
    return read_outcomes(interactions, f"searches.phase IN ({marks})", numbers)


def by_key(outcomes: Iterable[Outcome]) -> list[list[Outcome]]:
    """Each key's searches in its first phase, keys in the order of their first search.

    With another weight a key may be on another side, so what it did later does not count.
    """
    keys: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        known = keys.setdefault(outcome.unit, [])
        if not known or known[0].phase == outcome.phase:
            known.append(outcome)
    return list(keys.values())


def closed(
    keys: Iterable[Sequence[Outcome]], window: float, now: float
) -> tuple[list[list[Outcome]], int]:
    """The searches of each key within ``window`` seconds of its first, and how many keys are open.

    A key counts once, when its window has closed: so observations are independent, and what is
    counted once does not change under later looks.
    """
    done, waiting = [], 0
    for searches in keys:
        end = searches[0].at + window
        if end > now:
            waiting += 1
        else:
            done.append([item for item in searches if item.at <= end])
    return done, waiting


def split_observations(
    keys: Iterable[Sequence[Outcome]], weights: Mapping[int, float], window: float
) -> list[Observation]:
    """The share of each key's searches that served; of phases that assign to two sides."""
    found = []
    for searches in keys:
        weight = weights.get(searches[0].phase or 0, 0.0)
        if 0 < weight < 1 and searches[0].side in ("live", "candidate"):
            end = searches[0].at + window
            value = sum(item.success(end) for item in searches) / len(searches)
            found.append(Observation(searches[0].side == "candidate", weight, value))
    return found


def interleaved_wins(keys: Iterable[Sequence[Outcome]], candidate: str, window: float) -> list[int]:
    """Who won most lists of each key that had any: 1 candidate, -1 live, 0 neither."""
    found = []
    for searches in keys:
        lists = [item for item in searches if item.side == "interleaved"]
        if lists:
            end = searches[0].at + window
            won = sum(winner(_teams(item.credited(end), candidate)) for item in lists)
            found.append((won > 0) - (won < 0))
    return found


def _teams(versions: Iterable[str], candidate: str) -> list[Team]:
    return ["candidate" if name == candidate else "live" for name in versions if name]


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What was recorded of one side, whether or not its keys' windows have closed.

    Latencies in milliseconds; ``overlap`` is that of a shadow with the answers.
    """

    side: str
    keys: int
    searches: int
    served: int
    success_rate: float | None
    empty: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    overlap: float | None


def figures_of(side: str, outcomes: Sequence[Outcome]) -> SideFigures:
    """Count."""
    served = sum(item.success() for item in outcomes)
    taken: Any = [item.latency_ms for item in outcomes if item.error is None]
    p50, p95 = (
        (float(value) for value in np.quantile(taken, [0.5, 0.95])) if taken else (None, None)
    )
    agreed = [item.overlap for item in outcomes if item.overlap is not None]
    return SideFigures(
        side,
        len({item.unit for item in outcomes}),
        len(outcomes),
        served,
        served / len(outcomes) if outcomes else None,
        sum(item.found == 0 and item.error is None for item in outcomes),
        sum(item.error is not None for item in outcomes),
        p50,
        p95,
        sum(agreed) / len(agreed) if agreed else None,
    )
