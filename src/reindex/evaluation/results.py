"""What a comparison found: a tree of frozen dataclasses that survives JSON unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reindex.errors import ComparisonError
from reindex.evaluation.agreement import Agreement
from reindex.evaluation.power import Power
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results_bounds import Bounds
from reindex.evaluation.results_family import Family
from reindex.evaluation.results_folds import Stability
from reindex.evaluation.results_leakage import LeakageReport
from reindex.evaluation.results_models import ModelsReport
from reindex.evaluation.results_protected import ProtectedReport
from reindex.evaluation.results_queries import Results
from reindex.evaluation.results_slices import SliceReport
from reindex.evaluation.results_steps import Steps
from reindex.evaluation.statistics import Judged, Verdict
from reindex.evaluation.stored import with_cut_offs
from reindex.measures import parse_measure
from reindex.plain import from_plain, to_plain
from reindex.records import Layout


@dataclass(frozen=True, slots=True)
class SideRecord:
    """Which collection stood on one side, in which state, and how it was searched."""

    version: str
    collection: str
    space: str
    encoding: str
    build: str
    points: int
    dim: int
    layout: Layout
    prefix_dim: int | None
    oversampling: int
    hnsw_ef: int | None = None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric at k (``ndcg@10``), live against candidate.

    ``judged`` is its verdict by the gate's rule as it was then, ``power`` what this query set could
    have shown; None in rows that are not judged, and in comparisons stored without them.
    """

    name: str
    difference: PairedDifference
    judged: Judged | None = None
    power: Power | None = None


@dataclass(frozen=True, slots=True)
class StageRow:
    """Recall as served against exact search; ``loss`` is the share of the exact recall lost."""

    exact: float
    served: float
    loss: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of encoding one query and searching as served, one query at a time."""

    queries: int
    p50_ms: float
    p95_ms: float
    encode_p50_ms: float
    search_p50_ms: float


@dataclass(frozen=True, slots=True)
class DimensionRow:
    """Recall on the subset with truncated vectors; None where a side has no such dimension.

    ``kept`` is the share of that side's recall at its full dimension.
    """

    dim: int
    live: float | None
    live_kept: float | None
    candidate: float | None
    candidate_kept: float | None


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """A metric of the candidate on the subset: fp32 graph against the one that serves.

    ``change`` is relative to fp32: -0.005 is half a percent lost.
    """

    name: str
    fp32: float
    served: float
    change: float


@dataclass(frozen=True, slots=True)
class SubsetReport:
    """Figures from judged documents + distractors, searched exactly; higher than on the whole."""

    documents: int
    queries: int
    dimensions: tuple[DimensionRow, ...]
    precision: tuple[PrecisionRow, ...]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """Another retriever on the same queries and documents; ``means`` is measure -> mean."""

    name: str
    means: dict[str, float]


@dataclass(frozen=True, slots=True)
class VariantRow:
    """The same queries in another wording, on both sides; printed, not judged."""

    label: str
    queries: int
    metrics: tuple[MetricRow, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """A count per side and what it is counted out of."""

    live: int
    candidate: int
    of: int


@dataclass(frozen=True, slots=True)
class Example:
    """A query that the candidate answers better or worse than live."""

    query: str
    text: str
    live: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Live and candidate on the same judged queries.

    ``metrics``, ``scores``, ``wins`` and ``losses`` are of search as it serves: two-stage where
    the collection is laid out for it. Metrics are named with their cut-off, ``ndcg@10``; ``k`` is
    how many results serving asks for. ``unjudged`` counts results within the first k that nobody
    judged, ``missing`` relevant documents that a collection lacks. ``scores`` is metric -> query
    id -> (live, candidate). ``judged_set`` identifies queries and judgements (sha256). ``results``
    are kept beside the stored form, as ``scores`` are.
    ``bounds`` is what unjudged results could do to the verdict; ``family`` the candidates that
    were compared at once, where there were several; ``models`` what was judged beside them without
    a collection; ``stability`` what the folds of a small judged set say.
    """

    live: SideRecord
    candidate: SideRecord
    metric: str
    verdict: Verdict
    reason: str
    k: int
    queries: int
    groups: int
    metrics: tuple[MetricRow, ...]
    live_stage: StageRow
    candidate_stage: StageRow
    live_latency: Latency
    candidate_latency: Latency
    subset: SubsetReport | None
    baselines: tuple[BaselineRow, ...]
    variants: tuple[VariantRow, ...]
    unjudged: Counts
    missing: Counts
    wins: tuple[Example, ...]
    losses: tuple[Example, ...]
    judged_set: str
    settings: dict[str, Any]
    gate: dict[str, Any]
    seconds: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    scores: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    slices: SliceReport | None = None
    bounds: Bounds | None = None
    family: Family | None = None
    protected: ProtectedReport | None = None
    leakage: LeakageReport | None = None
    agreement: Agreement | None = None
    steps: Steps | None = None
    results: Results | None = None
    models: ModelsReport | None = None
    stability: Stability | None = None

    def row(self, metric: str) -> PairedDifference:
        """The difference of one metric: ``ndcg@10``, or ``ndcg`` for the comparison's own k.

        Raises:
            ValueError: there is no such metric.
            ComparisonError: it was not measured.
        """
        return self.metric_row(metric).difference

    def metric_row(self, metric: str) -> MetricRow:
        """The whole row of one metric, named as for `row`, which raises the same."""
        name = str(parse_measure(metric, self.k))
        for row in self.metrics:
            if row.name == name:
                return row
        raise ComparisonError(
            f"This comparison has no {name}; it has {', '.join(row.name for row in self.metrics)}. "
            "Name it in evaluation.metrics, or as gate.metric, and compare again."
        )

    @property
    def judged(self) -> PairedDifference:
        """The difference that the verdict is about."""
        return self.row(self.metric)

    @property
    def candidate_two_stage_loss(self) -> float | None:
        """Share of exact recall that two-stage search loses; None in the single layout."""
        return self.candidate_stage.loss if self.candidate.layout == "two-stage" else None

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON types; ``from_dict`` gives an equal one back."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Comparison:
        """Read what ``as_dict`` wrote, with or without ``scores``; unknown keys are skipped.

        Older comparisons named metrics without their cut-off: there it is the comparison's k.
        """
        read: Comparison = from_plain(cls, with_cut_offs(raw))
        return read
