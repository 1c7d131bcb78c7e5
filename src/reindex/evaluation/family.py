"""Several candidates against live at once: one pass over live, and verdicts that hold together.

The best of ten random changes looks good. Holm's step-down (Scandinavian Journal of Statistics 6,
1979) keeps the chance that any candidate without an effect passes at that of a single comparison:
in the order of their evidence, the j-th of m is judged by the interval of level 1 - a/(m - j + 1),
and the first that does not pass ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.folds import best_of
from reindex.evaluation.groups import group_queries
from reindex.evaluation.metrics import answerable
from reindex.evaluation.resampling import PairedDifference, paired_difference
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_family import Family
from reindex.evaluation.results_folds import Choice
from reindex.evaluation.statistics import Judged
from reindex.evaluation.verdicts import verdict_of
from reindex.records import Judgements


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One of several candidates that are judged together.

    ``live`` and ``candidate`` are ``(n,)`` scores per query, ``groups`` their queries' groups,
    ``difference`` their difference at the level of a single comparison, and ``judge`` gives the
    verdict once the place among the others is known.
    """

    name: str
    live: NDArray[np.float64]
    candidate: NDArray[np.float64]
    groups: NDArray[np.int64]
    difference: PairedDifference
    judge: Callable[[Family], Judged]


def families(
    members: Sequence[Member],
    settings: EvaluationSettings,
    gate: GateSettings,
    choice: Choice | None = None,
) -> list[tuple[Family, Judged]]:
    """Each member's place and verdict, in their order; at least two of them.

    ``choice`` is of the best one.
    """
    order = sorted(range(len(members)), key=lambda i: _evidence(members[i].difference, gate))
    adjusted = holm([_evidence(members[i].difference, gate) for i in order])
    names = tuple(member.name for member in members)
    found: dict[int, tuple[Family, Judged]] = {}
    stopped = False
    for place, (index, p_value) in enumerate(zip(order, adjusted, strict=True)):
        confidence = 1 - (1 - settings.confidence) / (len(order) - place)
        difference = _difference(members[index], settings, confidence)
        chosen = choice if choice is not None and choice.best == members[index].name else None
        family = Family(names, place + 1, p_value, difference, stopped, chosen)
        judged = members[index].judge(family)
        found[index] = family, judged
        stopped = stopped or judged.verdict != "pass"
    return [found[index] for index in range(len(members))]


def as_family(
    comparisons: Sequence[Comparison],
    judgements: Judgements,
    settings: EvaluationSettings,
    gate: GateSettings,
    others: Sequence[Member] = (),
) -> tuple[tuple[Comparison, ...], list[tuple[Family, Judged]]]:
    """The same comparisons, in their order, with verdicts that hold for all of them together.

    They are of one live version on one judged set. ``others`` are judged along, and theirs are the
    second result. A single one stays as it is.
    """
    if len(comparisons) + len(others) < 2:
        return tuple(comparisons), []
    groups = _groups(judgements, comparisons[0]) if comparisons else None
    members = [_member(one, groups, gate) for one in comparisons if groups is not None]
    found = families([*members, *others], settings, gate, _choice(members, settings))
    judged = [
        replace(one, family=family, verdict=outcome.verdict, reason=outcome.reason)
        for one, (family, outcome) in zip(comparisons, found, strict=False)
    ]
    return tuple(judged), found[len(comparisons) :]


def _choice(members: Sequence[Member], settings: EvaluationSettings) -> Choice | None:
    """Of the built candidates, which are judged on the same queries."""
    if len(members) < 2:
        return None
    scores = {member.name: member.candidate for member in members}
    return best_of(members[0].live, scores, members[0].groups, settings)


def _member(comparison: Comparison, groups: NDArray[np.int64], gate: GateSettings) -> Member:
    pairs = np.array(list(comparison.scores[comparison.metric].values()), dtype=np.float64)

    def judge(family: Family) -> Judged:
        return verdict_of(replace(comparison, family=family), gate)

    name = comparison.candidate.version
    return Member(name, pairs[:, 0], pairs[:, 1], groups, comparison.judged, judge)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of ascending ones: each compares with the level of a single test."""
    count = len(p_values)
    scaled = [min(1.0, p * (count - place)) for place, p in enumerate(p_values)]
    return [float(p) for p in np.maximum.accumulate(scaled)]


def _evidence(d: PairedDifference, gate: GateSettings) -> float:
    """A p-value of what the gate asks for: small where it is shown, 1 where it is not so at all.

    Superiority: the two-sided sign-flip test's, where the candidate is ahead. Non-inferiority: of
    the normal distribution around the relative change, two-sided.
    """
    if gate.mode == "superiority":
        return d.p_value if d.difference > 0 else 1.0
    distance = d.relative + gate.margin
    if not d.error:
        return 0.0 if distance >= 0 else 1.0
    return min(1.0, 2 * (1 - NormalDist().cdf(distance / d.error)))


def _groups(judgements: Judgements, comparison: Comparison) -> NDArray[np.int64]:
    """The groups of the queries in the order of the comparison's scores."""
    queries = {query.id: query for query in judgements.queries}
    scored = tuple(queries[id] for id in comparison.scores[comparison.metric])
    return group_queries(Judgements(scored, answerable(judgements.qrels)))


def _difference(
    member: Member, settings: EvaluationSettings, confidence: float
) -> PairedDifference:
    return paired_difference(
        member.live,
        member.candidate,
        member.groups,
        confidence=confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
