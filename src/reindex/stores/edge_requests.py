"""Our words -> Qdrant Edge's requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.records import PREFIX_VECTOR, STAMP_KEY, Payload, Point, PointId, SearchPlan, Vector
from reindex.stores.filters import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    Empty,
    Equal,
    FieldClause,
    Not,
    OneOf,
    clauses,
)
from reindex.stores.layout import (
    BUILD_FIELD,
    FULL_VECTOR,
    REV_FIELD,
    STAMP_FIELDS,
    Seen,
    Shape,
    prefix_of,
    stamped,
)

if TYPE_CHECKING:
    import qdrant_edge as edge


def points(written: Sequence[Point], vectors: Vector, shape: Shape) -> list[edge.Point]:
    """Edge's points; ``vectors`` is ``(n, dim)``, the prefix is derived from it.

    Rows go over as memoryviews: half the time of numpy rows or lists.
    """
    from qdrant_edge import Point as EdgePoint

    named: list[dict[str, Any]] = [{FULL_VECTOR: row.data} for row in vectors]
    if shape.prefix_dim is not None:
        for slots, row in zip(named, prefix_of(vectors, shape.prefix_dim), strict=True):
            slots[PREFIX_VECTOR] = row.data
    return [
        EdgePoint(point.id, slots, stamped(point))
        for point, slots in zip(written, named, strict=True)
    ]


def insertion(batch: Sequence[edge.Point]) -> edge.UpdateOperation:
    """Write the points whose ids do not exist."""
    from qdrant_edge import UpdateMode, UpdateOperation

    return UpdateOperation.upsert_points(list(batch), update_mode=UpdateMode.InsertOnly)


def replacement(batch: Sequence[edge.Point], seen: Seen) -> edge.UpdateOperation:
    """Overwrite the points that exist and are still as ``seen``."""
    from qdrant_edge import Filter, UpdateMode, UpdateOperation

    condition = Filter(must=_unchanged(seen))
    return UpdateOperation.upsert_points(list(batch), condition, UpdateMode.UpdateOnly)


def new_payload(point_id: PointId, payload: Payload, seen: Seen) -> edge.UpdateOperation:
    """Overwrite one point's payload where it is still as ``seen``."""
    from qdrant_edge import Filter, HasIdCondition, UpdateOperation

    condition = Filter(must=[HasIdCondition({point_id}), *_unchanged(seen)])
    return UpdateOperation.overwrite_payload_by_filter(condition, payload)


def deletion(ids: Sequence[PointId], seen: Seen) -> edge.UpdateOperation:
    """Delete the points that are still as ``seen``."""
    from qdrant_edge import Filter, HasIdCondition, UpdateOperation

    condition = Filter(must=[HasIdCondition(set(ids)), *_unchanged(seen)])
    return UpdateOperation.delete_points_by_filter(condition)


def lacking(names: Sequence[str]) -> edge.Filter:
    """Points without at least one of these vectors."""
    from qdrant_edge import Filter, HasVectorCondition

    return Filter(should=[Filter(must_not=[HasVectorCondition(name)]) for name in names])


def unstamped() -> edge.Filter:
    """Points without a stamp."""
    from qdrant_edge import Filter, IsEmptyCondition

    return Filter(must=[IsEmptyCondition(BUILD_FIELD)])


def search(query: Vector, plan: SearchPlan, shape: Shape) -> edge.QueryRequest:
    """One request: the full vectors, or the prefixes first and the full ones to rescore."""
    from qdrant_edge import Filter, Prefetch, Query, QueryRequest, SearchParams

    where = Filter(must=[_condition(c) for c in clauses(plan.where)]) if plan.where else None
    params = SearchParams(hnsw_ef=plan.hnsw_ef, exact=plan.exact)
    prefetches = []
    if plan.two_stage and shape.prefix_dim is not None:
        short = Query.Nearest(prefix_of(query, shape.prefix_dim).tolist(), using=PREFIX_VECTOR)
        limit = plan.oversampling * (plan.k + plan.offset)
        prefetches = [Prefetch(limit=limit, query=short, params=params, filter=where)]
    return QueryRequest(
        limit=plan.k,
        offset=plan.offset,
        query=Query.Nearest(query.tolist(), using=FULL_VECTOR),
        prefetches=prefetches,
        filter=where,
        params=params,
        with_payload=True if plan.with_payload else [STAMP_KEY],
        with_vector=False,
    )


def _unchanged(seen: Seen) -> list[Any]:
    """Conditions that hold while a point bears the stamp that was read, or still none."""
    from qdrant_edge import FieldCondition, Filter, IsEmptyCondition, MatchValue

    if seen is None:  # no stamp = one of its fields is not there, as `Stamp.from_payload` has it
        return [Filter(should=[IsEmptyCondition(field) for field in STAMP_FIELDS])]
    build, rev = seen
    return [
        FieldCondition(BUILD_FIELD, match=MatchValue(build)),
        FieldCondition(REV_FIELD, match=MatchValue(rev)),
    ]


def _condition(clause: Clause) -> Any:
    from qdrant_edge import Filter

    match clause:
        case AnyOf(several):
            return Filter(should=[_condition(one) for one in several])
        case AllOf(several):
            return Filter(must=[_condition(one) for one in several])
        case Not(one):
            return Filter(must_not=[_condition(one)])
        case _:
            return _of_field(clause)


def _of_field(clause: FieldClause) -> Any:
    from qdrant_edge import FieldCondition, IsEmptyCondition, MatchAny, MatchValue, RangeFloat

    match clause:
        case Equal(key, value):
            # Edge reads True as the integer 1, but numpy's True as a boolean
            exact: Any = np.bool_(value) if isinstance(value, bool) else value
            return FieldCondition(key, match=MatchValue(exact))
        case Between(key, bounds):
            return FieldCondition(key, range=RangeFloat(**bounds))
        case OneOf(key, values):
            return FieldCondition(key, match=MatchAny(values))
        case Empty(key):
            return IsEmptyCondition(key)
