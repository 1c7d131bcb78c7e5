"""Writers meddle with every step of builds, promotions and rollbacks; a dictionary knows better."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reindex.indexing import Indexer
from reindex.records import PointId, point_id
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from tests.dict_store import DictStore
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(12)]
V1, V2 = "docs--v1", "docs--v2"
SINGLE = [*(f"d{n}" for n in range(4)), "n0", "n1"]
"""Documents that the indexer writes; the last two are nowhere else."""
PLAIN = [*(f"d{n}" for n in range(8, 12)), "p0"]
"""Documents that a plain client writes."""

Op = tuple[str, str, int]
OPS = st.one_of(
    st.tuples(st.sampled_from(["upsert", "payload", "delete"]), st.sampled_from(SINGLE),
              st.integers(0, 3)),
    st.tuples(st.sampled_from(["edit", "gone"]), st.sampled_from(PLAIN), st.integers(0, 3)),
)  # fmt: skip


class Meddler:
    """A store that lets others write first, before the calls whose numbers ``plan`` names."""

    def __init__(self, store: DictStore, plan: dict[int, Op]) -> None:
        self._store, self._plan, self._calls = store, plan, 0
        self._lock = threading.Lock()
        self.act: Any = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            op = self._next()
            if op is not None:
                self.act(op)
            return found(*args, **kwargs)

        return call

    def _next(self) -> Op | None:
        if self.act is None or not self._lock.acquire(blocking=False):
            return None  # a writer's own calls are not meddled with
        try:
            self._calls += 1
            return self._plan.get(self._calls)
        finally:
            self._lock.release()


class World:
    """The project, its store, and what everybody was told."""

    def __init__(self, workspace: HashWorkspace, plan: dict[int, Op]) -> None:
        self.workspace, self.store = workspace, DictStore()
        self.meddler = Meddler(self.store, plan)
        workspace.__dict__["store"] = self.meddler
        self.indexer = Indexer(workspace)
        self.single: dict[str, tuple[int, dict[str, Any] | None]] = {}
        self.plain: dict[str, str | None] = {}
        self.open_to_plain = V1
        self._writing = threading.RLock()

    def act(self, op: Op) -> None:
        """One write by somebody else."""
        kind, id, number = op
        if self.workspace.registry._db.conn.in_transaction:
            return  # the flip holds the lock: nobody else could journal now
        with self._writing, self._quiet():
            if kind in ("edit", "gone"):
                self._plain(kind, id, number)
            else:
                self._single(kind, id, number)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        act, self.meddler.act = self.meddler.act, None
        try:
            yield
        finally:
            self.meddler.act = act

    def _single(self, kind: str, id: str, number: int) -> None:
        if kind == "delete":
            ack, payload = self.indexer.delete(id)[0], None
        else:
            before = self.single.get(id, (0, None))[1]
            text = before["text"] if before and kind == "payload" else f"{id} {number}"
            payload = {"text": text, "tenant": number}
            ack = self.indexer.upsert((id, None, payload))[0]
        assert ack.pending == ()
        self.single[id] = max(self.single.get(id, (0, None)), (ack.rev, payload), key=_rev)

    def _plain(self, kind: str, id: str, number: int) -> None:
        """Only where it is promised to arrive: in what is live, before the alias moves."""
        if self.workspace.live_collection() != self.open_to_plain:
            return
        key = point_id(id)
        if kind == "gone":
            self.store._points[self.open_to_plain].pop(key, None)
            self.plain[id] = None
        else:
            text = f"plain {id} {number}"
            self.store.foreign(self.open_to_plain, key, None, text=text)
            self.plain[id] = text

    def check(self, collection: str) -> None:
        """Everything that was promised is in the collection."""
        points = self.store._points[collection]
        for id, (_, payload) in self.single.items():
            found = points.get(point_id(id))
            assert (found and found.payload) == payload, (collection, id)
        for id, text in self.plain.items():
            found = points.get(point_id(id))
            assert (found and found.payload["text"]) == text, (collection, id)
        self._check_vectors(collection, points)
        assert self.workspace.journal.backlog() == []

    def _check_vectors(self, collection: str, points: dict[PointId, Any]) -> None:
        version = self.workspace.registry.version(collection.rpartition("--")[2])
        encoder = self.workspace.encoder(version)
        for point in points.values():
            if point.stamp is None:
                continue
            text = point.payload["text"]
            assert float(point.vector @ encoder.encode_documents([text])[0]) > 0.999, text


def _rev(item: tuple[int, Any]) -> int:
    return item[0]


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(
    plan=st.dictionaries(st.integers(1, 160), OPS, min_size=5, max_size=60),
    now=st.booleans(),
)
def test_whoever_writes_in_between_nothing_is_lost_or_stale(plan: dict[int, Op], now: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_documents(Path(folder), TEXTS)
        with hash_project(
            Path(folder),
            build={"allow_deletes": 1.0},
            store={"layout": "single"},
            embed={"batch_size": 2},
        ) as first:
            world = World(first, {})
            build(first, "v1")
            promote(first, "v1")
            source = first.settings.source.model_copy(update={"kind": "collection"})
            copied = first.settings.model_copy(update={"source": source})
        with HashWorkspace(copied) as workspace:
            store = world.store
            world = World(workspace, plan)
            world.store = world.meddler._store = store
            world.meddler.act = world.act
            build(workspace, "v2")
            promote(workspace, "v2", force=True, reason="test")
            world.check(V2)
            world.open_to_plain = V2
            rollback(workspace, now=now)
            world.meddler.act = None
            world.check(V1)
