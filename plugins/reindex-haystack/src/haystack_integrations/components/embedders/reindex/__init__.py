"""Embedding by the versions of a reindex project."""

from haystack_integrations.components.embedders.reindex.document_embedder import (
    ReindexDocumentEmbedder,
)
from haystack_integrations.components.embedders.reindex.text_embedder import ReindexTextEmbedder

__all__ = ["ReindexDocumentEmbedder", "ReindexTextEmbedder"]
