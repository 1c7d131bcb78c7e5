"""Beside LlamaIndex's own Qdrant store: one collection, read and taken over by both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import models
from tests.foreign_fixtures import NAME, Foreign, llamaindex
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project

from llama_index.embeddings.reindex import ReindexEmbedding
from llama_index.vector_stores.reindex import ReindexVectorStore
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stores.server import ServerStore

TEXTS = [f"the text of document number {number}" for number in range(60)]


def project_over(folder: Path, foreign: Foreign, name: str, layout: str) -> HashWorkspace:
    folder.mkdir()
    workspace = hash_project(
        folder,
        project={"name": name, "alias": f"{name}-live"},
        store={"kind": "server", "layout": layout},
        source={"kind": "collection", "payload": "llamaindex"},
    )
    workspace.__dict__["store"] = ServerStore(foreign.client, attempts=1)
    workspace.sleep = lambda _: None  # a flip waits for other services, of which there are none
    return workspace


@pytest.mark.parametrize("layout", ["two-stage", "single"])
def test_from_the_own_store_to_reindex_and_back(tmp_path: Path, layout: str) -> None:
    foreign = llamaindex(TEXTS, encoder_of("v1"))
    with project_over(tmp_path / "first", foreign, NAME, layout) as project:
        adopt(project, AdoptionRequest(NAME, "v1"))
        store = ReindexVectorStore(project)
        node = TextNode(id_="guide", text="how to flip", metadata={"topic": "flips"})
        index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
        index.insert_nodes([node])
        build(project, "v2")
        project.promote("v2", force=True, reason="a test")
        for text in (foreign.embedded[7], node.get_content(MetadataMode.EMBED)):
            assert_same(
                retrieved(index, text), retrieved(own_index(foreign, project, f"{NAME}--v2"), text)
            )
    with project_over(tmp_path / "second", foreign, "other", layout) as other:
        copy_points(foreign, f"{NAME}--v2", "copied")
        done = adopt(other, AdoptionRequest("copied", "v2"))
        assert done.adoption.collection == "copied"
        assert (done.agreement.share, done.agreement.text.preset) == (1.0, "llamaindex")


def copy_points(foreign: Foreign, collection: str, copy: str) -> None:
    """As somebody's migration would: the points alone, without the metadata that say whose."""
    vectors = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    foreign.client.create_collection(copy, vectors)
    points, _ = foreign.client.scroll(collection, limit=100, with_vectors=[""])
    foreign.client.upsert(
        copy,
        [
            models.PointStruct(id=point.id, payload=point.payload, vector=full(point.vector))
            for point in points
        ],
    )


def full(vector: Any) -> Any:
    return vector[""] if isinstance(vector, dict) else vector


def own_index(foreign: Foreign, project: HashWorkspace, collection: str) -> VectorStoreIndex:
    """LlamaIndex's own store over a collection's physical name, with its version's embedding."""
    return VectorStoreIndex.from_vector_store(
        QdrantVectorStore(collection, client=foreign.client),
        embed_model=ReindexEmbedding(project, "v2"),
    )


def retrieved(index: VectorStoreIndex, text: str) -> Any:
    (found,) = index.as_retriever(similarity_top_k=1).retrieve(text)
    assert found.score == pytest.approx(1, abs=1e-4)
    return found.node


def assert_same(ours: Any, theirs: Any) -> None:
    assert (ours.hash, ours.text, ours.relationships) == (
        theirs.hash, theirs.text, theirs.relationships,
    )  # fmt: skip
