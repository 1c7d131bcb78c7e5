"""Comparisons made from per-query scores, without a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reindex.evaluation.resampling import paired_difference
from reindex.evaluation.results import (
    Comparison,
    Counts,
    Latency,
    MetricRow,
    SideRecord,
    StageRow,
)

METRICS = ("recall@10", "ndcg@10", "mrr@10")
Scores = Sequence[float]


def made_comparison(
    live: Scores, candidate: Scores, *, groups: Sequence[int] | None = None, k: int = 10,
    p50_ms: float = 10.0, **changes: Any,
) -> Comparison:  # fmt: skip
    """One whose metrics all have these scores, query by query (``q0``, ``q1``, …)."""
    numbers = np.arange(len(live)) if groups is None else np.asarray(groups)
    d = paired_difference(np.asarray(live, float), np.asarray(candidate, float), numbers)
    pairs = {f"q{i}": pair for i, pair in enumerate(zip(live, candidate, strict=True))}
    given: dict[str, Any] = {
        "metric": "recall@10", "verdict": "pass", "reason": "", "k": k, "queries": len(live),
        "groups": d.groups, "metrics": tuple(MetricRow(name, d) for name in METRICS),
        "live_stage": StageRow(d.mean_live, d.mean_live, 0.0),
        "candidate_stage": StageRow(d.mean_candidate, d.mean_candidate, 0.0),
        "live_latency": Latency(50, 10.0, 12.0, 8.0, 2.0),
        "candidate_latency": Latency(50, p50_ms, 1.2 * p50_ms, 0.8 * p50_ms, 0.2 * p50_ms),
        "subset": None, "baselines": (), "variants": (), "unjudged": Counts(0, 0, len(live) * k),
        "missing": Counts(0, 0, len(live)), "wins": (), "losses": (), "judged_set": "set",
        "settings": {}, "gate": {}, "seconds": 1.0,
        "scores": {name: dict(pairs) for name in METRICS},
    }  # fmt: skip
    return Comparison(live=_side("v1"), candidate=_side("v2"), **{**given, **changes})


def _side(version: str) -> SideRecord:
    return SideRecord(
        version=version, collection=f"world--{version}", space=version, encoding=version,
        build=f"build-{version}", points=100, dim=32, layout="two-stage", prefix_dim=16,
        oversampling=10,
    )  # fmt: skip


def steps(queries: int, every: int) -> tuple[Scores, Scores]:
    """Live and candidate: every so manieth query is better under the candidate, none is worse."""
    live = [float(i % 2) for i in range(queries)]
    better = [1.0 if i % every == 0 else score for i, score in enumerate(live)]
    return live, better
