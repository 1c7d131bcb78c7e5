"""LlamaIndex's vector store over reindex."""

from llama_index.vector_stores.reindex.base import ReindexVectorStore
from llama_index.vector_stores.reindex.embedding import EmbeddedByReindex

__all__ = ["EmbeddedByReindex", "ReindexVectorStore"]
