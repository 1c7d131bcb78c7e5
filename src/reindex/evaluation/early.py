"""A look at a candidate before its collection is built: is it clearly worse?

Live scores by what it serves, on all documents. The candidate searches a subset exactly that holds
every relevant document. Leaving out documents that are not relevant can only move relevant ones
up, so per query the candidate's score is at least what it would be on all documents: the look errs
for the candidate, never against it, whatever else is in the subset. Hard distractors make the
bound tight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.groups import group_queries
from reindex.evaluation.resampling import PairedDifference, paired_difference
from reindex.evaluation.statistics import (
    MIN_DISCORDANT,
    MIN_DISCORDANT_GROUPS,
    percent,
    percent_range,
)
from reindex.measures import label
from reindex.records import Document, Judgements, Query

CONFIDENCE = 0.99
"""Two-sided confidence of the interval that must lie below the limit: nominally a candidate that
is just as good as live is stopped once in 200 looks."""
HARD = 20
"""Results of live, and of BM25, per query that compete with the answers."""
RELEVANT_SHARE, HARD_SHARE = 0.5, 0.4
"""Of the subset, at most; the rest is a stratified sample of the source."""


@dataclass(frozen=True, slots=True)
class EarlyLook:
    """What a look found. ``low`` to ``high`` is the 99 % interval of the relative change.

    ``candidate`` is an upper bound of what a whole collection would give; ``documents`` were
    searched for it.
    """

    metric: str
    live: float
    candidate: float
    relative: float
    low: float
    high: float
    queries: int
    groups: int
    documents: int
    worse: bool

    def __str__(self) -> str:
        change = f"{percent(self.relative)} ({CONFIDENCE * 100:g} % interval "
        return (
            f"{label(self.metric)} {self.candidate:.3f} at most, live {self.live:.3f}: {change}"
            f"{percent_range(self.low, self.high)}), {self.queries:,} judged queries, "
            f"{self.documents:,} documents"
        )


def judge_early(
    metric: str,
    judged: Judgements,
    live: Mapping[str, float],
    candidate: Mapping[str, float],
    documents: int,
    settings: EvaluationSettings,
    gate: GateSettings,
) -> EarlyLook:
    """Decide from both sides' values per query, which are of ``judged.queries``."""
    ids = [query.id for query in judged.queries]
    d = paired_difference(
        np.array([live[id] for id in ids]),
        np.array([candidate[id] for id in ids]),
        group_queries(judged),
        confidence=CONFIDENCE,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return EarlyLook(
        metric, d.mean_live, d.mean_candidate, d.relative, d.low, d.high, d.queries, d.groups,
        documents, clearly_worse(d, gate),
    )  # fmt: skip


def clearly_worse(d: PairedDifference, gate: GateSettings) -> bool:
    """Whether the interval lies below live, or below what non-inferiority allows.

    Not: below the effect that the gate asks for. A candidate that is a little better may be wanted
    for another reason than the judged metric; one that is worse is not.
    """
    limit = 0.0 if gate.mode == "superiority" else -gate.margin
    enough = d.discordant >= MIN_DISCORDANT and d.discordant_groups >= MIN_DISCORDANT_GROUPS
    return enough and d.high < limit


def choose_queries(judged: Judgements, limit: int, rng: np.random.Generator) -> Judgements:
    """Random queries whose relevant documents together are at most ``limit``; one always fits."""
    chosen: list[Query] = []
    relevant: set[str] = set()
    for place in rng.permutation(len(judged.queries)):
        query = judged.queries[place]
        more = {id for id, grade in judged.qrels[query.id].items() if grade >= 1}
        if not chosen or len(relevant | more) <= limit:
            chosen.append(query)
            relevant |= more
    return Judgements(tuple(chosen), {query.id: judged.qrels[query.id] for query in chosen})


def relevant_of(judged: Judgements) -> set[str]:
    """Ids of all relevant documents."""
    grades = (item for qrels in judged.qrels.values() for item in qrels.items())
    return {id for id, grade in grades if grade >= 1}


def hard_distractors(
    rankings: Sequence[Mapping[str, Sequence[str]]], taken: set[str], limit: int
) -> set[str]:
    """Up to ``limit`` results that are not ``taken``: every query's first ones before any second.

    ``rankings`` are runs, query id -> document ids, best first.
    """
    found: set[str] = set()
    for document in _by_rank(rankings):
        if len(found) >= limit:
            break
        if document not in taken:
            found.add(document)
    return found


def _by_rank(rankings: Sequence[Mapping[str, Sequence[str]]]) -> Iterator[str]:
    for rank in range(HARD):
        for run in rankings:
            yield from (documents[rank] for documents in run.values() if rank < len(documents))


@dataclass(slots=True)
class LengthStrata:
    """A sample of documents, stratified by length: each doubling of the text is a stratum.

    Of each a reservoir is kept (Vitter 1985, algorithm R), and of the reservoirs as many documents
    as the stratum's share of the source, at least one: long documents are few and behave apart.
    """

    size: int
    rng: np.random.Generator
    counts: dict[int, int] = field(default_factory=dict)
    kept: dict[int, list[Document]] = field(default_factory=dict)

    def see(self, document: Document) -> None:
        """Another document of the source."""
        stratum = len(document.text).bit_length()
        count = self.counts[stratum] = self.counts.get(stratum, 0) + 1
        reservoir = self.kept.setdefault(stratum, [])
        if len(reservoir) < self.size:
            reservoir.append(document)
        elif (place := int(self.rng.integers(count))) < self.size:
            reservoir[place] = document

    def sample(self) -> list[Document]:
        """About ``size`` documents."""
        total, chosen = sum(self.counts.values()), []
        for stratum, reservoir in sorted(self.kept.items()):
            wanted = max(1, math.floor(self.size * self.counts[stratum] / total))
            places = self.rng.permutation(len(reservoir))[:wanted]
            chosen += [reservoir[place] for place in places]
        return chosen
