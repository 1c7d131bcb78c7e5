"""The embedding of an index whose store embeds by itself."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding

from reindex.errors import RequestRefused


class EmbeddedByReindex(BaseEmbedding):
    """Embeds nothing, because what it is asked to embed goes to reindex as text.

    `VectorStoreIndex` and `IngestionPipeline` embed every node before they hand it to their store,
    also where the store needs no vectors.
    """

    model_name: str = "embedded by reindex"
    embed_batch_size: int = 2048

    @classmethod
    def class_name(cls) -> str:
        """For serialisation."""
        return "EmbeddedByReindex"

    def _get_text_embedding(self, text: str) -> Embedding:
        return []

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return []

    def _get_query_embedding(self, query: str) -> Embedding:
        raise RequestRefused(
            "This index's store embeds queries by itself, so there is no vector of a query here. "
            "For vectors, use ReindexEmbedding with a version's name."
        )

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return self._get_query_embedding(query)
