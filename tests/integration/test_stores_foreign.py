"""The server store over collections that somebody else made, and what new ones take over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from reindex.errors import CollectionNotFound, StoreError
from reindex.protocols import CarryingStore
from reindex.records import CollectionSpec, Copied, SearchPlan
from reindex.stores.server import ServerStore
from tests.foreign_fixtures import FRAMEWORKS, NAME, Foreign, hash_encoder
from tests.remembering_client import RememberingClient
from tests.store_fixtures import assert_near, points, seen_of, stamp, unit_vectors, uuid_of

TEXTS = [f"the text of number {number}" for number in range(20)]
DIM = 32
Made = tuple[ServerStore, Foreign]


@pytest.fixture(params=[(name, hybrid) for name in FRAMEWORKS for hybrid in (False, True)])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    name, hybrid = request.param
    written = FRAMEWORKS[name](TEXTS, hash_encoder(), hybrid=hybrid)
    store = ServerStore(written.client, attempts=1)
    yield store, written
    store.close()


def test_a_framework_s_collection_is_read_and_searched(made: Made) -> None:
    store, written = made
    info = store.info(NAME)
    assert (info.points, info.dim, info.layout, info.vector) == (20, DIM, "single", written.vector)
    query = hash_encoder().encode_queries([written.embedded[7]])[0]
    for two_stage in (False, True):
        hits = store.search(NAME, query, SearchPlan(k=3, two_stage=two_stage))
        assert hits[0].score == pytest.approx(1, abs=1e-4)
        point = store.retrieve(NAME, [hits[0].point_id], with_payload=True, with_vector=True)
        (found,) = point.values()
        assert found.stamp is None
        assert_near(found.vector, query, 1e-5)
    pages = list(store.scroll(NAME, page=7, with_vector=True))
    assert [len(page) for page in pages] == [7, 7, 6]
    assert all(point.vector is not None for page in pages for point in page)
    assert store.missing_vectors(NAME) == set()


def test_its_description_names_every_vector(made: Made) -> None:
    store, written = made
    found = store.describe(NAME)
    assert (found.points, found.owned, found.problems) == (20, (written.vector,), ())
    sparse = [vector for vector in found.unowned if vector.kind == "sparse"]
    assert len(sparse) == len(found.unowned) == len(found.vectors) - 1
    own = next(vector for vector in found.vectors if vector.name == written.vector)
    assert (own.kind, own.dim, own.distance) == ("dense", DIM, "Cosine")


def test_a_server_s_store_carries_over() -> None:
    assert isinstance(ServerStore(QdrantClient(":memory:"), attempts=1), CarryingStore)


def test_an_unknown_collection_has_no_description() -> None:
    store = ServerStore(QdrantClient(":memory:"), attempts=1)
    with pytest.raises(StoreError):
        store.describe("nowhere")
    with pytest.raises(CollectionNotFound):
        store.info("nowhere")


def test_of_several_dense_vectors_the_metadata_name_ours() -> None:
    client = QdrantClient(":memory:")
    vectors = {
        "text": models.VectorParams(size=DIM, distance=models.Distance.DOT),
        "image": models.VectorParams(size=4, distance=models.Distance.COSINE),
    }
    client.create_collection("c", vectors)
    store = ServerStore(client, attempts=1)
    with pytest.raises(StoreError, match=r"\['image', 'text'\].*--vector"):
        store.info("c")
    assert store.describe("c").owned == ()
    store.set_metadata("c", {"vector": "text"})
    info = store.info("c")
    assert (info.dim, info.vector, info.distance) == (DIM, "text", "Dot")
    assert [vector.name for vector in store.describe("c").unowned] == ["image"]


def test_a_write_goes_to_the_named_vector() -> None:
    store = ServerStore(QdrantClient(":memory:"), attempts=1)
    for layout, prefix in (("single", None), ("two-stage", 8)):
        spec = CollectionSpec(layout, 16, layout, prefix, {}, vector="text-dense", distance="Dot")  # type: ignore[arg-type]
        store.create(spec)
        rows = unit_vectors(4, 16)
        store.insert(layout, points([0, 1, 2, 3], rows))
        store.update(layout, points([1], -rows[1:2], rev=2), seen_of([1]))
        found = store.retrieve(layout, [0, 1], with_vector=True)
        assert_near(found[0].vector, rows[0])
        assert_near(found[1].vector, -rows[1])
        assert store.search(layout, rows[2], SearchPlan(k=1, two_stage=True))[0].point_id == 2
        assert store.missing_vectors(layout) == set()
        info = store.info(layout)
        assert (info.vector, info.prefix_dim, info.distance) == ("text-dense", prefix, "Dot")


@pytest.mark.parametrize("wrong", [{"vector": "prefix"}, {"distance": "Euclid"}])
def test_what_cannot_be_compared_by_is_refused(wrong: dict[str, Any]) -> None:
    store = ServerStore(QdrantClient(":memory:"), attempts=1)
    with pytest.raises(StoreError, match="Expected another name"):
        store.create(replace(CollectionSpec("c", 16, "single", None, {}), **wrong))


# -- what a new collection takes over


def old_collection(client: Any) -> list[str]:
    """Sparse and image vectors beside the dense one, indexes, quantization, three shards."""
    client.create_collection(
        "old",
        {
            "dense": models.VectorParams(
                size=16, distance=models.Distance.COSINE, on_disk=True,
                hnsw_config=models.HnswConfigDiff(m=24),
            ),
            "image": models.VectorParams(size=4, distance=models.Distance.COSINE),
        },
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        metadata={"vector": "dense"},
        shard_number=3,
        replication_factor=2,
        write_consistency_factor=2,
        on_disk_payload=True,
        hnsw_config=models.HnswConfigDiff(ef_construct=200),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99)
        ),
    )  # fmt: skip
    keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    client.create_payload_index("old", "metadata.tenant", keyword)
    client.create_payload_index("old", "year", "integer")
    client.create_payload_index("old", "_reindex.rev", "integer")
    rows, ids = unit_vectors(50, 16), [uuid_of(number) for number in range(50)]
    client.upsert("old", [
        models.PointStruct(id=id, payload={"n": n}, vector=_old_vectors(n, rows[n]))
        for n, id in enumerate(ids)
    ])  # fmt: skip
    return ids


def _old_vectors(number: int, row: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"dense": row.tolist(), "image": [number + 1.0, 1.0, 0.0, 0.0]}
    if number % 5:
        found["words"] = models.SparseVector(indices=[number, number + 1], values=[1.0, 0.5])
    return found


def new_collection(store: ServerStore, layout: Any = "two-stage") -> None:
    prefix = 8 if layout == "two-stage" else None
    like = store.describe("old")
    store.create(CollectionSpec("new", 16, layout, prefix, {}, vector="dense", like=like))
    store.carry_indexes("new", like)


@pytest.mark.parametrize(("layout", "searched"), [("two-stage", "prefix"), ("single", "dense")])
def test_settings_and_indexes_carry_over(layout: Any, searched: str) -> None:
    client = RememberingClient()
    old_collection(client)
    store = ServerStore(client, attempts=1)
    new_collection(store, layout)
    old, new = store.describe("old"), store.describe("new")
    carried = ("shard_number", "replication_factor", "write_consistency_factor", "hnsw_config",
               "quantization_config", "on_disk_payload")  # fmt: skip
    assert {key: new.settings[key] for key in carried} == {
        key: old.settings[key] for key in carried
    }
    assert "indexing_threshold" not in old.settings["optimizers_config"]  # a bulk load's zero
    assert new.indexes == {key: old.indexes[key] for key in ("metadata.tenant", "year")}
    assert new.unowned == old.unowned
    params = next(vector.params for vector in new.vectors if vector.name == searched)
    assert (params["on_disk"], params["hnsw_config"]["m"]) == (True, 24)
    assert store.carry_indexes("new", old) == []


def test_a_version_s_collection_hands_its_settings_on_to_the_next() -> None:
    store = ServerStore(RememberingClient(), attempts=1)
    old_collection(store._client)
    new_collection(store)
    like = store.describe("new")
    store.create(CollectionSpec("third", 16, "two-stage", 8, {}, vector="dense", like=like))
    assert store.describe("third").vectors == like.vectors
    store.create(CollectionSpec("fourth", 16, "single", None, {}, vector="dense", like=like))
    full = store.describe("fourth").vectors[0]
    assert full.params["hnsw_config"]["m"] == 24  # not the 0 of a vector that is only rescored


def copied(store: ServerStore) -> Copied:
    total = Copied()
    for page in store.copy_vectors("old", "new", ["image", "words"], page=7):
        total += page
    return total


def test_unowned_vectors_are_copied_once_and_kept_in_step() -> None:
    client = QdrantClient(":memory:")
    ids = old_collection(client)
    store = ServerStore(client, attempts=1)
    new_collection(store)
    rows = unit_vectors(50, 16)
    store.insert("new", points(ids[:40], rows[:40]))
    assert copied(store) == Copied(written=40, absent=10)
    assert copied(store) == Copied(unchanged=40, absent=10)
    assert_same_vectors(client, ids[:40])
    words = models.SparseVector(indices=[3], values=[2.0])
    client.update_vectors("old", [models.PointVectors(id=ids[1], vector={"words": words})])
    client.delete_vectors("old", ["words"], [ids[2]])
    # an update by us writes the whole point, its other vectors as they were
    store.update("new", points([ids[3]], -rows[3:4], rev=2), {ids[3]: stamp(f"doc-{ids[3]}")})
    assert_same_vectors(client, ids[3:4])
    store.update("new", points([ids[3]], rows[3:4], rev=3), {ids[3]: stamp(f"doc-{ids[3]}", rev=2)})
    assert copied(store) == Copied(written=1, removed=1, unchanged=38, absent=10)
    assert_same_vectors(client, ids[:40])
    own = store.retrieve("new", ids[:40], with_vector=True)
    assert_near([own[id].vector for id in ids[:40]], rows[:40])
    assert store.missing_vectors("new") == set()


def test_a_point_that_goes_while_it_is_copied_costs_nothing() -> None:
    class Deleting(QdrantClient):
        armed = True

        def update_vectors(self, collection_name: str, *args: Any, **kwargs: Any) -> Any:
            if self.armed:
                self.armed = False
                self.delete(collection_name, [ids[5]])
            return super().update_vectors(collection_name, *args, **kwargs)

    client = Deleting(":memory:")
    ids = old_collection(client)
    store = ServerStore(client, attempts=1)
    new_collection(store)
    store.insert("new", points(ids, unit_vectors(50, 16)))
    total = copied(store)
    assert (total.written + total.unchanged, total.absent) == (49, 1)
    assert_same_vectors(client, [id for id in ids if id != ids[5]])


def assert_same_vectors(client: Any, ids: list[str]) -> None:
    old, new = (
        {r.id: r.vector for r in client.retrieve(name, ids, with_vectors=["image", "words"])}
        for name in ("old", "new")
    )
    assert old.keys() == new.keys() == set(ids)
    for id in ids:
        assert new[id].get("words") == old[id].get("words")
        np.testing.assert_allclose(new[id]["image"], old[id]["image"], atol=1e-6)


def test_a_name_that_somebody_else_s_vector_has_is_refused() -> None:
    client = QdrantClient(":memory:")
    vectors = {
        name: models.VectorParams(size=16, distance=models.Distance.COSINE)
        for name in ("dense", "prefix")
    }
    client.create_collection("old", vectors, metadata={"vector": "dense", "adopted": True})
    store = ServerStore(client, attempts=1)
    with pytest.raises(StoreError, match="'prefix' that belongs to somebody else"):
        new_collection(store)
