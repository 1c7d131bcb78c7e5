"""Haystack's own Qdrant classes beside the plugin: collections that either wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.qdrant import QdrantEmbeddingRetriever
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore
from haystack_integrations.document_stores.qdrant.document_store import QdrantStoreError
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams
from tests.foreign_fixtures import NAME, haystack
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project
from tests.haystack_project import COLLECTION, TEXTS, haystack_project, meta_of

import reindex
from haystack_integrations.components.retrievers.reindex import ReindexRetriever
from haystack_integrations.document_stores.reindex import ReindexDocumentStore
from haystack_integrations.document_stores.reindex.converters import to_payload
from reindex.corpus.frameworks import StoredText
from reindex.project import Project
from reindex.stages.adopting import AdoptionRequest
from reindex.stores.server import ServerStore

SINGLE = {"kind": "server", "layout": "single"}
FILTER = {"field": "meta.number", "operator": "<", "value": 4}


def over(project: HashWorkspace, client: QdrantClient) -> HashWorkspace:
    project.__dict__["store"] = ServerStore(client, attempts=1)
    project.sleep = lambda _: None  # a flip waits for other services, of which there are none
    return project


def adopted(folder: Path, client: QdrantClient, name: str) -> HashWorkspace:
    folder.mkdir()
    given: dict[str, Any] = {
        "project": {"name": "adopted", "alias": "adopted-live"},
        "store": SINGLE,
    }
    project = over(hash_project(folder, source=COLLECTION, **given), client)
    done = project.adopt(AdoptionRequest(name, "v1"))
    assert (done.agreement.share, done.agreement.text.preset, done.config) == (1, "haystack", ())
    return project


def store_of(project: Project) -> ReindexDocumentStore:
    """A store over an open project, which no pipeline could describe."""
    store = ReindexDocumentStore(project.settings.root)
    store._link._connection = reindex.connect(project)
    return store


def plain_store(client: QdrantClient, collection: str) -> QdrantDocumentStore:
    """As it opens a collection that is there, but over this client."""
    store = QdrantDocumentStore(
        ":memory:", index=collection, embedding_dim=DIM, progress_bar=False
    )  # fmt: skip
    store._client = client
    store._set_up_collection(
        store.index, store.embedding_dim, store.recreate_index, store.similarity,
        store.use_sparse_embeddings, store.sparse_idf, store.on_disk,
        store.payload_fields_to_index,
    )  # fmt: skip
    return store


def vector(text: str, version: str = "v1") -> list[float]:
    found: list[float] = encoder_of(version).encode_queries([text])[0].tolist()
    return found


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_the_plain_class_reads_what_reindex_built(tmp_path: Path, client: QdrantClient) -> None:
    """By the physical name, in the layout ``single``."""
    with over(haystack_project(tmp_path / "built", store=SINGLE), client) as project:
        project.build("v1")
        plain = plain_store(client, "docs--v1")
        retriever = QdrantEmbeddingRetriever(plain, top_k=3)
        best, *_ = retriever.run(vector(TEXTS[7]))["documents"]
        assert (best.id, best.content) == ("d7", TEXTS[7])
        assert best.score == pytest.approx(1, abs=1e-4)
        assert best.meta["_reindex"]["id"] == "d7"
        assert to_payload(best)["meta"] == {"_id": "d7", **meta_of(7)}
        found = retriever.run(vector(TEXTS[7]), filters=FILTER, top_k=30)["documents"]
        assert {item.id for item in found} == {"d0", "d1", "d2", "d3"}
        assert plain.count_documents() == 30


def test_the_plain_class_refuses_two_stages(tmp_path: Path, client: QdrantClient) -> None:
    """As the guide says; if this fails, Haystack can do more than the guide knows."""
    with over(haystack_project(tmp_path / "built", store={"kind": "server"}), client) as project:
        project.build("v1")
        with pytest.raises((QdrantStoreError, ValueError)):
            plain_store(client, "docs--v1")


def test_what_the_plugin_wrote_is_taken_over(tmp_path: Path, client: QdrantClient) -> None:
    with over(haystack_project(tmp_path / "first", store=SINGLE, count=1), client) as project:
        project.build("v1")
        project.promote("v1")
        store = store_of(project)
        documents = [Document(content=text, meta=meta_of(n)) for n, text in enumerate(TEXTS)]
        DocumentWriter(store).run(documents)
        store.delete_documents(["d0"])
    copy_points(client, "docs--v1", "elsewhere")
    with adopted(tmp_path / "second", client, "elsewhere") as project:
        found = ReindexRetriever(store_of(project), top_k=1).run(TEXTS[7])
        assert found["documents"] == [at(documents[7], found["documents"][0].score)]
        assert project.build("v2").complete
        best = plain_store(client, "adopted--v2")._query_by_embedding(vector(TEXTS[7], "v2"))[0]
        assert (best.id, best.content) == (documents[7].id, TEXTS[7])


def copy_points(client: QdrantClient, old: str, new: str) -> None:
    """Without the metadata by which reindex knows its own collections."""
    client.create_collection(new, VectorParams(size=DIM, distance=Distance.COSINE))
    points, _ = client.scroll(old, limit=1000, with_vectors=True)
    client.upsert(new, [
        PointStruct(id=p.id, vector=p.vector or [], payload=p.payload) for p in points
    ])  # fmt: skip


def at(document: Document, score: float | None) -> Document:
    return Document(document.id, document.content, meta=document.meta, score=score)


def test_in_an_adopted_collection_documents_keep_their_points(tmp_path: Path) -> None:
    """What is written again is no second document, whichever class writes it."""
    foreign = haystack(TEXTS, encoder_of("v1"))
    with adopted(tmp_path / "project", foreign.client, NAME) as project:
        store, plain = store_of(project), plain_store(foreign.client, NAME)
        known = {item.meta["number"]: item for item in store.filter_documents()}
        assert len(known) == len(TEXTS) == store.count_documents()
        changed = Document(id=known[7].id, content="another text", meta={"number": 7})
        new = Document(id="mine", content="a new text", meta={"number": 100})
        assert store.write_documents([changed, new], DuplicatePolicy.OVERWRITE) == 2
        assert store.count_documents() == len(TEXTS) + 1
        plain.write_documents([embedded(changed), embedded(new)], DuplicatePolicy.OVERWRITE)
        assert store.count_documents() == len(TEXTS) + 1
        assert numbers(store, 7) == [changed]
        store.delete_documents([changed.id, "mine"])
        assert store.count_documents() == len(TEXTS) - 1
        assert numbers(store, 7) == []


def test_metadata_that_was_embedded_too_is_embedded_again(tmp_path: Path) -> None:
    """As ``meta_fields_to_embed`` had it; the project's text fields say so."""
    fields = ("meta.topic", "content")
    client = QdrantClient(":memory:")
    plain = QdrantDocumentStore(":memory:", index=NAME, embedding_dim=DIM, progress_bar=False)
    client.create_collection(NAME, VectorParams(size=DIM, distance=Distance.COSINE))
    plain._client = client
    documents = [Document(content=text, meta=meta_of(n)) for n, text in enumerate(TEXTS)]
    plain.write_documents([
        replace(item, embedding=vector(f"{item.meta['topic']}\n{item.content}"))
        for item in documents
    ])  # fmt: skip
    source = {**COLLECTION, "text_fields": list(fields)}
    given: dict[str, Any] = {"project": {"name": NAME, "alias": "live"}, "store": SINGLE}
    with over(hash_project(tmp_path, source=source, **given), client) as project:
        project.adopt(AdoptionRequest(NAME, "v1", text=StoredText("haystack", fields)))
        store = store_of(project)
        store.write_documents([Document(id="new", content="a text", meta={"topic": "news"})])
        (best,) = ReindexRetriever(store, top_k=1).run("news\na text")["documents"]
        assert (best.id, best.score) == ("new", pytest.approx(1, abs=1e-4))


def numbers(store: ReindexDocumentStore, number: int) -> list[Document]:
    condition = {"field": "meta.number", "operator": "==", "value": number}
    return store.filter_documents(condition)


def embedded(document: Document) -> Document:
    return replace(document, embedding=vector(str(document.content)))
