"""Parts of a server's collection, for readers with clients of their own. Of the server's adapter.

A server of 1.19 divides by a hash of the ids (its slice filter: nothing to sample, and nothing to
keep in step). An older one is divided into ranges of ids, whose bounds are random points' ids: a
scroll begins anywhere, and the reader stops where the next range begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from reindex.point_ids import pack_id
from reindex.records import PointId, PointSlice, StoredPoint
from reindex.stores import server_requests as requests
from reindex.stores.layout import Shape, stored_point
from reindex.stores.server_connection import version_of
from reindex.stores.server_models import model_filter

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from reindex.protocols import SharedStore

Result = TypeVar("Result")
SLICES_SINCE = (1, 19)
SAMPLES_PER_RANGE, MOST_SAMPLES = 64, 10_000
"""Of 64 random ids between two bounds, the ranges' sizes differ by an eighth (1 / sqrt(64))."""


class Reading(Protocol):
    """`Connection.read`."""

    def __call__(self, name: str | None, request: Callable[[], Result]) -> Result:
        """The answer to ``request``."""


class Sliced:
    """The part of a `ServerStore` that others read its collections by."""

    _client: QdrantClient
    _read: Reading
    _shape: Callable[[str], Shape]
    _reopen: Callable[[], SharedStore] | None
    version: str

    def elsewhere(self) -> Callable[[], SharedStore] | None:
        """What opens a client of its own in another process; None for one that was handed in."""
        return self._reopen

    def slices(self, name: str, count: int) -> list[PointSlice]:
        """The collection in ``count`` parts of like size; of ranges there may be fewer."""
        self._shape(name)
        if count <= 1:
            return [PointSlice()]
        if knows_slices(self.version):
            return [PointSlice(index=index, total=count) for index in range(count)]
        return _ranges(self._sampled(name, count), count)

    def page(
        self,
        name: str,
        part: PointSlice,
        after: PointId | None,
        *,
        size: int = 500,
        with_payload: bool = False,
    ) -> tuple[list[StoredPoint], PointId | None]:
        """The next points of a part, ids ascending, and what to pass as ``after`` for more."""
        slot = self._shape(name).vector
        chosen = model_filter(requests.in_slice(part)) if part.total > 1 else None
        request = partial(
            self._client.scroll, name, scroll_filter=chosen, limit=size,
            offset=part.start if after is None else after,
            **requests.wanted(with_payload, False, slot),
        )  # fmt: skip
        records, following = self._read(name, request)
        more = cast("PointId | None", following)
        points = [stored_point(r.id, r.payload, r.vector, slot) for r in records]
        if part.stop is None:
            return points, more
        stop = pack_id(part.stop)
        inside = [point for point in points if pack_id(point.id) < stop]
        ended = more is None or len(inside) < len(points) or pack_id(more) >= stop
        return inside, None if ended else more

    def _pages(
        self, name: str, slot: str, start: PointId | None = None, **request: Any
    ) -> Iterator[list[StoredPoint]]:
        offset: Any = start
        while True:
            ask = partial(self._client.scroll, name, offset=offset, **request)
            records, offset = self._read(name, ask)
            if records:
                yield [stored_point(r.id, r.payload, r.vector, slot) for r in records]
            if offset is None:
                return

    def _sampled(self, name: str, count: int) -> list[PointId]:
        """Random ids, as a scroll sorts them."""
        from qdrant_client import models

        ask = partial(
            self._client.query_points,
            name,
            query=models.SampleQuery(sample=models.Sample.RANDOM),
            limit=min(SAMPLES_PER_RANGE * count, MOST_SAMPLES),
            with_payload=False,
        )
        found = [cast("PointId", point.id) for point in self._read(name, ask).points]
        return sorted(found, key=pack_id)


def knows_slices(version: str) -> bool:
    """Whether a server of this version, and the client here, have the slice filter."""
    from qdrant_client import models

    return version_of(version) >= SLICES_SINCE and hasattr(models, "SliceCondition")


def _ranges(sample: list[PointId], count: int) -> list[PointSlice]:
    """Ranges between the quantiles of sorted ids."""
    step = len(sample) / count
    bounds = [sample[round(step * index)] for index in range(1, count)] if step >= 1 else []
    starts: list[PointId | None] = [None, *dict.fromkeys(bounds)]
    return [
        PointSlice(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]
