"""Vectors of a server's points that the project does not own: sparse ones, images.

Qdrant replaces a point as a whole, so an update brings them along as they were (`beside`); a new
collection gets them from the one that it follows (`copy_vectors`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.errors import StoreError
from reindex.records import Copied, PointId, StoredPoint
from reindex.stores.layout import FULL_VECTOR, stored_point
from reindex.stores.server_connection import Connection

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

Keep = Callable[[StoredPoint], bool]
"""Whether a point's vectors stay as they are; what it lacks is copied all the same."""

_ROUNDING = 1e-4
"""Relative: a server brings the vectors of a cosine collection to unit length once more."""

_MAX_POINTS, _MAX_FLOATS = 128, 500_000
"""Per request. Of a multi-vector's points one alone may have tens of thousands of floats."""


@dataclass(frozen=True, slots=True)
class _There:
    """A point of the target: its other vectors, and whether they stay."""

    vectors: dict[str, Any]
    kept: bool


class OtherVectors:
    """Reads and writes vectors that belong to others. Part of `ServerStore`."""

    def __init__(self, client: QdrantClient, connection: Connection) -> None:
        self._client = client
        self._read, self._write = connection.read, connection.write

    def beside(
        self, name: str, points: Sequence[models.PointStruct], names: Sequence[str]
    ) -> Iterator[list[models.PointStruct]]:
        """The points with their stored vectors ``names``, in requests of a size that servers take.

        A change of such a vector between this read and the write is lost.
        """
        stored = self._vectors_of(name, [point.id for point in points], names)
        for point in points:
            assert isinstance(point.vector, dict)
            point.vector |= stored.get(point.id, {})  # type: ignore[arg-type]
        return _requests(points, lambda point: point.vector)

    def copy_vectors(
        self, source: str, target: str, names: Sequence[str], *, page: int, keep: Keep | None = None
    ) -> Iterator[Copied]:
        """Page by page, make the vectors ``names`` of equal ids in ``target`` those of ``source``.

        The target's points stay otherwise as they are, and none is created. With ``keep`` nothing
        is removed either.
        """
        offset: Any = None
        while names:
            ask = partial(
                self._client.scroll, source, limit=page, offset=offset, with_payload=False,
                with_vectors=list(names),
            )  # fmt: skip
            records, offset = self._read(source, ask)
            yield self._copy_page(target, _by_id(records), names, keep)
            if offset is None:
                return

    def _copy_page(
        self,
        target: str,
        wanted: Mapping[PointId, dict[str, Any]],
        names: Sequence[str],
        keep: Keep | None,
    ) -> Copied:
        there = self._there(target, list(wanted), names, keep)
        writes, removals = _changes(wanted, there, removing=keep is None)
        try:
            self._apply(target, writes, removals)
        except StoreError:
            # the server writes the others and then complains of a point that went meanwhile
            left = self._there(target, list(there), names, keep)
            if len(left) == len(there):
                raise
            there = left
            writes, removals = _changes(wanted, there, removing=keep is None)
            self._apply(target, writes, removals)
        changed = len(writes.keys() | removals.keys())
        return Copied(
            len(writes), len(there) - changed, len(removals.keys() - writes.keys()),
            len(wanted) - len(there),
        )  # fmt: skip

    def _there(
        self, name: str, ids: list[PointId], names: Sequence[str], keep: Keep | None
    ) -> dict[PointId, _There]:
        if keep is None:
            found = self._vectors_of(name, ids, names)
            return {id: _There(vectors, kept=False) for id, vectors in found.items()}
        ask = partial(self._client.retrieve, name, ids, with_payload=True, with_vectors=list(names))
        return {
            _plain(record.id): _There(
                _named(record.vector), keep(stored_point(record.id, record.payload, None))
            )
            for record in self._read(name, ask)
        }

    def _vectors_of(
        self, name: str, ids: Sequence[Any], names: Sequence[str]
    ) -> dict[PointId, dict[str, Any]]:
        ask = partial(
            self._client.retrieve, name, list(ids), with_payload=False, with_vectors=list(names)
        )
        return _by_id(self._read(name, ask))

    def _apply(
        self,
        target: str,
        writes: Mapping[PointId, dict[str, Any]],
        removals: Mapping[PointId, tuple[str, ...]],
    ) -> None:
        from qdrant_client import models

        made = [models.PointVectors(id=id, vector=vector) for id, vector in writes.items()]
        for batch in _requests(made, lambda point: point.vector):
            self._write(target, partial(self._client.update_vectors, target, batch))
        for gone in set(removals.values()):
            ids: list[Any] = [id for id, names in removals.items() if names == gone]
            self._write(target, partial(self._client.delete_vectors, target, list(gone), ids))


def _requests(points: Sequence[Any], vectors: Callable[[Any], Any]) -> Iterator[list[Any]]:
    """The points in their order, so many at a time that a request is not too large."""
    batch: list[Any] = []
    floats = 0
    for point in points:
        size = sum(map(_floats, vectors(point).values()))
        if batch and (len(batch) == _MAX_POINTS or floats + size > _MAX_FLOATS):
            yield batch
            batch, floats = [], 0
        batch.append(point)
        floats += size
    if batch:
        yield batch


def _floats(vector: Any) -> int:
    if hasattr(vector, "indices"):
        return 2 * len(vector.indices)
    return sum(map(len, vector)) if vector and isinstance(vector[0], list) else len(vector)


def _changes(
    wanted: Mapping[PointId, dict[str, Any]], there: Mapping[PointId, _There], *, removing: bool
) -> tuple[dict[PointId, dict[str, Any]], dict[PointId, tuple[str, ...]]]:
    """What differs: vectors to write, and names of vectors that the source has no more."""
    writes: dict[PointId, dict[str, Any]] = {}
    removals: dict[PointId, tuple[str, ...]] = {}
    for id, point in there.items():
        has = point.vectors
        other = {
            name: vector
            for name, vector in wanted[id].items()
            if name not in has or not (point.kept or _equal(vector, has[name]))
        }
        gone = tuple(sorted(has.keys() - wanted[id].keys()))
        if other:
            writes[id] = other
        if gone and removing:
            removals[id] = gone
    return writes, removals


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if hasattr(one, "indices"):
        mine, theirs = (dict(zip(v.indices, v.values, strict=True)) for v in (one, other))
        if mine.keys() != theirs.keys():
            return False
        one, other = list(mine.values()), [theirs[index] for index in mine]
    first, second = np.asarray(one, np.float32), np.asarray(other, np.float32)
    return first.shape == second.shape and bool(
        np.allclose(first, second, rtol=_ROUNDING, atol=1e-6)
    )


def _by_id(records: Sequence[Any]) -> dict[PointId, dict[str, Any]]:
    return {_plain(record.id): _named(record.vector) for record in records}


def _plain(id: Any) -> PointId:
    return id if isinstance(id, int) else str(id)


def _named(vector: Any) -> dict[str, Any]:
    """What a read gives for vectors: a dict of named ones, the unnamed one alone, or nothing."""
    if vector is None:
        return {}
    return dict(vector) if isinstance(vector, Mapping) else {FULL_VECTOR: vector}
