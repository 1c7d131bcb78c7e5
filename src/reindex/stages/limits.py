"""A server's strict mode: which of a collection's limits a build, or what follows it, would break.

The limits are those of the version's collection; where it is still to be made and the source is a
collection, that one's, which are carried over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reindex.evaluation.calibrate import CANDIDATES
from reindex.forecast import FLOAT_BYTES, STAMP_BYTES, Shape
from reindex.protocols import CarryingStore
from reindex.records import STAMP_KEY, CollectionDescription
from reindex.stages.carrying import model_of
from reindex.stages.finding import Finding
from reindex.stores.layout import STAMP_FIELDS
from reindex.stores.server_requests import READ_BATCH, STAMP_INDEXES
from reindex.workspace import Workspace

FILTER = 2 + len(STAMP_FIELDS)
"""Conditions of our largest filter: some ids, and that one field of the stamp is not there."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What reindex will ask of the collection."""

    shape: Shape
    indexes: int
    k: int

    @property
    def vectors(self) -> int:
        return self.shape.points * FLOAT_BYTES * (self.shape.dim + (self.shape.prefix_dim or 0))

    @property
    def payloads(self) -> int:
        return round(self.shape.points * (self.shape.payload_bytes + STAMP_BYTES))

    @property
    def hits(self) -> int:
        """Of the largest request: a page of a scroll, or the first stage's candidates."""
        first = max(CANDIDATES) * self.k if self.shape.prefix_dim else self.k
        return max(READ_BATCH, first)


_LIMITS: dict[str, tuple[Callable[[_Needs], int], str]] = {
    "max_points_count": (lambda needs: needs.shape.points, "points"),
    "max_collection_vector_size_bytes": (lambda needs: needs.vectors, "bytes of vectors"),
    "max_collection_payload_size_bytes": (lambda needs: needs.payloads, "bytes of payloads"),
    "max_payload_index_count": (lambda needs: needs.indexes, "payload indexes, ours included"),
    "max_query_limit": (lambda needs: needs.hits, "points per scroll or search"),
    "filter_max_conditions": (lambda _: FILTER, "conditions in a filter"),
    "condition_max_size": (lambda _: READ_BATCH, "ids in a condition"),
}
"""Field of `StrictModeConfig` -> what reindex needs of it at most, and what that counts."""

_RATES = {"read_rate_limit": "reads", "write_rate_limit": "writes"}


def strict_mode(workspace: Workspace, target: str, shape: Shape) -> Iterator[Finding]:
    """What the collection's limits forbid. Nothing where there are none, or none can be asked."""
    found = _limited(workspace, target)
    limits = {} if found is None else dict(found.settings.get("strict_mode_config") or {})
    if found is None or not limits.get("enabled"):
        return
    others = sum(not field.startswith(f"{STAMP_KEY}.") for field in found.indexes)
    k = workspace.settings.evaluation.k
    needs = _Needs(shape, others + len(STAMP_INDEXES), k)
    for name, (needed_of, what) in _LIMITS.items():
        allowed, needed = limits.get(name), needed_of(needs)
        if allowed is not None and needed > allowed:
            told = f"{found.name}: strict mode's {name} is {allowed:,}; needed: {needed:,} {what}"
            yield Finding("error", told, f"raise it to at least {needed:,}")
    yield from _others(found.name, limits)


def _others(name: str, limits: Mapping[str, Any]) -> Iterator[Finding]:
    if limits.get("search_allow_exact") is False:
        what = f"{name}: strict mode forbids exact search (search_allow_exact)"
        remedy = "allow it: the end of a build and the comparison measure against exact search"
        yield Finding("error", what, remedy)
    if limits.get("unindexed_filtering_update") is False:
        what = f"{name}: strict mode forbids filters on fields without an index in updates"
        remedy = (
            "points without our stamp, which plain clients wrote, could not be overwritten: allow "
            "it (unindexed_filtering_update)"
        )
        yield Finding("warning", what, remedy)
    for field, kind in _RATES.items():
        if (rate := limits.get(field)) is not None:
            what = f"{name}: strict mode allows {rate:,} {kind} a minute ({field})"
            yield Finding(
                "warning", what, "the build waits as the server asks; it will take longer"
            )


def _limited(workspace: Workspace, target: str) -> CollectionDescription | None:
    store = workspace.store
    if not isinstance(store, CarryingStore):
        return None
    if target in workspace.store.collections():
        return store.describe(target)
    return model_of(workspace, target)
