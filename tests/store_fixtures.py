"""The built-in stores as worlds for the conformance suite, and a catalog in a file."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.records import PointId
from reindex.testing.catalog import MemoryCatalog
from reindex.testing.points import (
    DIM,
    PREFIX_DIM,
    assert_near,
    point,
    points,
    seen_of,
    spec,
    stamp,
    unit_vectors,
    uuid_of,
)
from reindex.testing.stores import World
from tests.qdrant_server import serving

__all__ = [
    "DIM",
    "PREFIX_DIM",
    "STORES",
    "FileCatalog",
    "MemoryCatalog",
    "World",
    "assert_near",
    "point",
    "points",
    "seen_of",
    "spec",
    "stamp",
    "unit_vectors",
    "uuid_of",
    "world_of",
]

STORES = ["edge", "memory", "http", "server"]
"""The kinds of `world`: embedded, the client's own in-memory mode, the same behind HTTP, and a
server at QDRANT_URL."""


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


def world_of(kind: str, folder: Path) -> Iterator[World]:
    """A fixture's body: yields the world and cleans up."""
    yield from _WORLDS[kind](folder)


def _edge(tmp_path: Path) -> Iterator[World]:
    import qdrant_edge

    from reindex.stores.edge import EdgeStore

    catalog = MemoryCatalog()
    store = EdgeStore(tmp_path / "store", catalog)

    def write_raw(name: str, id: PointId, vectors: Any, payload: dict[str, Any]) -> None:
        store.close()
        shard = qdrant_edge.EdgeShard.load(str(tmp_path / "store" / name / "shard"))
        raw = qdrant_edge.Point(id, vectors, payload)
        shard.update(qdrant_edge.UpdateOperation.upsert_points([raw]))
        shard.close()

    def reopen() -> EdgeStore:
        store.close()
        return EdgeStore(tmp_path / "store", catalog)

    yield World(store, write_raw=write_raw, reopen=reopen)
    store.close()


def _server(location: str, prefix: str) -> Iterator[World]:
    from qdrant_client import QdrantClient, models

    from reindex.stores.server import ServerStore

    def connect() -> QdrantClient:
        return QdrantClient(location, check_compatibility=False)

    client = connect()
    store = ServerStore(client, attempts=3)

    def write_raw(name: str, id: PointId, vectors: Any, payload: dict[str, Any]) -> None:
        client.upsert(name, [models.PointStruct(id=id, vector=vectors, payload=payload)])

    def reopen() -> ServerStore:
        return ServerStore(connect(), attempts=3)

    here = location == ":memory:"
    yield World(store, prefix, write_raw, None if here else reopen, threads=not here)
    store.close()
    if not here:
        _remove_collections(connect(), prefix)


def _remove_collections(client: Any, prefix: str) -> None:
    for one in client.get_collections().collections:
        if one.name.startswith(prefix):
            client.delete_collection(one.name)


def _memory(tmp_path: Path) -> Iterator[World]:
    yield from _server(":memory:", "")


def _http(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path / "qdrant.log") as url:
        yield from _server(url, "")


def _real(tmp_path: Path) -> Iterator[World]:
    url = os.environ.get("QDRANT_URL")
    if not url:
        pytest.skip("QDRANT_URL is not set: no server to test against")
    yield from _server(url, f"reindex-test-{uuid.uuid4().hex[:8]}-")


_WORLDS: dict[str, Callable[[Path], Iterator[World]]] = {
    "edge": _edge,
    "memory": _memory,
    "http": _http,
    "server": _real,
}
