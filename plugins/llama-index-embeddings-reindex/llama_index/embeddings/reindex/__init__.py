"""LlamaIndex's embedding over reindex."""

from llama_index.embeddings.reindex.base import LIVE, ReindexEmbedding

__all__ = ["LIVE", "ReindexEmbedding"]
