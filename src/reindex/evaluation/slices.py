"""Slices of a comparison: each with its difference, and intervals that hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from reindex.evaluation.figure import Figure, quoted
from reindex.evaluation.paired import Scored
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_slices import SliceMetric, SliceReport, SliceRow
from reindex.evaluation.retrieval import OpenSide, locate_in
from reindex.evaluation.simultaneous import Bounds, simultaneous_bounds
from reindex.evaluation.slicing import NONE, Members, relevant_documents, slice_queries
from reindex.evaluation.statistics import MIN_DISCORDANT_GROUPS, group_queries
from reindex.records import Payload

LEAST_GROUPS = MIN_DISCORDANT_GROUPS
"""Independent groups of queries below which nothing is said of a slice."""


def slice_report(scored: Scored, sides: tuple[OpenSide, OpenSide]) -> SliceReport | None:
    """Both sides' scores, slice by slice; None where there is no slice."""
    settings = scored.settings.slices
    payloads = _payloads(scored, sides) if settings.document_fields else {}
    members = slice_queries(scored.judged, payloads, settings)
    if not members:
        return None
    asked = [*settings.query_fields, *(f"document.{name}" for name in settings.document_fields)]
    nothing = [name for name in asked if {v for f, v in members if f == name} == {NONE}]
    groups = group_queries(scored.judged)
    return SliceReport(
        scored.settings.confidence,
        LEAST_GROUPS,
        _rows(scored, {key: at for key, at in members.items() if key[0] not in nothing}, groups),
        tuple(nothing),
    )


def _payloads(scored: Scored, sides: tuple[OpenSide, OpenSide]) -> Mapping[str, Payload]:
    """The relevant documents' payloads, the candidate's first."""
    wanted = relevant_documents(scored.judged)
    found: dict[str, Payload] = {}
    for side in sides:
        points = locate_in(side.store, side.side.collection, wanted, with_payload=True)
        found |= {document: point.payload for document, point in points.items()}
    return found


def _rows(scored: Scored, members: Members, groups: NDArray[np.int64]) -> tuple[SliceRow, ...]:
    sizes = {key: len(np.unique(groups[positions])) for key, positions in members.items()}
    large = {key: at for key, at in members.items() if sizes[key] >= LEAST_GROUPS}
    judged = _judged(scored, large, groups)
    return tuple(
        SliceRow(field, value, len(at), sizes[field, value], judged.get((field, value), ()))
        for (field, value), at in members.items()
    )


def _judged(
    scored: Scored, members: Members, groups: NDArray[np.int64]
) -> dict[tuple[str, str], tuple[SliceMetric, ...]]:
    if not members:
        return {}
    ids = [query.id for query in scored.judged.queries]
    within = np.zeros((len(members), len(ids)), dtype=bool)
    for row, positions in zip(within, members.values(), strict=True):
        row[positions] = True
    found: dict[tuple[str, str], tuple[SliceMetric, ...]] = dict.fromkeys(members, ())
    settings = scored.settings
    for name in scored.live:
        live = np.array([scored.live[name][id] for id in ids])
        change = np.array([scored.candidate[name][id] for id in ids]) - live
        bounds = simultaneous_bounds(
            live,
            change,
            within,
            groups,
            confidence=settings.confidence,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        for at, (key, positions) in enumerate(members.items()):
            found[key] += (_metric(name, live[positions], change[positions], bounds, at),)
    return found


def _metric(
    name: str, live: NDArray[np.float64], change: NDArray[np.float64], bounds: Bounds, at: int
) -> SliceMetric:
    return SliceMetric(
        name=name,
        live=float(live.mean()),
        candidate=float((live + change).mean()),
        change=float(bounds.relative[at]),
        low=float(bounds.low[at]),
        high=float(bounds.high[at]),
    )


def slice_figures(comparison: Comparison) -> Iterator[Figure]:
    """``slice.language=de.ndcg@10.change`` and ``slice.language=de.queries`` of every slice."""
    report = comparison.slices
    for row in report.rows if report else ():
        name = f"slice.{row.field.translate(_PLAIN_NAMES)}={quoted(row.value)}"
        yield Figure(f"{name}.queries", row.queries, "count", f"Queries in {row.label}.")
        for metric in row.metrics:
            yield Figure(
                f"{name}.{metric.name}.change",
                metric.change,
                "%",
                f"{row.queries} queries in {row.groups} independent groups.",
                low=metric.low,
                high=metric.high,
                confidence=report.confidence if report else None,
                signed=True,
            )
            yield Figure(f"{name}.{metric.name}.live", metric.live)
            yield Figure(f"{name}.{metric.name}.candidate", metric.candidate)


_PLAIN_NAMES = str.maketrans({".": "/", "(": "-", ")": None})
"""Fields within a figure's name: ``len(text)`` is ``len-text``, ``meta.lang`` is ``meta/lang``."""
