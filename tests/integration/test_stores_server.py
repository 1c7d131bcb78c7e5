"""The server adapter against what a network does: rate limits, failures, lost answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from reindex.config import QdrantSettings, Settings, StoreSettings
from reindex.errors import CollectionExists, CollectionNotFound, StoreError, StoreTooOld
from reindex.records import PayloadChange
from reindex.stores import open_store
from reindex.stores.edge import EdgeStore
from reindex.stores.server import ServerStore
from reindex.stores.server_client import connect
from tests.store_fixtures import DIM, PREFIX_DIM, MemoryCatalog, points, seen_of, spec, stamp

Answer = tuple[int, dict[str, str], Any]
OK: dict[str, Any] = {"status": "ok", "time": 0.0}
DONE = {**OK, "result": {"operation_id": 1, "status": "completed"}}
VECTORS = {
    "": {"size": DIM, "distance": "Cosine"},
    "prefix": {"size": PREFIX_DIM, "distance": "Cosine"},
}
COLLECTION = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "points_count": 0,
    "indexed_vectors_count": 0,
    "payload_schema": {},
    "config": {
        "params": {"vectors": VECTORS},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
        "metadata": {"space": "s1"},
    },
}


@dataclass
class Wire:
    """A local HTTP server that speaks as much of Qdrant's REST API as the adapter needs.

    ``script``: "METHOD /path" -> answers to give first, one per request. ``log``: what came.
    """

    version: str = "1.17.0"
    collections: list[str] = field(default_factory=lambda: ["c"])
    script: dict[str, list[Answer]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    url: str = ""

    def answer(self, request: str) -> Answer:
        self.log.append(request)
        if self.script.get(request):
            return self.script[request].pop(0)
        fixed: dict[str, Any] = {
            "GET /": {"title": "qdrant", "version": self.version},
            "GET /collections": {
                **OK,
                "result": {"collections": [{"name": name} for name in self.collections]},
            },
            "GET /aliases": {**OK, "result": {"aliases": []}},
            "GET /collections/c": {**OK, "result": COLLECTION},
            "POST /collections/c/points/count": {**OK, "result": {"count": 0}},
        }
        return 200, {}, fixed.get(request, DONE)

    def times(self, request: str) -> int:
        return self.log.count(request)

    def store(self, attempts: int = 4) -> ServerStore:
        client = QdrantClient(self.url, prefer_grpc=False, timeout=5, check_compatibility=False)
        return ServerStore(client, attempts=attempts, sleep=self.slept.append)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, body = wire.answer(f"{self.command} {self.path.split('?')[0]}")
            if status == 0:  # the answer is lost
                self.connection.close()
                return
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _reply

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    wire.url = f"http://127.0.0.1:{server.server_port}"
    yield wire
    server.shutdown()
    thread.join()
    server.server_close()


UPSERT = "PUT /collections/c/points"
FAILED: Answer = (500, {}, {"status": {"error": "internal"}})
LIMITED: Answer = (429, {"Retry-After": "7"}, {"status": {"error": "slow down"}})
LOST: Answer = (0, {}, None)


class TestRetries:
    def test_a_rate_limit_is_waited_for(self, wire: Wire) -> None:
        wire.script[UPSERT] = [LIMITED, LIMITED]
        wire.store().insert("c", points([1]))
        assert wire.times(UPSERT) == 3
        assert [7 <= seconds < 9 for seconds in wire.slept] == [True, True]

    @pytest.mark.parametrize(
        "answer",
        [FAILED, (503, {}, {}), (429, {}, {}), LOST],
        ids=["500", "503", "429 without a time", "lost"],
    )
    def test_a_failure_that_passes(self, wire: Wire, answer: Answer) -> None:
        wire.script[UPSERT] = [answer, answer]
        wire.store().insert("c", points([1]))
        assert wire.times(UPSERT) == 3
        assert all(0 <= seconds <= 2 for seconds in wire.slept)

    @pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
    def test_a_wrong_request_is_not_repeated(self, wire: Wire, status: int) -> None:
        wire.script[UPSERT] = [(status, {}, {"status": {"error": "wrong"}})]
        with pytest.raises(StoreError, match=f"(?s)collection 'c'.*{status}"):
            wire.store().insert("c", points([1]))
        assert (wire.times(UPSERT), wire.slept) == (1, [])

    def test_it_gives_up(self, wire: Wire) -> None:
        wire.script[UPSERT] = [FAILED] * 9
        with pytest.raises(StoreError, match="500"):
            wire.store(attempts=3).insert("c", points([1]))
        assert (wire.times(UPSERT), len(wire.slept)) == (3, 2)

    def test_reads_are_tried_again_too(self, wire: Wire) -> None:
        count = "POST /collections/c/points/count"
        wire.script[count] = [FAILED, LOST]
        assert wire.store().count("c") == 0
        assert wire.times(count) == 3


class TestWritesAreConfirmed:
    @pytest.mark.parametrize("status", ["acknowledged", "wait_timeout"])
    def test_another_status_than_completed_is_a_failure(self, wire: Wire, status: str) -> None:
        pending: Answer = (200, {}, {**OK, "result": {"operation_id": 1, "status": status}})
        wire.script[UPSERT] = [pending]
        wire.store().insert("c", points([1]))
        assert wire.times(UPSERT) == 2
        wire.script[UPSERT] = [pending] * 9
        with pytest.raises(StoreError, match=status):
            wire.store().insert("c", points([1]))

    def test_every_part_of_a_batch_is(self, wire: Wire) -> None:
        batch = "POST /collections/c/points/batch"
        done = DONE["result"]
        wire.script[batch] = [
            (200, {}, {**OK, "result": [done, {"operation_id": 2, "status": "acknowledged"}]}),
            (200, {}, {**OK, "result": [done, done]}),
        ]
        changes = [PayloadChange(i, {}, stamp(f"doc-{i}", rev=2)) for i in (1, 2)]
        wire.store().update_payload("c", changes, seen_of([1, 2]))
        assert wire.times(batch) == 2

    def test_what_conditions_compare_is_indexed_once(self, wire: Wire) -> None:
        store = wire.store()
        store.insert("c", points([1]))
        assert wire.times("PUT /collections/c/index") == 0
        store.update("c", points([1], rev=2), seen_of([1]))
        store.delete("c", {})
        assert wire.times("PUT /collections/c/index") == 2


class TestLostAnswers:
    CREATE = "PUT /collections/new"

    def appear(self, wire: Wire, metadata: dict[str, str]) -> None:
        """The first try's answer is lost; the second finds the collection made."""
        conflict = {"status": {"error": "Collection `new` already exists!"}}
        wire.script[self.CREATE] = [LOST, (409, {}, conflict)]
        before: Answer = (200, {}, {**OK, "result": {"collections": []}})
        wire.script["GET /collections"] = [before]
        wire.collections = ["new"]
        config = {**COLLECTION["config"], "metadata": metadata}  # type: ignore[dict-item]
        found: Answer = (200, {}, {**OK, "result": {**COLLECTION, "config": config}})
        wire.script["GET /collections/new"] = [found, found]
        counted: Answer = (200, {}, {**OK, "result": {"count": 0}})
        wire.script["POST /collections/new/points/count"] = [counted]

    def test_create_knows_its_own_collection(self, wire: Wire) -> None:
        self.appear(wire, {"build": "b1"})
        wire.store().create(spec("new", build="b1"))
        assert wire.times(self.CREATE) == 2

    def test_create_knows_a_foreign_one(self, wire: Wire) -> None:
        self.appear(wire, {"build": "b2"})
        with pytest.raises(CollectionExists, match="somebody else"):
            wire.store().create(spec("new", build="b1"))


