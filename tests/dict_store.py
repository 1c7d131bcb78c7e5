"""The store's contract in a dictionary, and a proxy that breaks into its calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reindex.errors import CollectionExists, CollectionNotFound
from reindex.records import (
    CollectionInfo,
    CollectionSpec,
    Hit,
    Payload,
    PayloadChange,
    Point,
    PointId,
    SearchPlan,
    Stamp,
    StoredPoint,
    Vector,
)


def _order(id: PointId) -> tuple[bool, PointId]:
    return isinstance(id, str), id


class DictStore:
    """The store's contract in a dictionary, as plainly as possible: an oracle, not a database.

    ``lacking`` are the ids that miss a vector; ``flushed`` counts the points a flush covered.
    """

    kind = "dict"
    local = True

    def __init__(self) -> None:
        self._specs: dict[str, CollectionSpec] = {}
        self._points: dict[str, dict[PointId, StoredPoint]] = {}
        self._aliases: dict[str, str] = {}
        self._lock = threading.RLock()
        self.lacking: set[PointId] = set()
        self.writes = 0
        self.flushed = 0

    def create(self, spec: CollectionSpec) -> None:
        if spec.name in self._specs:
            raise CollectionExists(spec.name)
        self._specs[spec.name] = spec
        self._points[spec.name] = {}

    def drop(self, name: str) -> None:
        del self._specs[name], self._points[name]

    def collections(self) -> list[str]:
        return sorted(self._specs)

    def info(self, name: str) -> CollectionInfo:
        if name not in self._specs:
            raise CollectionNotFound(name)
        spec = self._specs[name]
        return CollectionInfo(
            name, self.count(name), spec.dim, spec.layout, spec.prefix_dim, spec.metadata
        )

    def set_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        spec = self._specs[name]
        self._specs[name] = replace(spec, metadata={**spec.metadata, **metadata})

    def aliases(self) -> dict[str, str]:
        return dict(self._aliases)

    def point_alias(self, alias: str, collection: str) -> None:
        self._aliases[alias] = collection

    def insert(self, name: str, points: Sequence[Point]) -> None:
        with self._lock:
            for point in points:
                if point.id not in self._points[name]:
                    self._put(name, point.id, point.payload, point.stamp, point.vector)

    def update(
        self, name: str, points: Sequence[Point], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        with self._lock:
            for point in points:
                if self._same(name, point.id, seen[point.id]):
                    self._put(name, point.id, point.payload, point.stamp, point.vector)

    def update_payload(
        self, name: str, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        with self._lock:
            for change in changes:
                if self._same(name, change.id, seen[change.id]):
                    vector = self._points[name][change.id].vector
                    self._put(name, change.id, change.payload, change.stamp, vector)

    def delete(self, name: str, seen: Mapping[PointId, Stamp | None]) -> None:
        with self._lock:
            for id, stamp in seen.items():
                if self._same(name, id, stamp):
                    self.writes += 1
                    del self._points[name][id]

    def _same(self, name: str, id: PointId, seen: Stamp | None) -> bool:
        point = self._points[name].get(id)
        if point is None:
            return False
        if point.stamp is None or seen is None:
            return point.stamp is seen
        return (point.stamp.build, point.stamp.rev) == (seen.build, seen.rev)

    def _put(
        self, name: str, id: PointId, payload: Payload, stamp: Stamp | None, vector: Vector | None
    ) -> None:
        self.writes += 1
        self.lacking.discard(id)
        self._points[name][id] = StoredPoint(id, stamp, dict(payload), vector)

    def foreign(
        self,
        name: str,
        id: PointId,
        stamp: Stamp | None = None,
        vector: Vector | None = None,
        **payload: Any,
    ) -> None:
        """Write as another client would, past every condition."""
        with self._lock:
            self._points[name][id] = StoredPoint(id, stamp, payload, vector)

    def retrieve(
        self,
        name: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool = False,
        with_vector: bool = False,
    ) -> dict[PointId, StoredPoint]:
        with self._lock:
            points = self._points[name]
            return {id: _read(points[id], with_payload, with_vector) for id in ids if id in points}

    def scroll(
        self,
        name: str,
        *,
        page: int = 1000,
        with_payload: bool = False,
        with_vector: bool = False,
        start: PointId | None = None,
    ) -> Iterator[list[StoredPoint]]:
        ids = sorted(self._points[name], key=_order)
        if start is not None:
            ids = [id for id in ids if _order(id) >= _order(start)]
        for first in range(0, len(ids), page):
            chunk = self.retrieve(
                name,
                ids[first : first + page],
                with_payload=with_payload,
                with_vector=with_vector,
            )
            yield list(chunk.values())

    def missing_vectors(self, name: str) -> set[PointId]:
        return set(self.lacking)

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        raise NotImplementedError

    def count(self, name: str, *, unstamped: bool = False) -> int:
        points = self._points[name].values()
        return sum(point.stamp is None for point in points) if unstamped else len(points)

    def flush(self, name: str) -> None:
        self.flushed = self.writes

    def close(self) -> None:
        pass


def _read(point: StoredPoint, with_payload: bool, with_vector: bool) -> StoredPoint:
    return StoredPoint(
        point.id,
        point.stamp,
        point.payload if with_payload else {},
        point.vector if with_vector else None,
    )


class Proxy:
    """A store that does something else first, or instead, at the ``n``-th call of a method."""

    def __init__(self, store: DictStore, method: str, hook: Any, n: int = 1) -> None:
        self._store, self._method, self._hook, self._left = store, method, hook, n

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != self._method:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self._hook()
            return found(*args, **kwargs)

        return call
