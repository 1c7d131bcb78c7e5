"""Our words -> the models of qdrant_client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reindex.records import PREFIX_VECTOR, PayloadChange, Point
from reindex.stores import server_requests as requests
from reindex.stores.layout import Seen, Shape, prefix_of, stacked, stamped

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


def model_filter(given: requests.Json) -> models.Filter:
    """A filter of `server_requests` as the client's model."""
    from qdrant_client import models

    return models.Filter.model_validate(given)
