"""Collections that the plugin filled, for others: `adopt`, and LangChain's own Qdrant store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models
from tests.foreign_fixtures import embeddings
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project, write_documents

from langchain_reindex import ReindexVectorStore
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stores.server import ServerStore

TEXTS = [f"text number {n}" for n in range(40)]
Filled = tuple[HashWorkspace, QdrantClient]


def on(client: QdrantClient, folder: Path, **values: dict[str, Any]) -> HashWorkspace:
    """A project whose collections are the client's."""
    folder.mkdir(exist_ok=True)
    workspace = hash_project(folder, versions=2, **values)
    workspace.__dict__["store"] = ServerStore(client, attempts=1)
    workspace.sleep = lambda _: None  # a flip waits for other services, of which there are none
    return workspace


@pytest.fixture(params=["two-stage", "single"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filled]:
    """v1 is live: 40 documents from files, 60 by the plugin."""
    client, folder = QdrantClient(":memory:"), tmp_path / "first"
    folder.mkdir()
    write_documents(folder, TEXTS)
    values: dict[str, dict[str, Any]] = {
        "store": {"kind": "server", "layout": request.param}, "source": {"payload": "langchain"},
    }  # fmt: skip
    with on(client, folder, **values) as project:
        build(project, "v1")
        project.promote("v1")
        store = ReindexVectorStore(project)
        store.add_texts(
            [f"written number {n}" for n in range(60)], [{"topic": n % 3} for n in range(60)]
        )
        yield project, client


def test_langchain_s_own_store_reads_it_by_its_physical_name(filled: Filled) -> None:
    project, client = filled
    theirs = QdrantVectorStore(client, "docs--v1", embedding=embeddings(encoder_of("v1")))
    ours = ReindexVectorStore(project)
    for query in ("written number 7", TEXTS[7]):
        [(found, score)] = theirs.similarity_search_with_score(query, k=1)
        [(mine, own)] = ours.similarity_search_with_score(query, k=1)
        assert (found.page_content, mine.page_content) == (query, query)
        assert score == pytest.approx(own, abs=1e-5)
    assert theirs.similarity_search("written number 7", k=1)[0].metadata["topic"] == 1


def test_adopt_understands_it(filled: Filled, tmp_path: Path) -> None:
    """Points that left the project, say by a snapshot: another one adopts them and builds on."""
    _, client = filled
    everything, _ = client.scroll("docs--v1", limit=1000, with_vectors=[""])
    cosine = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    client.create_collection("moved", cosine)
    client.upsert("moved", [
        models.PointStruct(id=point.id, payload=point.payload, vector=full_vector(point.vector))
        for point in everything
    ])  # fmt: skip
    values: dict[str, dict[str, Any]] = {
        "project": {"name": "moved", "alias": "moved-live"}, "store": {"kind": "server"},
        "source": {"kind": "collection", "payload": "langchain"},
    }  # fmt: skip
    with on(client, tmp_path / "second", **values) as second:
        done = adopt(second, AdoptionRequest("moved", "v1"))
        assert (done.agreement.share, done.agreement.text.preset) == (1.0, "langchain")
        build(second, "v2")
        assert second.store.info(second.collection_of("v2")).points == 100
        store = ReindexVectorStore(second)
        assert store.similarity_search("written number 8", k=1)[0].metadata == {"topic": 2}


def full_vector(vector: Any) -> Any:
    return vector[""] if isinstance(vector, dict) else vector


def test_a_collection_that_langchain_filled_is_served_by_changing_a_line(tmp_path: Path) -> None:
    """What `QdrantVectorStore` wrote is found, overwritten and deleted by the ids that it gave."""
    client = QdrantClient(":memory:")
    theirs = QdrantVectorStore.construct_instance(
        client_options={"location": ":memory:"}, collection_name="support",
        embedding=embeddings(encoder_of("v1")),
    )  # fmt: skip
    client = theirs.client
    ids = theirs.add_texts(TEXTS, [{"number": n} for n in range(len(TEXTS))])
    values: dict[str, dict[str, Any]] = {
        "project": {"name": "support", "alias": "support-live"}, "store": {"kind": "server"},
        "source": {"kind": "collection", "payload": "langchain"},
    }  # fmt: skip
    with on(client, tmp_path / "support", **values) as project:
        adopt(project, AdoptionRequest("support", "v1"))
        ours = ReindexVectorStore(project)
        for query in TEXTS[:5]:
            [mine], [other] = (store.similarity_search(query, k=1) for store in (ours, theirs))
            assert (mine.page_content, mine.metadata["number"]) == (
                other.page_content, other.metadata["number"],
            )  # fmt: skip
        assert ours.get_by_ids([str(ids[3])])[0].page_content == TEXTS[3]
        ours.delete([str(ids[3])])
        assert ours.get_by_ids([str(ids[3])]) == []
        assert theirs.get_by_ids([ids[3]]) == []
