"""Our words -> the models of qdrant_client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reindex.records import (
    PREFIX_VECTOR,
    STAMP_KEY,
    PayloadChange,
    Point,
    SearchPlan,
    Vector,
)
from reindex.stores import server_requests as requests
from reindex.stores.layout import MAX_BATCH, Seen, Shape, prefix_of, stacked, stamped

if TYPE_CHECKING:
    from qdrant_client import models


def point_structs(name: str, points: Sequence[Point], shape: Shape) -> list[models.PointStruct]:
    """The points with their full vectors and prefixes; raises as `layout.stacked` does."""
    from qdrant_client import models

    full = stacked(name, points, shape)
    slots: list[dict[str, Any]] = [{shape.vector: row} for row in full.tolist()]
    if shape.prefix_dim is not None:
        for named, row in zip(slots, prefix_of(full, shape.prefix_dim).tolist(), strict=True):
            named[PREFIX_VECTOR] = row
    return [
        models.PointStruct(id=point.id, vector=named, payload=stamped(point))
        for point, named in zip(points, slots, strict=True)
    ]


def payload_overwrite(change: PayloadChange, seen: Seen) -> models.OverwritePayloadOperation:
    """Overwrite one point's payload where it is still as ``seen``."""
    from qdrant_client import models

    condition = model_filter(requests.unchanged(seen, [change.id]))
    payload = models.SetPayload(payload=stamped(change), filter=condition)
    return models.OverwritePayloadOperation(overwrite_payload=payload)


def search_request(query: Vector, plan: SearchPlan, shape: Shape) -> dict[str, Any]:
    """What ``query_points`` is asked: the full vectors, or the prefixes first, to be rescored."""
    from qdrant_client import models

    chosen = model_filter(requests.where(plan.where)) if plan.where else None
    params = models.SearchParams(hnsw_ef=plan.hnsw_ef, exact=plan.exact)
    request: dict[str, Any] = {
        "query": query.tolist(),
        "using": shape.vector or None,
        "query_filter": chosen,
        "search_params": params,
        "limit": plan.k,
        "offset": plan.offset,
        "with_payload": True if plan.with_payload else [STAMP_KEY],
    }
    if plan.two_stage and shape.prefix_dim is not None:
        first = models.Prefetch(
            query=prefix_of(query, shape.prefix_dim).tolist(),
            using=PREFIX_VECTOR,
            limit=plan.oversampling * (plan.k + plan.offset),
            filter=chosen,
            params=params,
        )
        request["prefetch"] = [first]
    return request


def most_points(strict: models.StrictModeConfigOutput | None) -> int:
    """Points per write request, also where the collection's strict mode allows fewer."""
    limit = strict.upsert_max_batchsize if strict is not None and strict.enabled else None
    return MAX_BATCH if limit is None else min(MAX_BATCH, limit)


def model_filter(given: requests.Json) -> models.Filter:
    """A filter of `server_requests` as the client's model."""
    from qdrant_client import models

    return models.Filter.model_validate(given)