def test_a_collection_that_went_away_is_not_found(wire: Wire) -> None:
    store = wire.store()
    assert store.count("c") == 0
    gone: Answer = (404, {}, {"status": {"error": "Collection `c` doesn't exist!"}})
    wire.script["POST /collections/c/points/count"] = [gone]
    wire.collections = []
    for _ in range(2):  # first the server says so, then we know
        with pytest.raises(CollectionNotFound, match="'c'"):
            store.count("c")


@pytest.mark.parametrize(
    ("version", "old"),
    [("1.16.3", True), ("0.11.7", True), ("1.17.0", False), ("1.20.1-dev", False), ("2.0", False)],
)
def test_old_servers_are_refused(wire: Wire, version: str, old: bool) -> None:
    wire.version = version
    if old:
        with pytest.raises(StoreTooOld, match=rf"{version}.*1\.17.*conditions"):
            wire.store()
    else:
        assert wire.store().collections() == ["c"]


def settings(url: str, **qdrant: Any) -> QdrantSettings:
    return QdrantSettings(url=url, timeout=5, attempts=1, **qdrant)


def test_connect_falls_back_to_rest(wire: Wire) -> None:
    port = int(wire.url.rsplit(":", 1)[1])
    store = connect(settings(wire.url, grpc_port=port), None)  # speaks no gRPC
    assert store.collections() == ["c"]
    store.close()


def test_a_server_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(StoreError, match="Qdrant server"):
        connect(settings("http://127.0.0.1:1", prefer_grpc=False), None)


@pytest.mark.parametrize(("kind", "expected"), [("embedded", EdgeStore), ("server", ServerStore)])
def test_open_store_follows_the_config(
    wire: Wire, tmp_path: Path, kind: Any, expected: Callable[..., Any]
) -> None:
    chosen = Settings(
        store=StoreSettings(kind=kind, path=Path("vectors")),
        qdrant=settings(wire.url, prefer_grpc=False),
        root=tmp_path,
    )
    store = open_store(chosen, MemoryCatalog())
    assert isinstance(store, expected)  # type: ignore[arg-type]
    assert (kind, store.kind) in {("embedded", "embedded"), ("server", "server")}
    if kind == "embedded":
        store.create(spec("c"))
        assert (tmp_path / "vectors" / "c").is_dir()
    store.close()
