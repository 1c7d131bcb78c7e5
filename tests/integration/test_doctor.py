"""`doctor` over healthy and damaged collections: the frameworks' own, and ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from reindex.errors import CollectionNotFound
from reindex.indexing import Indexer
from reindex.inspection.advice import filter_fields, human_bytes, server_facts
from reindex.inspection.findings import Diagnosis, Finding
from reindex.records import Point, StoredPoint, point_id
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.examining import Examination, examine
from reindex.stages.promoting import promote
from reindex.stores.server import ServerStore
from tests.adoption_fixtures import TEXTS, project_over
from tests.foreign_fixtures import FRAMEWORKS, NAME
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project, write_documents
from tests.remembering_client import RememberingClient


def found_by(diagnosis: Diagnosis, check: str) -> Finding:
    (found,) = [finding for finding in diagnosis.findings if finding.check == check]
    return found


def checks(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(finding.severity, finding.check) for finding in diagnosis.findings]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_healthy_foreign_collection(framework: str, hybrid: bool, tmp_path: Path) -> None:
    foreign = FRAMEWORKS[framework](TEXTS, encoder_of("v1"), hybrid=hybrid)
    with project_over(tmp_path, foreign) as workspace:
        found = examine(workspace, Examination(NAME))
        assert (found.points, found.looked_at) == (60, 60)
        assert {severity for severity, _ in checks(found)} == {"info"}
        assert found_by(found, "registry").advice == f"reindex adopt {NAME} --model MODEL"
        assert str(found.facts["model"]).startswith("v1 (hash), fp32: 100.0% of 60 points agree")
        assert framework in str(found.facts["text"])
        assert str(found.facts["server"]).startswith("Qdrant 1.")
        assert not found.reaches("warning")
        assert found.reaches("info")


def test_the_live_collection_where_none_is_named(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS, encoder_of("v1"))
    with project_over(tmp_path, foreign) as workspace:
        with pytest.raises(CollectionNotFound, match="points at nothing"):
            examine(workspace, Examination())
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        for name in (None, "support-live"):
            found = examine(workspace, Examination(name))
            assert found.collection == NAME
            assert {severity for severity, _ in checks(found)} <= {"info"}
            assert found.facts["aliases"] == "support-live"
        with pytest.raises(CollectionNotFound, match="Did you mean 'support'"):
            examine(workspace, Examination("suport"))


def test_nothing_is_written(tmp_path: Path) -> None:
    class ReadOnly(QdrantClient):
        def __getattribute__(self, name: str) -> Any:
            assert not name.startswith(("upsert", "set_", "delete", "update", "create", "over"))
            return super().__getattribute__(name)

    foreign = FRAMEWORKS["langchain"](TEXTS, encoder_of("v1"))
    foreign.client.__class__ = ReadOnly
    with project_over(tmp_path, foreign) as workspace:
        assert examine(workspace, Examination(NAME)).looked_at == 60


def test_another_model_and_a_mixture(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS, encoder_of("v9"))
    with project_over(tmp_path, foreign) as workspace:
        unknown = found_by(examine(workspace, Examination(NAME)), "model")
        assert unknown.severity == "info"
        named = found_by(examine(workspace, Examination(NAME, model="v1")), "model")
        assert (named.severity, len(named.examples)) == ("error", 3)
        _embed_again(foreign.client, TEXTS[:30])
        found = examine(workspace, Examination(NAME))
        mixed = found_by(found, "mixed vectors")
        assert mixed.severity == "error"
        assert "50.0% of 60" in mixed.message


def _embed_again(client: Any, texts: list[str]) -> None:
    records, _ = client.scroll(NAME, limit=100)
    chosen = [record for record in records if record.payload["page_content"] in texts]
    vectors = encoder_of("v1").encode_documents([r.payload["page_content"] for r in chosen])
    client.update_vectors(NAME, [
        models.PointVectors(id=record.id, vector=vector.tolist())
        for record, vector in zip(chosen, vectors, strict=True)
    ])  # fmt: skip


def dot_collection(client: Any) -> None:
    """Vectors of many lengths, three without a text, two zero, one missing."""
    given = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection(NAME, {"text": given, "image": given})
    rows = encoder_of("v1").encode_documents(TEXTS) * np.arange(1, 61, dtype=np.float32)[:, None]
    rows[1:3] = 0
    client.upsert(NAME, [
        models.PointStruct(
            id=n, payload={"text": text if n > 56 or n < 54 else " ", "tenant": n % 4},
            vector={"text": rows[n].tolist()} if n else {},
        )
        for n, text in enumerate(TEXTS)
    ])  # fmt: skip


def test_every_wrong_vector_and_text_is_counted(tmp_path: Path) -> None:
    client = RememberingClient()
    dot_collection(client)
    with hash_project(tmp_path, store={"kind": "server"}) as workspace:
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        unclear = examine(workspace, Examination(NAME))
        assert "['text', 'image']" in found_by(unclear, "vectors").message
        wrong = found_by(examine(workspace, Examination(NAME, vector="txt")), "vectors")
        assert wrong.severity == "error"
        found = examine(workspace, Examination(NAME, vector="text"))
        assert found_by(found, "no vector").examples == (0,)
        assert found_by(found, "zero").message.startswith("2 vectors")
        assert found_by(found, "no text").examples == (54, 55, 56)
        lengths = found_by(found, "not of unit length")
        assert "all vectors are not of unit length (from 4 to 60)" in lengths.message
        assert "tenant" in found_by(found, "payload indexes").message
        assert "v1" in str(found.facts["model"])
        few = examine(workspace, Examination(NAME, vector="text", limit=10))
        assert few.looked_at == 10
        client.create_payload_index(NAME, "tenant", "integer")
        indexed = examine(workspace, Examination(NAME, vector="text", sample=0))
        assert "payload indexes" not in [check for _, check in checks(indexed)]
        assert "model" not in indexed.facts


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        yield workspace


def test_a_healthy_collection_of_ours(ours: HashWorkspace) -> None:
    found = examine(ours, Examination())
    assert found.findings == ()
    assert found.facts["stamped"] == "60 of 60"
    assert found.facts["store"] == "embedded (Qdrant Edge)"
    assert str(found.facts["model"]).startswith("v1 (hash), int8: 100.0%")


def test_what_others_did_to_a_collection_of_ours(ours: HashWorkspace, tmp_path: Path) -> None:
    collection = f"{ours.settings.project.name}--v1"
    ids = [point.id for page in ours.store.scroll(collection) for point in page]
    stored = ours.store.retrieve(collection, ids, with_payload=True, with_vector=True)
    ours.store.close()
    nan = np.full(DIM, np.nan, np.float32)
    with raw_shard(ours, collection) as write:
        write(ids[0], {**payload(stored[ids[0]]), "text": "edited, not embedded"})
        write(ids[1], {**payload(stored[ids[1]]), "source": "edited"})
        write(ids[2], {"text": TEXTS[0]})  # a plain client: no stamp, no prefix
        write(ids[3], payload(stored[ids[3]]), nan)
        write(ids[4], payload(stored[ids[4]]), np.zeros(DIM, np.float32))
    found = examine(ours, Examination())
    assert found_by(found, "stale").examples == (ids[0],)
    assert found_by(found, "edited").examples == (ids[1],)
    assert found_by(found, "no stamp").examples == (ids[2],)
    assert ids[2] in found_by(found, "no prefix").examples
    assert found_by(found, "not finite").examples == (ids[3],)
    assert found_by(found, "zero").examples == (ids[4],)
    order = [severity for severity, _ in checks(found)]
    assert order == sorted(order, key=["error", "warning", "info"].index)
    assert found.reaches("error")
    assert not found.reaches("never")


def payload(point: StoredPoint) -> dict[str, Any]:
    assert point.stamp is not None
    return {**point.payload, "_reindex": point.stamp.as_payload()}


class raw_shard:
    """Writes into a shard as any client of the engine could."""

    def __init__(self, workspace: HashWorkspace, collection: str) -> None:
        store = workspace.settings.resolve(workspace.settings.store.path)
        self.folder = str(store / collection / "shard")

    def __enter__(self) -> Any:
        import qdrant_edge

        self.shard = qdrant_edge.EdgeShard.load(self.folder)

        def write(id: Any, payload: dict[str, Any], vector: Any = None) -> None:
            stored: Any = self.shard.retrieve([id], False, True)[0].vector
            full = stored[""] if vector is None else vector.tolist()
            made = qdrant_edge.Point(id, {"": full}, payload)
            self.shard.update(qdrant_edge.UpdateOperation.upsert_points([made]))

        return write

    def __exit__(self, *_: object) -> None:
        self.shard.close()


def test_a_deleted_document_that_a_late_write_brought_back(ours: HashWorkspace) -> None:
    """What a server does that carries out an insert after its client has given up, and after a
    later delete.
    """
    collection, indexer = f"{ours.settings.project.name}--v1", Indexer(ours)
    indexer.upsert([("late", "a text", {}), ("gone", "a text", {})])
    key = point_id("late")
    found = ours.store.retrieve(collection, [key], with_payload=True, with_vector=True)[key]
    assert found.vector is not None
    assert found.stamp is not None
    indexer.delete(["late", "gone"])
    assert examine(ours, Examination()).findings == ()
    ours.store.insert(collection, [Point(key, found.vector, found.payload, found.stamp)])
    assert found_by(examine(ours, Examination()), "deleted").examples == (key,)
    indexer.delete("late")
    assert ("warning", "deleted") not in checks(examine(ours, Examination()))
    indexer.upsert(("late", "written anew", {}))
    assert ("warning", "deleted") not in checks(examine(ours, Examination()))


def test_indexes_that_the_live_collection_has_are_missed(tmp_path: Path) -> None:
    client = RememberingClient()
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, store={"kind": "server"}) as workspace:
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        for version in ("v1", "v2"):
            build(workspace, version)
        promote(workspace, "v1")
        live, candidate = (workspace.settings.collection(version) for version in ("v1", "v2"))
        client.create_payload_index(live, "tenant", "keyword")
        missed = found_by(examine(workspace, Examination(candidate)), "payload indexes")
        assert (missed.severity, "tenant" in missed.message) == ("warning", True)
        client.update_collection(live, metadata={"space": "another"})
        assert "space is another" in found_by(examine(workspace, Examination()), "registry").message


def test_an_empty_collection(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    client.create_collection(
        NAME, models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    )  # fmt: skip
    with hash_project(tmp_path, store={"kind": "server"}) as workspace:
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        found = examine(workspace, Examination(NAME))
        assert ("warning", "points") in checks(found)


def test_small_helpers() -> None:
    assert [human_bytes(n) for n in (0, 999, 1536, 2.5e9)] == ["0 B", "999 B", "1.54 KB", "2.5 GB"]
    assert server_facts("1.16.3")["insert-only and update-only writes"] == "no"
    sample = [
        StoredPoint(n, None, {"text": f"t {n}", "meta": {"lang": "de" if n % 2 else "en", "n": n}})
        for n in range(10)
    ]
    assert filter_fields(sample) == ["meta.lang"]
