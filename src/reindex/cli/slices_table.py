"""Slices of a comparison as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reindex.cli.sheets import line, sheet
from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reindex.evaluation.results import Comparison
    from reindex.evaluation.results_slices import SliceRow

SHOWN = 10
"""Protected queries that are printed of each kind."""


def slices(c: Comparison) -> Iterator[RenderableType]:
    """The judged metric within each slice, and which slices are too small."""
    report = c.slices
    if report is None:
        return
    if report.judged:
        yield _table(c, report.judged, report.confidence)
        yield line(f"All {len(report.judged)} intervals hold together with this confidence.")
    if report.small:
        named = ", ".join(f"{row.label} ({row.groups})" for row in report.small)
        yield line(f"Too small to say, under {report.least} independent groups: {named}.")
    if report.without_values:
        yield line(f"No judged query has: {', '.join(report.without_values)}.")


def protected(c: Comparison) -> Iterator[RenderableType]:
    """Protected queries that either side does not answer as they must."""
    report = c.protected
    if report is None:
        return
    kinds = (("LOST", report.failed), ("wrong before", report.already), ("mended", report.mended))
    if not any(rows for _, rows in kinds):
        yield line(f"All {report.queries} protected queries are answered right.")
        return
    table = sheet(f"Of {report.queries} protected queries", "query", "now", "k", "not found")
    for told, rows in kinds:
        for row in rows[:SHOWN]:
            missing = row.lost or row.lost_live
            names = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
            table.add_row(" ".join(row.query.split())[:60], told, str(row.k), names)
    yield table
    yield line(
        f"Lost {len(report.failed)}, wrong before already {len(report.already)}, "
        f"mended {len(report.mended)}."
    )


def _table(c: Comparison, rows: Sequence[SliceRow], confidence: float) -> RenderableType:
    heads = ("queries", "live", "candidate", "change", f"{confidence * 100:g} % interval")
    table = sheet(f"{label(c.metric)} by slice", "slice", *heads)
    for row in rows:
        found = row.metric(c.metric)
        if found is not None:
            table.add_row(
                row.label,
                f"{row.queries:,}",
                f"{found.live:.3f}",
                f"{found.candidate:.3f}",
                percent(found.change),
                percent_range(found.low, found.high),
            )
    return table
