"""Catalogs, stamps, points and vectors for tests that need a store."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.protocols import Store
from reindex.records import (
    CollectionSpec,
    Layout,
    Payload,
    Point,
    PointId,
    Stamp,
    Vector,
    payload_hash,
    text_hash,
)

DIM, PREFIX_DIM = 16, 8
STORES = ["edge", "memory", "server"]
"""The kinds of `world`: embedded, the client's own in-memory mode, a server at QDRANT_URL."""


class MemoryCatalog:
    """Implements ``protocols.Catalog`` with dictionaries."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.state: dict[str, dict[str, Any]] = {"aliases": {}, "metadata": {}, "owners": {}}

    def aliases(self) -> dict[str, str]:
        with self.lock:
            return dict(self.state["aliases"])

    def set_alias(self, alias: str, collection: str) -> None:
        self._put("aliases", alias, collection)

    def collection_metadata(self, name: str) -> dict[str, Any] | None:
        with self.lock:
            found = self.state["metadata"].get(name)
            return None if found is None else dict(found)

    def merge_collection_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        with self.lock:
            self._put("metadata", name, {**(self.collection_metadata(name) or {}), **metadata})

    def forget_collection(self, name: str) -> None:
        with self.lock:
            self.state["metadata"].pop(name, None)
            self._changed()

    def record_owner(self, name: str, pid: int) -> None:
        self._put("owners", name, pid)

    def owner(self, name: str) -> int | None:
        with self.lock:
            return self.state["owners"].get(name)

    def _put(self, table: str, key: str, value: Any) -> None:
        with self.lock:
            self.state[table][key] = value
            self._changed()

    def _changed(self) -> None:
        """For subclasses that keep the state."""


class FileCatalog(MemoryCatalog):
    """The same in a JSON file, so that it outlives a killed process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        if path.exists():
            self.state = json.loads(path.read_text("utf-8"))

    def _changed(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.state), "utf-8")
        fresh.replace(self.path)


def spec(name: str, layout: Layout = "two-stage", **metadata: Any) -> CollectionSpec:
    prefix_dim = PREFIX_DIM if layout == "two-stage" else None
    return CollectionSpec(name, DIM, layout, prefix_dim, metadata or {"space": "s1"})


def unit_vectors(count: int, dim: int = DIM, seed: int = 13) -> Vector:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    unit: Vector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def uuid_of(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))


def stamp(id: int | str, *, build: str = "b1", rev: int = 1, text: str = "text") -> Stamp:
    return Stamp(
        id=id,
        space="s1",
        encoding="e1",
        build=build,
        source="corpus",
        text_hash=text_hash(text),
        payload_hash=payload_hash({"text": text}),
        rev=rev,
    )


def point(id: PointId, vector: Vector, payload: Payload | None = None, **of_stamp: Any) -> Point:
    return Point(id, vector, payload or {"text": f"text {id}"}, stamp(f"doc-{id}", **of_stamp))


def points(ids: Sequence[PointId], vectors: Vector | None = None, **of_stamp: Any) -> list[Point]:
    rows = unit_vectors(len(ids)) if vectors is None else vectors
    return [point(id, row, **of_stamp) for id, row in zip(ids, rows, strict=True)]


def seen_of(ids: Sequence[PointId], **of_stamp: Any) -> dict[PointId, Stamp | None]:
    """What a reader of `points` with the same ids would have seen."""
    return {id: stamp(f"doc-{id}", **of_stamp) for id in ids}


def assert_near(found: Any, expected: Any, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=atol)


@dataclass
class World:
    """A store, a prefix for the names in it, and a way to write as a foreign client would."""

    store: Store
    prefix: str
    write_raw: Callable[[str, PointId, dict[str, list[float]], dict[str, Any]], None]

    def name(self, name: str = "c") -> str:
        return self.prefix + name

    def made(self, name: str = "c", layout: Layout = "two-stage", **metadata: Any) -> str:
        self.store.create(spec(self.name(name), layout, **metadata))
        return self.name(name)

    def ids(self, name: str) -> list[PointId]:
        return [p.id for page in self.store.scroll(name) for p in page]


def world_of(kind: str, folder: Path) -> Iterator[World]:
    """A fixture's body: yields the world and cleans up."""
    yield from _WORLDS[kind](folder)


def _edge(tmp_path: Path) -> Iterator[World]:
    import qdrant_edge

    from reindex.stores.edge import EdgeStore

    store = EdgeStore(tmp_path / "store", MemoryCatalog())

    def write_raw(name: str, id: PointId, vectors: Any, payload: dict[str, Any]) -> None:
        store.close()
        shard = qdrant_edge.EdgeShard.load(str(tmp_path / "store" / name / "shard"))
        raw = qdrant_edge.Point(id, vectors, payload)
        shard.update(qdrant_edge.UpdateOperation.upsert_points([raw]))
        shard.close()

    yield World(store, "", write_raw)
    store.close()


def _server(location: str, prefix: str) -> Iterator[World]:
    from qdrant_client import QdrantClient, models

    from reindex.stores.server import ServerStore

    client = QdrantClient(location)
    store = ServerStore(client, attempts=3)

    def write_raw(name: str, id: PointId, vectors: Any, payload: dict[str, Any]) -> None:
        client.upsert(name, [models.PointStruct(id=id, vector=vectors, payload=payload)])

    yield World(store, prefix, write_raw)
    for name in store.collections():
        if prefix and name.startswith(prefix):
            client.delete_collection(name)
    store.close()


def _memory(tmp_path: Path) -> Iterator[World]:
    yield from _server(":memory:", "")


def _real(tmp_path: Path) -> Iterator[World]:
    url = os.environ.get("QDRANT_URL")
    if not url:
        pytest.skip("QDRANT_URL is not set: no server to test against")
    yield from _server(url, f"reindex-test-{uuid.uuid4().hex[:8]}-")


_WORLDS: dict[str, Callable[[Path], Iterator[World]]] = {
    "edge": _edge,
    "memory": _memory,
    "server": _real,
}
