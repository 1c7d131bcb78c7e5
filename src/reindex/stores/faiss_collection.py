"""One collection of the FAISS store: its tables, and the indexes made from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reindex.errors import StoreError, StoreRefused
from reindex.point_ids import pack_id, unpack_id
from reindex.records import (
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
from reindex.stores.faiss_filters import compile_filter
from reindex.stores.faiss_index import Labels, VectorIndex, packed, unpacked
from reindex.stores.faiss_tables import connect, transaction
from reindex.stores.layout import Shape, by_seen, chunks

_IN = 500
"""Ids per look-up."""
GONE_KEPT = 1_000_000
"""Labels of removed vectors that are remembered: another process that has slept through more of
them loads its index anew."""

_INSERT = "INSERT INTO points (id, build, rev, stamp, payload) VALUES (?, ?, ?, ?, ?)"
_UNCHANGED = "id = ? AND build = ? AND rev = ?"


class CollectionFile:
    """Reads and writes one collection. Not safe for several threads; any number of processes."""

    def __init__(self, name: str, file: Path, shape: Shape) -> None:
        if not file.is_file():
            raise StoreError(
                f"collection {name!r}: its file {file} is gone. Put it back, or drop the "
                "collection and build it again."
            )
        self.name, self.shape = name, shape
        self._tables = connect(file)
        self._indexes: dict[int | None, VectorIndex] = {}

    def close(self) -> None:
        """Close the connection."""
        self._tables.close()

    def flush(self) -> None:
        """Survive a power cut too: a checkpoint writes the log through to the disk."""
        keep = "SELECT max(n) - ? FROM gone"
        self._tables.execute(f"DELETE FROM gone WHERE n <= ({keep})", (GONE_KEPT,))
        self._tables.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    # -- writing

    def insert(self, points: Sequence[Point], vectors: Vector) -> None:
        """Points whose id exists already stay untouched."""
        rows = [(self._key(point.id), *_stored(self.name, point)) for point in points]
        with transaction(self._tables, write=True):
            for row, vector in zip(rows, vectors, strict=True):
                self._insert(row, vector)

    def update(
        self, points: Sequence[Point], vectors: Vector, seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite what is as it was seen; the point gets a new label."""
        row_of = {point.id: vector for point, vector in zip(points, vectors, strict=True)}
        with transaction(self._tables, write=True):
            for point, key in self._conditional(points, seen):
                row = (key[0], *_stored(self.name, point))
                removed = self._tables.execute(f"DELETE FROM points WHERE {_UNCHANGED}", key)
                if removed.rowcount:
                    self._insert(row, row_of[point.id])

    def update_payload(
        self, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite payload and stamp of what is as it was seen."""
        sql = f"UPDATE points SET build = ?, rev = ?, stamp = ?, payload = ? WHERE {_UNCHANGED}"
        with transaction(self._tables, write=True):
            for change, key in self._conditional(changes, seen):
                self._tables.execute(sql, (*_stored(self.name, change), *key))

    def delete(self, seen: Mapping[PointId, Stamp | None]) -> None:
        """Delete what is as it was seen."""
        keys = [(self._key(id), stamp.build, stamp.rev) for id, stamp in seen.items() if stamp]
        with transaction(self._tables, write=True):
            self._tables.executemany(f"DELETE FROM points WHERE {_UNCHANGED}", keys)

    def _insert(self, row: tuple[Any, ...], vector: Vector) -> None:
        made = self._tables.execute(f"{_INSERT} ON CONFLICT (id) DO NOTHING", row)
        if made.rowcount:
            self._tables.execute(
                "INSERT INTO vectors VALUES (?, ?)", (made.lastrowid, packed(vector))
            )

    def _conditional(
        self, items: Iterable[Any], seen: Mapping[PointId, Stamp | None]
    ) -> Iterator[tuple[Any, tuple[bytes, str, int]]]:
        """Each item with what its row must be. Every point here bears a stamp: `None` is never."""
        for expected, group in by_seen(self.name, items, seen).items():
            if expected is not None:
                yield from ((item, (self._key(item.id), *expected)) for item in group)

    # -- reading

    def count(self) -> int:
        """Exact number of points."""
        return int(self._tables.execute("SELECT count(*) FROM points").fetchone()[0])

    def retrieve(
        self, ids: Sequence[PointId], *, with_payload: bool, with_vector: bool
    ) -> dict[PointId, StoredPoint]:
        """The points that exist among ``ids``."""
        found: dict[PointId, StoredPoint] = {}
        for some in chunks([self._key(id) for id in ids], _IN):
            rows = self._select(f"id IN ({_marks(some)})", some, with_payload, with_vector)
            found.update((point.id, point) for point in rows)
        return found

    def page(
        self, after: bytes, size: int, *, with_payload: bool, with_vector: bool
    ) -> list[StoredPoint]:
        """The next ``size`` points whose packed id is greater than ``after``."""
        where = "id > ? ORDER BY id LIMIT ?"
        return self._select(where, [after, size], with_payload, with_vector)

    def search(self, query: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first, all on one snapshot. ``query`` is the full vector, checked."""
        with transaction(self._tables, write=False):
            among = self._chosen(plan)
            last = plan.offset + plan.k
            staged = plan.two_stage and self.shape.prefix_dim is not None
            if staged:
                index = self._index(self.shape.prefix_dim)
                candidates, _ = index.search(query, plan.oversampling * last, among)
                labels, scores = self._rescored(query, candidates)
            else:
                labels, scores = self._index(None).search(query, last, among)
            return self._hits(
                labels[plan.offset : last], scores[plan.offset : last], plan.with_payload
            )

    def _index(self, prefix: int | None) -> VectorIndex:
        """Made when first needed: who searches in two stages holds the prefixes alone."""
        index = self._indexes.setdefault(prefix, VectorIndex(self.shape.dim, prefix))
        index.catch_up(self._tables)
        return index

    def _chosen(self, plan: SearchPlan) -> Labels | None:
        if not plan.where:
            return None
        sql, given = compile_filter(self.name, plan.where)
        rows = self._tables.execute(f"SELECT label FROM points WHERE {sql}", given)
        return np.array([label for (label,) in rows], np.int64)

    def _rescored(self, query: Vector, labels: Labels) -> tuple[Labels, Vector]:
        """The candidates ordered by their full vectors."""
        found: dict[int, bytes] = {}
        for some in chunks(labels.tolist(), _IN):
            sql = f"SELECT label, vector FROM vectors WHERE label IN ({_marks(some)})"
            found.update(self._tables.execute(sql, some).fetchall())
        scores = unpacked([found[label] for label in labels.tolist()], self.shape.dim) @ query
        order = np.argsort(-scores, kind="stable")
        return labels[order], scores[order]

    def _hits(self, labels: Labels, scores: Vector, with_payload: bool) -> list[Hit]:
        found: dict[int, StoredPoint] = {}
        for some in chunks(labels.tolist(), _IN):
            chosen = f"SELECT label, id, stamp, payload FROM points WHERE label IN ({_marks(some)})"
            for label, *columns in self._tables.execute(chosen, some):
                found[label] = _point(*columns if with_payload else (*columns[:2], None))
        points = [found[label] for label in labels.tolist()]
        return [
            Hit(point.stamp.id if point.stamp else point.id, float(score), point.payload, point.id)
            for point, score in zip(points, scores, strict=True)
        ]

    def _select(
        self, where: str, given: Sequence[Any], with_payload: bool, with_vector: bool
    ) -> list[StoredPoint]:
        payload = "payload" if with_payload else "NULL"
        vector = "vector" if with_vector else "NULL"
        joined = "JOIN vectors USING (label)" if with_vector else ""
        sql = f"SELECT id, stamp, {payload}, {vector} FROM points {joined} WHERE {where}"
        rows = self._tables.execute(sql, given)
        return [_point(*row) for row in rows.fetchall()]

    def _key(self, id: PointId) -> bytes:
        try:
            return pack_id(id)
        except (ValueError, OverflowError, AttributeError):
            raise StoreRefused(
                f"collection {self.name!r}: the point id {id!r} is neither an unsigned integer nor "
                "a UUID. `records.point_id` makes one of any id."
            ) from None


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _stored(name: str, item: Point | PayloadChange) -> tuple[str, int, str, str]:
    """The columns build, rev, stamp and payload."""
    try:
        payload = json.dumps(item.payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreRefused(
            f"collection {name!r}, point {item.id!r}: the payload is no JSON: {error}."
        ) from None
    return item.stamp.build, item.stamp.rev, json.dumps(item.stamp.as_payload()), payload


def _point(id: bytes, stamp: str, payload: str | None, vector: bytes | None = None) -> StoredPoint:
    read: Payload = {} if payload is None else json.loads(payload)
    full = None if vector is None else np.frombuffer(vector, "<f4")
    return StoredPoint(unpack_id(id), Stamp(**json.loads(stamp)), read, full)
