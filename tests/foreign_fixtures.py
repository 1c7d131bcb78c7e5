"""Collections as LangChain, LlamaIndex and Haystack write them: their own classes, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import QdrantClient

from tests.hash_encoder import HashEncoder

NAME = "support"
"""The collection's name, as an application would have chosen it."""


@dataclass(frozen=True)
class Foreign:
    """A collection that a framework wrote. ``embedded`` are the texts that went to the encoder."""

    client: QdrantClient
    preset: str
    vector: str
    embedded: tuple[str, ...]
    collection: str = NAME


def topic(number: int) -> str:
    return f"topic {number % 3}"


def langchain(texts: Sequence[str], encoder: Any, *, hybrid: bool = False, **given: Any) -> Foreign:
    """``QdrantVectorStore`` of langchain-qdrant; ``hybrid``: with sparse vectors beside."""
    from langchain_core.documents import Document
    from langchain_qdrant import QdrantVectorStore, RetrievalMode

    documents = [
        Document(page_content=text, metadata={"topic": topic(number), "number": number})
        for number, text in enumerate(texts)
    ]
    if hybrid:
        given |= {"sparse_embedding": sparse_embeddings(), "retrieval_mode": RetrievalMode.HYBRID}
    store = QdrantVectorStore.construct_instance(
        client_options={"location": ":memory:"}, collection_name=NAME,
        embedding=embeddings(encoder), **given,
    )  # fmt: skip
    store.add_documents(documents)
    return Foreign(store.client, "langchain", given.get("vector_name", ""), tuple(texts))


def embeddings(encoder: Any) -> Any:
    """Our encoder as LangChain's ``Embeddings``."""
    from langchain_core.embeddings import Embeddings

    class Encoded(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [list(map(float, row)) for row in encoder.encode_documents(texts)]

        def embed_query(self, text: str) -> list[float]:
            return [float(value) for value in encoder.encode_queries([text])[0]]

    return Encoded()


def sparse_embeddings() -> Any:
    """Bags of words as LangChain's ``SparseEmbeddings``."""
    from langchain_qdrant import SparseEmbeddings, SparseVector

    class Words(SparseEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[SparseVector]:
            return [self.embed_query(text) for text in texts]

        def embed_query(self, text: str) -> SparseVector:
            indices = sorted({sum(map(ord, word)) for word in text.split()})
            return SparseVector(indices=indices, values=[1.0] * len(indices))

    return Words()


def llamaindex(texts: Sequence[str], encoder: Any, *, hybrid: bool = False) -> Foreign:
    """``QdrantVectorStore`` of LlamaIndex, which embeds a node's metadata with its text."""
    from llama_index.core.schema import BaseNode, MetadataMode, TextNode
    from llama_index.vector_stores.qdrant import QdrantVectorStore

    nodes: list[BaseNode] = [
        TextNode(
            text=text,
            metadata={"topic": topic(number), "number": number, "path": f"/tmp/{number}"},
            excluded_embed_metadata_keys=["path"],
        )
        for number, text in enumerate(texts)
    ]
    embedded = tuple(node.get_content(MetadataMode.EMBED) for node in nodes)
    for node, vector in zip(nodes, encoder.encode_documents(embedded), strict=True):
        node.embedding = [float(value) for value in vector]
    client = QdrantClient(":memory:")
    words = sparse_embeddings()

    def sparse(batch: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        made = words.embed_documents(batch)
        return [item.indices for item in made], [item.values for item in made]

    functions: dict[str, Any] = (
        {"sparse_doc_fn": sparse, "sparse_query_fn": sparse} if hybrid else {}
    )
    QdrantVectorStore(NAME, client=client, enable_hybrid=hybrid, **functions).add(nodes)
    return Foreign(client, "llamaindex", "text-dense" if hybrid else "", embedded)


def haystack(texts: Sequence[str], encoder: Any, *, hybrid: bool = False) -> Foreign:
    """``QdrantDocumentStore`` with a ``DocumentWriter``, over a client of its own."""
    from haystack import Document
    from haystack.components.writers import DocumentWriter
    from haystack.dataclasses import SparseEmbedding
    from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

    words = sparse_embeddings()

    def sparse(text: str) -> Any:
        made = words.embed_query(text)
        return SparseEmbedding(indices=made.indices, values=made.values) if hybrid else None

    documents = [
        Document(
            content=text,
            meta={"topic": topic(number), "number": number},
            embedding=[float(value) for value in vector],
            sparse_embedding=sparse(text),
        )
        for number, (text, vector) in enumerate(
            zip(texts, encoder.encode_documents(texts), strict=True)
        )
    ]
    store = QdrantDocumentStore(
        ":memory:", index=NAME, embedding_dim=encoder.dim, use_sparse_embeddings=hybrid,
        progress_bar=False,
    )  # fmt: skip
    DocumentWriter(store).run(documents)
    client = store._client
    assert client is not None
    return Foreign(client, "haystack", "text-dense" if hybrid else "", tuple(texts))


FRAMEWORKS: dict[str, Callable[..., Foreign]] = {
    "langchain": langchain,
    "llamaindex": llamaindex,
    "haystack": haystack,
}


def hash_encoder(dim: int = 32, seed: int = 1) -> HashEncoder:
    return HashEncoder(dim, seed=seed)
