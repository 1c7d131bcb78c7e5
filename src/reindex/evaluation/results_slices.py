"""What a comparison found in parts of its queries."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SliceMetric:
    """A metric within a slice; ``low`` and ``high`` hold for all slices of the report at once."""

    name: str
    live: float
    candidate: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice. ``metrics`` are empty where it has too few independent groups to say anything."""

    field: str
    value: str
    queries: int
    groups: int
    metrics: tuple[SliceMetric, ...] = ()

    @property
    def label(self) -> str:
        """``language=de``."""
        return f"{self.field}={self.value}"

    def metric(self, name: str) -> SliceMetric | None:
        """A metric by its full name (``ndcg@10``)."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True, slots=True)
class SliceReport:
    """All slices, in the order of their fields; ``least`` groups are needed to say anything.

    ``without_values`` are fields that no query, or no relevant document, has.
    """

    confidence: float
    least: int
    rows: tuple[SliceRow, ...]
    without_values: tuple[str, ...] = field(default=())

    @property
    def judged(self) -> tuple[SliceRow, ...]:
        """Slices that are large enough."""
        return tuple(row for row in self.rows if row.metrics)

    @property
    def small(self) -> tuple[SliceRow, ...]:
        """Slices that are too small to say anything of."""
        return tuple(row for row in self.rows if not row.metrics)
