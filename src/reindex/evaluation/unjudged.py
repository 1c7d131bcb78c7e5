"""Live against candidate on queries that nobody judged: how far they agree, and no verdict."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reindex.config import EvaluationSettings
from reindex.errors import ComparisonError
from reindex.evaluation.agreement import Agreement, agreement
from reindex.evaluation.groups import group_queries
from reindex.evaluation.results import Latency, SideRecord
from reindex.evaluation.results_queries import Results
from reindex.evaluation.retrieval import Side, measure_latency, open_side, runs_of
from reindex.plain import from_plain, to_plain
from reindex.protocols import Progress, Store, no_progress
from reindex.records import Judgements, Query

NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnjudgedComparison:
    """Live and candidate on the same queries, without judgements.

    It has no verdict to promote by: `verdict` is always "not judged". ``query_set`` identifies the
    queries (sha256).
    """

    live: SideRecord
    candidate: SideRecord
    k: int
    queries: int
    groups: int
    agreement: Agreement
    live_latency: Latency
    candidate_latency: Latency
    query_set: str
    seconds: float
    note: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    results: Results | None = None

    @property
    def verdict(self) -> str:
        """Whoever reads verdicts finds none here."""
        return NOT_JUDGED

    @property
    def reason(self) -> str:
        """How much an application would notice, in a sentence."""
        share = f"{self.agreement.overlap.mean:.0%}"
        return (
            f"Of the first {self.k} results the two share {share} on average; "
            f"{self.agreement.identical:,} of {self.queries:,} queries give the same list. "
            "Nobody judged which is right."
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, with the verdict; ``from_dict`` gives an equal one back."""
        return {**to_plain(self), "verdict": self.verdict, "reason": self.reason}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> UnjudgedComparison:
        """Read what ``as_dict`` wrote, with or without ``results``."""
        read: UnjudgedComparison = from_plain(cls, raw)
        return read


def compare_unjudged(
    store: Store,
    live: Side,
    candidate: Side,
    queries: Sequence[Query],
    settings: EvaluationSettings,
    *,
    progress: Progress = no_progress,
) -> UnjudgedComparison:
    """Search both sides as they serve and hold the results against each other.

    Raises:
        ComparisonError: no queries, or one collection on both sides.
        SpaceMismatch: a side's encoder did not write its collection.
    """
    started = time.perf_counter()
    asked = tuple({query.id: query for query in queries}.values())
    if not asked or live.collection == candidate.collection:
        raise ComparisonError(
            "Expected queries and two collections, got "
            f"{len(asked)} queries for {live.collection} and {candidate.collection}."
        )
    sides = open_side(store, live), open_side(store, candidate)
    runs = [runs_of(side, asked, settings.k, progress, exact=False).scores for side in sides]
    groups = group_queries(Judgements(asked, {}))
    latency = measure_latency(*sides, asked, settings.k, progress)
    return UnjudgedComparison(
        live=sides[0].record(),
        candidate=sides[1].record(),
        k=settings.k,
        queries=len(asked),
        groups=len(set(groups.tolist())),
        agreement=agreement(runs[0], runs[1], groups, settings),
        live_latency=latency[0],
        candidate_latency=latency[1],
        query_set=_hash(asked),
        seconds=time.perf_counter() - started,
        note=settings.note,
        settings=settings.model_dump(mode="json"),
        results=Results.of(asked, (runs[0], runs[1]), groups, settings.k),
    )


def _hash(queries: Sequence[Query]) -> str:
    content = json.dumps(sorted((query.id, query.text) for query in queries))
    return hashlib.sha256(content.encode("ascii")).hexdigest()
